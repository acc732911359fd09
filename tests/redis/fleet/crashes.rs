//! Processes that die or are closed, and authenticators that panic: what they held is free again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use jwt_refresh::pool::{Account, AuthWorker, Limit, RedisPool};
use jwt_refresh::{Authenticator, Error, ErrorKind, Tokens};

use tokio::task::JoinHandle;

use super::{POOL, World, active, holds};
use crate::support::{HOUR, MINUTE, Machine, RedisProxy, RedisServer, SECOND, until};

#[tokio::test]
async fn an_interrupted_exchange_is_taken_over_with_a_login_when_its_claim_expires() {
    let world = World::with_latency(1, SECOND / 2).await;
    let proxy = RedisProxy::before(&world.redis).await;
    let worker = |url: &str| AuthWorker::builder(url, POOL).timeout(SECOND / 2).claim_ttl(SECOND);
    let _first = worker(&proxy.url()).account(world.account(0)).build().unwrap();
    until("the first worker logs in", async || world.server.stats().logins == 1).await;
    proxy.lose_everything();
    let (machine, begun) = (Machine::watch(), Instant::now());
    let _second = worker(&world.redis.url()).account(world.account(0)).build().unwrap();
    active(&world.pool(), 1).await;
    // With the default time to live of claims, it would take ten seconds.
    machine.assert_took(begun.elapsed(), SECOND * 7);
    assert_eq!(world.server.stats().logins, 2);
    assert_eq!(world.server.stats().reuses, 0);
}

#[tokio::test]
async fn a_lease_of_a_dead_process_is_free_when_it_expires_and_leaves_no_key() {
    let world = World::new(1).await;
    let account = world.account(0).concurrency(1);
    let _worker = world.builder().account(account).lease_ttl(SECOND * 4).build().unwrap();
    let proxy = RedisProxy::before(&world.redis).await;
    let dying = RedisPool::builder(&proxy.url(), POOL).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    let _held = dying.lease().await.unwrap();
    let begun = Instant::now();
    proxy.lose_everything();
    assert_eq!(pool.lease().within(SECOND / 10).await.unwrap_err().kind(), ErrorKind::Busy);
    drop(pool.lease().within(SECOND * 20).await.unwrap());
    assert!(begun.elapsed() > SECOND * 3, "free after {:?}", begun.elapsed());
    let gone = async || world.redis.run_command::<u32>("EXISTS jwt-refresh:{catalog}:member:released").await == 0;
    until("nothing is kept of the dead process", gone).await;
}

/// Takes leases of two processes, one of which dies as soon as it has `first` of them, and goes on
/// until it has no share any more. Returns how many were given in all.
async fn leases_beside_a_death(limit: Limit, first: u32) -> u32 {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).limit(limit)).build().unwrap();
    let proxy = RedisProxy::before(&world.redis).await;
    let (dying, pool) = (World::pool_behind(&proxy), world.pool());
    active(&pool, 1).await;
    let mut given = 0;
    while given < first {
        given += u32::from(dying.lease().cost(10).within(SECOND).await.is_ok());
    }
    proxy.lose_everything();
    until("it has no share any more", async || match dying.lease().cost(10).within(SECOND / 2).await {
        Ok(_) => {
            given += 1;
            false
        }
        Err(error) => error.kind() == ErrorKind::Store,
    })
    .await;
    until("the other process has the account", async || pool.lease().cost(10).within(SECOND).await.is_ok()).await;
    given += 1;
    while pool.lease().cost(10).within(SECOND * 2).await.is_ok() {
        given += 1;
    }
    given
}

#[tokio::test]
async fn what_a_dead_process_may_have_used_of_a_quota_is_not_given_again_and_the_rest_is() {
    let hourly = Limit::requests(400, HOUR).strict();
    let [calls, cost, strict] =
        [Limit::daily(400), Limit::daily_cost(4000), hourly].map(|limit| leases_beside_a_death(limit, 100));
    for given in <[u32; 3]>::from(tokio::join!(calls, cost, strict)) {
        // Portions of at most an eighth, of which the second may be half used.
        assert!((300..=400).contains(&given), "{given} leases of 400");
    }
}

/// Takes leases until there is none within two seconds, and returns how many there were.
async fn left(pool: &RedisPool) -> u32 {
    let mut given = 0;
    while pool.lease().within(SECOND * 2).await.is_ok() {
        given += 1;
    }
    given
}

