//! Accounts that are added and removed, tags, keys, and limits that hold for all processes
//! together.

use std::collections::HashMap;

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{Limit, Pool, QuarantineCause, QuarantinedAccount, RedisPool};
use serde_json::Value;

use super::{POOL, World, active, holds, policy};
use crate::support::{MINUTE, RedisProxy, SECOND, until};

#[tokio::test]
async fn a_tag_is_served_only_by_its_accounts_with_the_values_that_this_process_pins() {
    let world = World::new(3).await;
    let tagged = world.account(1).tag("eu").tag("a:b {*}");
    let _worker = world.builder().account(world.account(0)).account(tagged).account(world.account(2)).build().unwrap();
    let pins = |name: &str| (name == "a1").then_some(7_u8);
    let pool = RedisPool::builder(&world.redis.url(), POOL).pin(pins).build().unwrap();
    active(&pool, 3).await;
    for _ in 0..3 {
        for tag in ["eu", "a:b {*}"] {
            let lease = pool.lease().tag(tag).await.unwrap();
            assert_eq!((lease.account(), lease.pinned()), ("a1", Some(&7_u8)));
        }
    }
    let lease = pool.lease().key("any").tag("eu").await.unwrap();
    assert_eq!(lease.account(), "a1");
}

#[tokio::test]
async fn a_key_keeps_its_account_in_all_processes_until_the_account_is_removed() {
    let world = World::new(5).await;
    let worker = world.worker(5);
    let (pool, other) = (world.pool(), world.pool());
    active(&pool, 5).await;
    // Until a process knows that all accounts serve, a key may have another.
    let knows_all = |pool: &RedisPool| {
        let status = pool.local_status();
        let serves = |account: &QuarantinedAccount| account.cause == QuarantineCause::Elsewhere;
        status.accounts == 5 && status.quarantined.iter().all(serves)
    };
    until("both know all accounts", async || knows_all(&pool) && knows_all(&other)).await;
    let mut keys = HashMap::new();
    for key in (0..20).map(|key| key.to_string()) {
        let account = pool.lease().key(&key).await.unwrap().account().to_owned();
        keys.insert(key, account);
    }
    let gone = keys.values().next().unwrap().clone();
    assert!(worker.remove(&gone).await.unwrap());
    until("the other process has heard of it", async || other.local_status().accounts == 4).await;
    for (key, account) in keys {
        let now = other.lease().key(key).await.unwrap().account().to_owned();
        assert_eq!(now == account, account != gone);
    }
}

#[tokio::test]
async fn a_removed_account_serves_no_caller_and_its_refresh_token_is_revoked() {
    let world = World::new(2).await;
    let worker = world.worker(2);
    let pool = world.pool();
    active(&pool, 2).await;
    assert!(worker.remove("a0").await.unwrap());
    assert!(!worker.remove("a0").await.unwrap());
    until("the process has heard of it", async || pool.local_status().accounts == 1).await;
    for _ in 0..5 {
        assert_eq!(pool.lease().await.unwrap().account(), "a1");
    }
    until("its refresh token is revoked", async || world.server.stats().revocations == 1).await;
    assert!(worker.remove("a1").await.unwrap());
    let tokens: Vec<String> = world.redis.run_command("HKEYS jwt-refresh:{catalog}:fleet:tokens").await;
    assert_eq!(tokens, ["\n"], "only the mark of the auth workers is left");
}

#[tokio::test]
async fn two_workers_with_the_same_accounts_log_each_account_in_once() {
    let world = World::new(20).await;
    let _workers = [world.worker(20), world.worker(20)];
    let pool = world.pool();
    active(&pool, 20).await;
    assert_eq!(world.server.stats().auth_requests, 20);
}

#[tokio::test]
async fn no_more_leases_are_held_in_all_processes_than_the_concurrency_allows() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).concurrency(2)).build().unwrap();
    let (pool, other) = (world.pool(), world.pool());
    active(&pool, 1).await;
    let (first, _second) = (pool.lease().await.unwrap(), other.lease().await.unwrap());
    let waits = tokio::spawn(pool.lease().into_future());
    until("the caller waits", async || pool.local_status().waiting == 1).await;
    assert!(!waits.is_finished());
    let clone = first.clone();
    drop(first);
    assert!(!waits.is_finished(), "a clone is held");
    drop(clone);
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn changed_limits_and_tags_hold_without_a_new_login() {
    let world = World::new(1).await;
    let worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    drop(worker);
    let _worker = world.builder().account(world.account(0).tag("eu").rate(1, MINUTE)).build().unwrap();
    until("the tag is known", async || pool.lease().tag("eu").await.is_ok()).await;
    assert!(pool.lease().within(SECOND).await.is_err(), "the new rate holds");
    assert_eq!(world.server.stats().auth_requests, 1);
}