#[tokio::test]
async fn what_was_used_of_a_quota_before_redis_was_away_for_long_is_not_given_again() {
    for is_kept in [true, false] {
        let mut world = World::new(1).await;
        let _worker = world.builder().account(world.account(0).limit(Limit::daily(100))).build().unwrap();
        let pool = world.pool();
        active(&pool, 1).await;
        for _ in 0..40 {
            drop(pool.lease().within(SECOND * 20).await.unwrap());
        }
        if is_kept {
            world.redis.save().await;
        }
        world.redis.stop();
        let mut given = 40;
        until("its share has ended", async || match pool.lease().within(SECOND / 2).await {
            Ok(_) => {
                given += 1;
                false
            }
            Err(error) => error.kind() == ErrorKind::Store,
        })
        .await;
        world.redis.run().await;
        until("it serves again", async || pool.lease().within(SECOND).await.is_ok()).await;
        given += 1 + left(&pool).await;
        assert_eq!(given, 100, "Redis has kept what it had: {is_kept}");
    }
}

#[tokio::test]
async fn of_a_process_that_dies_when_redis_is_started_again_all_of_its_quotas_counts_as_used() {
    let mut world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).limit(Limit::daily(100))).build().unwrap();
    let proxy = RedisProxy::before(&world.redis).await;
    let dying = World::pool_behind(&proxy);
    active(&dying, 1).await;
    for _ in 0..40 {
        drop(dying.lease().within(SECOND * 20).await.unwrap());
    }
    world.redis.save().await;
    world.redis.stop();
    proxy.lose_everything();
    world.redis.run().await;
    let (pool, mut given) = (world.pool(), 40);
    until("the other process has the account, or what is left of it", async || {
        match pool.lease().within(SECOND / 2).await {
            Ok(_) => given += 1,
            Err(error) => return error.to_string().contains("quota used up"),
        }
        false
    })
    .await;
    assert_eq!(given, 40, "nobody knows what it has used");
}

#[tokio::test]
async fn times_to_live_that_are_too_short_for_live_processes_are_refused() {
    let world = World::new(0).await;
    let claims = world.builder().claim_ttl(SECOND).build().unwrap_err();
    let shares = world.builder().share_time(SECOND / 10).build().unwrap_err();
    assert_eq!([claims.kind(), shares.kind()], [ErrorKind::Configuration; 2]);
}

#[tokio::test]
async fn a_closed_worker_finishes_its_exchange_and_begins_no_other() {
    let world = World::with_latency(2, SECOND / 2).await;
    let worker = world.worker(1);
    until("the worker logs in", async || world.server.stats().logins == 1).await;
    let report = worker.close(MINUTE).await;
    assert_eq!(report.cut_off, 0, "{report:?}");
    assert_eq!(worker.add(world.account(1)).unwrap_err().kind(), ErrorKind::Closed);
    let pool = world.pool();
    active(&pool, 1).await;
    let _other = world.worker(2);
    active(&pool, 2).await;
    assert_eq!(world.server.stats().logins, 2);
}

#[tokio::test]
async fn a_process_that_closes_gives_its_shares_back_at_once() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).concurrency(1)).share_time(SECOND * 8).build().unwrap();
    let mut pool = world.pool();
    active(&pool, 1).await;
    for _ in 0..5 {
        drop(pool.lease().await.unwrap());
        pool.close(SECOND).await;
        assert_eq!(pool.lease().await.unwrap_err().kind(), ErrorKind::Closed);
        pool = world.pool();
        // The next process would wait for eight seconds otherwise.
        drop(pool.lease().within(SECOND * 5).await.unwrap());
    }
}

/// Ends a process that holds all leases of an account, and then these. Another has to be served.
async fn end_with_leases(end: impl AsyncFnOnce(RedisPool) -> Option<JoinHandle<()>>) {
    let world = World::new(1).await;
    let account = world.account(0).concurrency(2);
    let _worker = world.builder().account(account).lease_ttl(HOUR).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    let leases = [pool.lease().await.unwrap(), pool.lease().await.unwrap()];
    let closing = end(pool).await;
    let other = world.pool();
    holds(&other, 1).await;
    assert!(other.lease().within(SECOND / 10).await.is_err(), "the concurrency is used up");
    drop(leases);
    if let Some(closing) = closing {
        closing.await.unwrap();
    }
    drop(other.lease().within(SECOND * 20).await.unwrap());
}

#[tokio::test]
async fn a_process_that_closes_tells_of_leases_that_end_meanwhile() {
    end_with_leases(async |pool| Some(tokio::spawn(async move { pool.close(MINUTE).await }))).await;
}

#[tokio::test]
async fn leases_that_end_after_the_last_handle_of_their_pool_count_no_longer() {
    end_with_leases(async |pool| {
        drop(pool);
        None
    })
    .await;
}

#[tokio::test]
async fn closing_waits_for_leases_no_longer_than_it_was_told_to() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    let lease = pool.lease().await.unwrap();
    pool.close(SECOND / 10).await;
    drop(lease);
}

#[tokio::test]
async fn of_several_times_that_closing_may_take_the_shortest_holds() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).concurrency(1)).build().unwrap();
    let pool = world.pool();
    holds(&pool, 1).await;
    let lease = pool.lease().await.unwrap();
    let patient = tokio::spawn({
        let pool = pool.clone();
        async move { pool.close(HOUR).await }
    });
    // The first one waits for the lease by then.
    holds(&world.pool(), 1).await;
    tokio::time::timeout(MINUTE, pool.close(SECOND / 10)).await.expect("it waits no longer than it was told to");
    patient.await.unwrap();
    drop(lease);
}

#[tokio::test]
async fn what_a_process_tells_while_it_closes_drops_no_plan_of_the_coordinator() {
    let world = World::new(1).await;
    let proxy = RedisProxy::before(&world.redis).await;
    let account = world.account(0).concurrency(2);
    let worker = AuthWorker::builder(&proxy.url(), POOL).timeout(MINUTE).claim_ttl(MINUTE * 2).share_time(SECOND);
    let _worker = worker.account(account).build().unwrap();
    let pool = world.pool();
    holds(&pool, 1).await;
    let leases = [pool.lease().await.unwrap(), pool.lease().await.unwrap()];
    let state = async |field: &str| {
        world.redis.run_command::<String>(&format!("HGET jwt-refresh:{{catalog}}:fleet:state {field}")).await
    };
    let epoch = state("epoch").await;
    let told = async || world.redis.run_command::<Vec<String>>("HVALS jwt-refresh:{catalog}:member:released").await;

    // The coordinator has seen that two leases are held, and is about to write until when they
    // count.
    proxy.hold_back("\"dead\":true");
    let closing = tokio::spawn(async move { pool.close(MINUTE).await });
    until("the coordinator writes that the process has left", async || proxy.is_holding()).await;
    world.redis.run_command::<u32>("PEXPIRE jwt-refresh:{catalog}:auth:coordinator 600000").await;
    assert!(told().await[0].contains("\"held\":2"), "{:?}", told().await);
    drop(leases);
    until("it has told that they have ended", async || told().await[0].contains("\"held\":0")).await;
    closing.await.unwrap();
    proxy.let_go();

    let other = world.pool();
    let _both = [other.lease().within(MINUTE).await.unwrap(), other.lease().within(MINUTE).await.unwrap()];
    assert_eq!(state("epoch").await, epoch, "the coordinator has begun anew");
}

#[tokio::test]
async fn a_process_that_leaves_before_it_has_heard_of_its_share_costs_the_account_nothing() {
    let world = World::new(1).await;
    let worker = world.builder().share_time(SECOND * 5).lease_ttl(MINUTE).build().unwrap();
    // Redis knows the script by which a process leaves once one has.
    let first = world.pool();
    until("it has joined", async || first.status().await.is_ok()).await;
    first.close(SECOND).await;
    let proxy = RedisProxy::before(&world.redis).await;
    let leaving = World::pool_behind(&proxy);
    until("it has joined", async || leaving.status().await.is_ok()).await;
    let known = async |key: &str| world.redis.run_command::<Vec<String>>(&format!("HKEYS {key}")).await;
    until("the fleet knows it", async || !known("jwt-refresh:{catalog}:member:demand").await.is_empty()).await;
    proxy.lose_answers();
    worker.add(world.account(0).concurrency(1).limit(Limit::daily(5))).unwrap();
    until("it is given the account", async || {
        known("jwt-refresh:{catalog}:fleet:state").await.iter().any(|field| field.starts_with("shares:"))
    })
    .await;
    leaving.close(SECOND).await;
    let pool = world.pool();
    // A lease that it might hold would count for a minute, and a quota that it might have used
    // until midnight.
    for _ in 0..5 {
        drop(pool.lease().within(SECOND * 20).await.unwrap());
    }
    let error = pool.lease().within(SECOND).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount, "the quota holds: {error}");
}