#[tokio::test]
async fn a_redis_that_restarts_empty_is_filled_again() {
    let mut world = World::new(2).await;
    let _worker = world.worker(2);
    let pool = world.pool();
    active(&pool, 2).await;
    world.redis.stop();
    world.redis.run().await;
    active(&pool, 2).await;
    let mut lease = None;
    until("a process that was cut off serves again", async || {
        lease = pool.lease().within(SECOND * 10).await.ok();
        lease.is_some()
    })
    .await;
    assert_eq!(world.call(&lease.unwrap()).await, 200);
    assert_eq!(world.server.stats().logins, 2, "the worker has the logins, and writes them again");
}

#[tokio::test]
async fn tokens_are_refreshed_ahead_once_a_lifetime_by_one_of_the_workers() {
    let world = World::with_lifetime(4, SECOND * 3).await;
    let _workers = [world.worker(4), world.worker(4)];
    let pool = world.pool();
    active(&pool, 4).await;
    until("each was refreshed twice", async || {
        let lease = pool.lease().within(SECOND * 5).await.unwrap();
        world.serves(&lease).await;
        world.server.stats().refreshes >= 8
    })
    .await;
    let counted = world.server.stats();
    assert!(counted.refreshes <= 12 && counted.logins == 4 && counted.reuses == 0, "{counted:?}");
    let status = pool.status().await.unwrap();
    assert!(status.average_ttl.is_some_and(|left| left <= SECOND * 3), "{status}");
    assert_eq!(status.refresh_success, Some(1.0));
}

#[cfg(feature = "seal")]
#[tokio::test]
async fn sealed_entries_in_redis_cannot_be_read_without_the_keys() {
    use jwt_refresh::ErrorKind;
    use jwt_refresh::store::SealKey;
    let world = World::new(1).await;
    let key = SealKey::generate().unwrap();
    let worker = world.builder().key(key.clone()).vault_key(SealKey::generate().unwrap());
    let _worker = worker.account(world.account(0)).build().unwrap();
    let pool = RedisPool::builder(&world.redis.url(), POOL).key(key).build().unwrap();
    active(&pool, 1).await;
    let lease = pool.lease().await.unwrap();
    assert_eq!(world.call(&lease).await, 200);
    let grant: Vec<u8> = world.redis.run_command("HGET jwt-refresh:{catalog}:fleet:tokens a0").await;
    assert!(!String::from_utf8_lossy(&grant).contains(lease.token().expose()));
    let kept: String = world.redis.run_command("HGET jwt-refresh/catalog/vault:{a0}:entry data").await;
    assert!(kept.starts_with("v4.local.") && !kept.contains("refresh_token"), "{kept}");
    lease.rejected();
    assert_eq!(world.call(&pool.lease().within(SECOND * 10).await.unwrap()).await, 200);
    assert_eq!(world.server.stats().refreshes, 1, "the sealed refresh token was read again");
    pool.close(SECOND).await;
    let error = world.pool().lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let text = error.to_string();
    assert!(text.contains("\"a0\"") && text.contains("this process was given no key"), "{text}");
}

#[tokio::test]
async fn the_status_covers_all_processes() {
    let world = World::new(3).await;
    world.server.ban("a2");
    let accounts = (0..3).map(|number| world.account(number));
    let worker = world.builder().accounts(accounts).policy(policy().quarantine(MINUTE, MINUTE));
    let _worker = worker.build().unwrap();
    let pools = [world.pool(), world.pool()];
    active(&pools[0], 2).await;
    for pool in &pools {
        for _ in 0..50 {
            drop(pool.lease().await.unwrap());
        }
    }
    until("all leases are reported", async || pools[0].status().await.is_ok_and(|status| status.leases == 100)).await;
    let status = pools[1].status().await.unwrap();
    assert_eq!((status.accounts, status.active, status.quarantined.len()), (3, 2, 1));
    assert!(status.refresh_success.is_some_and(|share| share < 1.0), "{status}");
    assert!(status.requests_per_token_per_minute > 0.0, "{status}");
    let alone = Pool::builder().build().unwrap().status().to_string();
    assert_eq!(status.to_string().lines().next(), alone.lines().next(), "both kinds of pools show the same table");
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn logins_are_counted_and_a_status_sets_the_gauges_under_the_name_of_the_pool() {
    let world = World::new(3).await;
    world.server.ban("a2");
    let recorded = crate::support::Recorded::here();
    let accounts = (0..3).map(|number| world.account(number));
    let _worker =
        jwt_refresh::pool::AuthWorker::builder(&world.redis.url(), "shop").accounts(accounts).build().unwrap();
    let pool = RedisPool::builder(&world.redis.url(), "shop").build().unwrap();
    until("a2 is denied", async || {
        pool.status().await.unwrap();
        let gauges = recorded.gauges();
        gauges.get("jwt_refresh_pool_quarantined{pool=shop,cause=denied}") == Some(&1.0)
            && gauges.get("jwt_refresh_pool_active{pool=shop}") == Some(&2.0)
    })
    .await;
    assert_eq!(recorded.gauges().get("jwt_refresh_pool_accounts{pool=shop}"), Some(&3.0));
    assert!(recorded.counters().get("jwt_refresh_logins_total").is_some_and(|logins| *logins >= 2));
}

/// Takes what is left of a quota, and returns how many leases that are.
async fn left(pool: &RedisPool) -> u32 {
    let mut leases = 0;
    while let Ok(lease) = pool.lease().within(SECOND).await {
        drop(lease);
        leases += 1;
    }
    leases
}

#[tokio::test]
async fn an_account_that_is_removed_and_added_again_serves_on_and_has_what_is_left_of_its_quota() {
    let world = World::new(1).await;
    let account = || world.account(0).limit(Limit::daily(5));
    let worker = world.builder().account(account()).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    for _ in 0..3 {
        drop(pool.lease().within(SECOND * 20).await.unwrap());
    }
    world.without_coordinator().await;
    assert!(worker.remove("a0").await.unwrap());
    until("it is gone", async || pool.local_status().accounts == 0).await;
    worker.add(account()).unwrap();
    until("it serves", async || pool.lease().within(SECOND).await.is_ok()).await;
    assert_eq!(left(&pool).await, 1);
}

#[tokio::test]
async fn a_process_that_has_given_its_share_up_and_gets_the_same_back_has_what_is_left_of_its_quota() {
    const QUOTA: u32 = 3000;
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).limit(Limit::daily(QUOTA.into()))).build().unwrap();
    let proxy = RedisProxy::before(&world.redis).await;
    let pool = World::pool_behind(&proxy);
    until("it serves", async || pool.lease().within(SECOND).await.is_ok()).await;
    let mut used = 1;
    // Nobody takes its share away while it is cut off, and Redis forgets that it lives.
    world.without_coordinator().await;
    proxy.lose_everything();
    until("its shares have ended", async || match pool.lease().within(SECOND).await {
        Ok(_) => {
            used += 1;
            false
        }
        Err(error) => error.kind() == ErrorKind::Store,
    })
    .await;
    world.redis.run_command::<u32>("DEL jwt-refresh:{catalog}:member:demand").await;
    proxy.pass_everything();
    until("it serves", async || pool.lease().within(SECOND).await.is_ok()).await;
    assert_eq!(used + 1 + left(&pool).await, QUOTA);
}

#[tokio::test]
async fn a_process_that_has_given_a_share_back_says_the_same_of_it_when_its_row_is_written_again() {
    let world = World::new(1).await;
    let account = world.account(0).limit(Limit::daily(100));
    let _worker = world.builder().share_time(SECOND * 10).account(account).build().unwrap();
    let pool = world.pool();
    holds(&pool, 1).await;
    // As the coordinator writes it that takes a share away, and has not read that it was given back
    // when the lease of another process ends.
    world.without_coordinator().await;
    let of = |noun: &str| format!("jwt-refresh:{{catalog}}:{noun}");
    let members: Vec<String> = world.redis.run_command(&format!("HKEYS {}", of("member:demand"))).await;
    let [rows, changes] = ["shares", "share-changes"].map(|noun| of(&format!("fleet:{noun}:{}", members[0])));
    let row: String = world.redis.run_command(&format!("HGET {rows} a0")).await;
    let mut row: Value = serde_json::from_str(&row).unwrap();
    (row["units"], row["leaving"]) = (0.into(), 1.into());
    for step in [1, 2] {
        row["step"] = step.into();
        let version = 1000 + step;
        let () = world.redis.run_command(&format!("HSET {rows} a0 {row}")).await;
        let () = world.redis.run_command(&format!("ZADD {changes} {version} a0")).await;
        let () = world.redis.run_command(&format!("HSET {} shares:{} {version}", of("fleet:state"), members[0])).await;
        until("the process says what it gives back", async || {
            let told: Vec<String> = world.redis.run_command(&format!("HVALS {}", of("member:released"))).await;
            let told = told.first().map(|told| serde_json::from_str::<Value>(told).unwrap());
            let told = told.filter(|told| told["step"] == step);
            assert!(told.as_ref().is_none_or(|told| !told["state"].is_null()), "{told:?}");
            told.is_some()
        })
        .await;
    }
}

#[tokio::test]
async fn leases_that_are_held_count_when_a_worker_gives_their_account_another_tag() {
    let world = World::new(1).await;
    let account = || world.account(0).concurrency(4);
    let worker = world.builder().account(account()).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(pool.lease().within(SECOND * 20).await.unwrap());
    }
    drop(worker);
    let _worker = world.builder().account(account().tag("eu")).build().unwrap();
    let mut fifth = None;
    until("the tag is known", async || {
        let answer = pool.lease().tag("eu").within(SECOND).await;
        let is_known = !answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Configuration);
        fifth = Some(answer).filter(|_| is_known);
        is_known
    })
    .await;
    assert_eq!(fifth.unwrap().unwrap_err().kind(), ErrorKind::Busy);
    leases.pop();
    assert_eq!(world.call(&pool.lease().tag("eu").within(SECOND * 20).await.unwrap()).await, 200);
}