#[tokio::test]
async fn what_a_process_told_after_the_coordinator_has_looked_is_not_overwritten() {
    const COMMIT: &str = include_str!("../../../jwt-refresh-core/src/pool/fleet/lua/commit.lua");
    const RELEASED: &str = "jwt-refresh:{catalog}:member:released";
    let redis = RedisServer::start().await;
    let key = |noun: &str| format!("jwt-refresh:{{catalog}}:{noun}");
    let set = async |key: &str, field: &str, value: &str| {
        let () = redis.query(redis::cmd("HSET").arg(key).arg(field).arg(value)).await;
    };
    redis.run_command::<()>(&format!("SET {} worker", key("auth:coordinator"))).await;
    set(&key("fleet:state"), "epoch", "1").await;
    // Its time was up when the coordinator looked.
    set(&key("member:demand"), "m", "1 {}").await;
    let bury = async |stood: &str| {
        let plan = format!(
            r#"{{"members":[{{"name":"m","dead":true,"rows":[]}}],"changed":[],"left":[["m
a","the worst","{stood}"]]}}"#
        );
        let mut command = redis::cmd("EVAL");
        command.arg(COMMIT).arg(7);
        for noun in ["auth:coordinator", "fleet:state", "member:demand"] {
            command.arg(key(noun));
        }
        command.arg(RELEASED);
        for noun in ["fleet:shares:m", "fleet:share-changes:m", "member:reservations:m"] {
            command.arg(key(noun));
        }
        redis.query::<u32>(command.arg("worker").arg("1").arg("jwt-refresh:{catalog}").arg(plan)).await
    };
    let kept = async || redis.query::<Option<String>>(redis::cmd("HGET").arg(RELEASED).arg("m\na")).await;
    set(RELEASED, "m\na", "all of it").await;
    for stood in ["", "some of it"] {
        assert_eq!((bury(stood).await, kept().await.as_deref()), (2, Some("all of it")), "look again");
    }
    for _ in 0..2 {
        assert_eq!((bury("all of it").await, kept().await.as_deref()), (1, Some("the worst")), "twice is as once");
    }
}

#[tokio::test]
async fn a_worker_that_becomes_the_coordinator_again_hears_of_accounts_though_redis_counts_anew() {
    let world = World::new(3).await;
    let worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    // Each is a revision. The coordinator has read them when it has given the next account away.
    for _ in 0..20 {
        assert!(!worker.remove("nobody").await.unwrap());
    }
    worker.add(world.account(1).tag("before")).unwrap();
    until("it serves", async || pool.lease().tag("before").await.is_ok()).await;
    // Another is the coordinator while Redis loses its accounts, and is learnt by it.
    world.without_coordinator().await;
    let revision = async || world.redis.run_command::<Option<u64>>("HGET jwt-refresh:{catalog}:fleet:state rev").await;
    let before = revision().await;
    world.redis.run_command::<u32>("HDEL jwt-refresh:{catalog}:fleet:state rev").await;
    let lost = ["accounts", "account-changes", "tokens"].map(|noun| format!("jwt-refresh:{{catalog}}:fleet:{noun}"));
    assert_eq!(world.redis.run_command::<u32>(&format!("DEL {}", lost.join(" "))).await, 3);
    until("the accounts are told again", async || {
        revision().await.is_some() && world.redis.run_command::<u32>(&format!("HLEN {}", lost[0])).await == 3
    })
    .await;
    worker.add(world.account(2).tag("after")).unwrap();
    until("the new one is told", async || world.redis.run_command::<u32>(&format!("HLEN {}", lost[0])).await == 4)
        .await;
    assert!(revision().await < before, "it counts anew");
    world.redis.run_command::<()>("DEL jwt-refresh:{catalog}:auth:coordinator").await;
    until("it serves", async || pool.lease().tag("after").within(SECOND).await.is_ok()).await;
}

/// Panics at its first login.
struct PanicsOnce(AtomicBool);

impl Authenticator for PanicsOnce {
    async fn login(&self) -> Result<Tokens, Error> {
        let is_first = !self.0.swap(true, Ordering::Relaxed);
        assert!(!is_first, "an authenticator with a bug");
        Tokens::new("token")
    }
}

#[tokio::test]
async fn an_authenticator_that_panics_gives_up_its_claim_and_is_called_again() {
    let world = World::new(0).await;
    let account = Account::new("p", PanicsOnce(false.into()));
    let _worker = world.builder().account(account).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    // A worker tells of its figures after its accounts.
    until("the login is counted", async || pool.status().await.is_ok_and(|status| status.refresh_success.is_some()))
        .await;
}
