//! Faults of Redis, of the network and of auth workers: shares and tokens go on, no limit is
//! exceeded, and all heals by itself. What goes by clocks goes by the time since boot of each
//! machine and Redis' time: no wall clock of a process is asked, so none needs to be set here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{AuthWorker, AuthWorkerBuilder, RedisPool};

use super::callers::{Callers, Seen, more};
use super::{POOL, World, active};
use crate::support::{Machine, RedisProxy, RedisServer, SECOND, until, with_accounts};
use jwt_refresh_testkit::TestServer;

const TAGS: [&str; 2] = ["one at a time", "free"];

/// What all the tests here have: an account that allows one call at a time, one without limits, and
/// two processes with callers of both.
struct Fleet {
    world: World,
    seen: Arc<Seen>,
}

impl Fleet {
    async fn new() -> Self {
        Self { world: World::new(2).await, seen: Arc::default() }
    }

    fn with_accounts(&self, worker: AuthWorkerBuilder) -> AuthWorker {
        let [single, free] = [0, 1].map(|number| self.world.account(number).tag(TAGS[number]));
        let worker = worker.account(single.concurrency(1)).account(free);
        worker.share_time(SECOND).lease_ttl(SECOND * 2).timeout(SECOND / 2).claim_ttl(SECOND * 2).build().unwrap()
    }

    fn worker(&self) -> AuthWorker {
        self.with_accounts(self.world.builder())
    }

    /// A process that uses tokens, with a short time-out for Redis.
    fn pool(&self) -> RedisPool {
        RedisPool::builder(&self.world.redis.url(), POOL).timeout(SECOND / 2).build().unwrap()
    }

    fn callers(&self, pool: &RedisPool) -> [Callers; 2] {
        TAGS.map(|tag| Callers::start(pool, 2, tag, &self.seen))
    }

    /// Asserts that no limit was exceeded, and that no account has logged in more often than it had
    /// to.
    fn check(&self, logins: u64) {
        let counted = self.world.server.stats();
        println!("{counted:?}, at most {} at once", self.seen.most("a0"));
        assert_eq!(self.seen.most("a0"), 1, "leases of an account that allows one at a time");
        assert_eq!((counted.reuses, counted.revocations), (0, 0), "{counted:?}");
        assert!(counted.logins <= logins, "{counted:?}");
    }
}

/// Waits until callers of each are served again, and prints how long it took.
async fn heal<'a>(what: &str, callers: impl IntoIterator<Item = &'a Callers>) {
    let begun = Instant::now();
    for callers in callers {
        more(callers, 10).await;
        callers.take_errors();
    }
    println!("{what}: healed after {:?}", begun.elapsed());
}

fn errors<'a>(callers: impl IntoIterator<Item = &'a Callers>) -> Vec<ErrorKind> {
    let mut errors: Vec<_> = callers.into_iter().flat_map(Callers::take_errors).collect();
    errors.dedup();
    errors
}

#[tokio::test]
async fn while_redis_stands_still_shares_serve_for_their_time_and_then_callers_get_the_error() {
    let fleet = Fleet::new().await;
    let _worker = fleet.worker();
    let pool = fleet.pool();
    active(&pool, 2).await;
    let callers = fleet.callers(&pool);
    heal("the start", &callers).await;

    fleet.world.redis.pause();
    tokio::time::sleep(SECOND / 5).await;
    fleet.world.redis.resume();
    heal("a short pause", &callers).await;
    assert_eq!(errors(&callers), [], "shares go on");

    fleet.world.redis.pause();
    let mut seen = Vec::new();
    until("callers get the error", async || {
        seen = errors(&callers);
        !seen.is_empty()
    })
    .await;
    assert_eq!(seen, [ErrorKind::Store]);
    let error = pool.lease().tag(TAGS[1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    tokio::time::sleep(SECOND).await;
    fleet.world.redis.resume();
    heal("a long pause", &callers).await;
    fleet.check(2);
}

#[tokio::test]
async fn connections_that_break_at_any_moment_cost_no_lease_and_no_login() {
    let fleet = Fleet::new().await;
    let proxy = RedisProxy::before(&fleet.world.redis).await;
    let workers = [0, 1].map(|_| fleet.with_accounts(AuthWorker::builder(&proxy.url(), POOL)));
    let pools = [0, 1].map(|_| World::pool_behind(&proxy));
    active(&pools[0], 2).await;
    let callers = [fleet.callers(&pools[0]), fleet.callers(&pools[1])];
    let callers = callers.as_flattened();
    heal("the start", callers).await;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(fastrand(100))).await;
        if fastrand(2) == 0 { proxy.cut_connections() } else { proxy.cut_next_answer() }
    }
    heal("sixty cuts", callers).await;
    fleet.check(4);
    drop(workers);
}

/// A number below `end`, by the clock: when what happens is all that it decides.
fn fastrand(end: u64) -> u64 {
    u64::from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_micros()) % end
}

#[tokio::test]
async fn without_an_auth_worker_shares_and_tokens_go_on() {
    let fleet = Fleet::new().await;
    let workers = [fleet.worker(), fleet.worker()];
    let pools = [fleet.pool(), fleet.pool()];
    active(&pools[0], 2).await;
    let callers = pools.each_ref().map(|pool| fleet.callers(pool));
    heal("the start", callers.as_flattened()).await;
    let has_part = async |pool: &RedisPool| pool.lease().tag(TAGS[1]).within(SECOND / 2).await.is_ok();
    until("both have a part", async || has_part(&pools[0]).await && has_part(&pools[1]).await).await;
    drop(workers);
    // Far longer than a share and the coordinator's lease.
    let mut parts = 0;
    for _ in 0..8 {
        tokio::time::sleep(SECOND / 2).await;
        for (pool, [_, free]) in pools.iter().zip(&callers) {
            // The coordinator may have ended while it moved a part.
            if has_part(pool).await {
                more(free, 10).await;
                parts += 1;
            }
            assert_eq!(errors([free]), []);
        }
    }
    assert!(parts >= 8, "one of them goes on at least");
    let _worker = fleet.worker();
    heal("a new worker", callers.as_flattened()).await;
    fleet.check(2);
}

#[tokio::test]
async fn when_the_coordinator_dies_another_goes_on_within_seconds() {
    let fleet = Fleet::new().await;
    let mut workers = vec![fleet.worker()];
    let pool = fleet.pool();
    active(&pool, 2).await;
    let other = fleet.pool();
    let mut seen = Vec::new();
    for _ in 0..4 {
        workers.push(fleet.worker());
        // Until it has logged that it takes part, which it does at its first round.
        tokio::time::sleep(SECOND / 2).await;
        drop(workers.remove(0));
        let begun = Instant::now();
        // Each of these moves the account to the other process.
        for pool in [&other, &pool] {
            drop(pool.lease().tag(TAGS[0]).within(SECOND * 20).await.unwrap());
        }
        seen.push(begun.elapsed());
    }
    println!("shares moved after {seen:?}");
    assert!(seen.iter().all(|time| *time < SECOND * 8), "{seen:?}");
    let counted = fleet.world.server.stats();
    assert_eq!((counted.logins, counted.reuses), (2, 0), "{counted:?}");
}

#[tokio::test]
async fn a_coordinator_that_is_far_from_redis_takes_over_a_fleet_of_many_processes() {
    // What each of three hundred processes had is to be read.
    const MEMBERS: &str = r"
        local fleet = 'jwt-refresh:{catalog}:fleet:'
        for i = 1, 300 do
            redis.call('HSET', fleet .. 'state', 'shares:m' .. i, 0)
            redis.call('HSET', fleet .. 'shares:m' .. i, '\n', '')
            redis.call('ZADD', fleet .. 'share-changes:m' .. i, 0, '\n')
        end";
    let world = World::new(1).await;
    world.redis.query::<()>(redis::cmd("EVAL").arg(MEMBERS).arg(0)).await;
    let proxy = RedisProxy::before(&world.redis).await;
    proxy.delay(20);
    let worker = AuthWorker::builder(&proxy.url(), POOL).share_time(SECOND);
    let _worker = worker.account(world.account(0)).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    drop(pool.lease().within(SECOND * 30).await.unwrap());
}

#[tokio::test]
async fn a_process_that_is_cut_off_stops_before_another_gets_its_shares_and_rejoins() {
    let fleet = Fleet::new().await;
    let _worker = fleet.worker();
    let proxy = RedisProxy::before(&fleet.world.redis).await;
    let (cut_off, pool) = (World::pool_behind(&proxy), fleet.pool());
    active(&pool, 2).await;
    let [single, free] = fleet.callers(&cut_off);
    for callers in [&single, &free] {
        more(callers, 10).await;
    }
    for round in 0..3 {
        proxy.lose_everything();
        let others = fleet.callers(&pool);
        let begun = Instant::now();
        more(&others[0], 1).await;
        println!("round {round}: another has the account {:?} after the cut", begun.elapsed());
        until("callers there get the error", async || single.take_errors().contains(&ErrorKind::Store)).await;
        let before = single.leases() + free.leases();
        more(&others[0], 20).await;
        assert_eq!(single.leases() + free.leases(), before, "leases without a share");
        proxy.pass_everything();
        heal("it is back", [&single, &free]).await;
        more(&others[0], 1).await;
    }
    fleet.check(2);
}

#[tokio::test]
async fn when_redis_restarts_empty_shares_go_on_and_none_is_given_twice() {
    let mut fleet = Fleet::new().await;
    let _workers = [fleet.worker(), fleet.worker()];
    let pools = [fleet.pool(), fleet.pool()];
    active(&pools[0], 2).await;
    let callers = pools.each_ref().map(|pool| fleet.callers(pool));
    heal("the start", callers.as_flattened()).await;
    for _ in 0..4 {
        let machine = Machine::watch();
        fleet.seen.take_longest_gaps();
        fleet.world.redis.stop();
        fleet.world.redis.run().await;
        // By then the coordinator has learnt who holds what, and moves shares again.
        tokio::time::sleep(SECOND * 2).await;
        let gaps = fleet.seen.take_longest_gaps();
        println!("longest times without a lease: {gaps:?}");
        let go_on = gaps.len() == 2 && gaps.values().all(|gap| *gap < SECOND * 2);
        assert!(go_on || !machine.was_free(), "{gaps:?}");
        heal("an empty Redis", callers.as_flattened()).await;
    }
    fleet.check(2);
}

/// A replica of `primary`, which receives what is written there through `link`.
async fn replica_of(primary: &RedisServer, link: &RedisProxy) -> RedisServer {
    let replica = RedisServer::with_options(&["--replicaof", &format!("127.0.0.1 {}", link.port)]).await;
    let offset = async |server: &RedisServer| server.info("master_repl_offset").await.parse::<u64>().unwrap();
    until("the replica has everything", async || {
        let written = offset(primary).await;
        written > 0 && offset(&replica).await >= written
    })
    .await;
    replica
}

#[tokio::test]
async fn a_fail_over_to_a_replica_without_the_last_writes_sends_no_spent_token_and_breaks_no_limit() {
    let server = TestServer::builder().access_lifetime(SECOND * 2);
    let redis = RedisServer::with_options(&["--repl-diskless-sync-delay", "0"]).await;
    let world = World { redis, server: with_accounts(server, 2).start() };
    let mut fleet = Fleet { world, seen: Arc::default() };
    let link = RedisProxy::before(&fleet.world.redis).await;
    let replica = replica_of(&fleet.world.redis, &link).await;
    let proxy = RedisProxy::before(&fleet.world.redis).await;
    let _workers = [0, 1].map(|_| fleet.with_accounts(AuthWorker::builder(&proxy.url(), POOL)));
    let pools = [0, 1].map(|_| World::pool_behind(&proxy));
    active(&pools[0], 2).await;
    let callers = pools.each_ref().map(|pool| fleet.callers(pool));
    let callers = callers.as_flattened();
    heal("the start", callers).await;

    // Refresh tokens are spent of which the replica does not hear, and shares move.
    link.lose_answers();
    let before = fleet.world.server.stats();
    until("each was refreshed twice", async || fleet.world.server.stats().since(&before).refreshes >= 4).await;
    let id = fleet.world.redis.info("master_replid").await;
    fleet.world.redis.stop();
    let () = replica.run_command("REPLICAOF NO ONE").await;
    assert_ne!(replica.info("master_replid").await, id, "the coordinator can tell a promoted replica");
    proxy.lead_to(&replica);
    let failed_over = Instant::now();
    heal("a fail-over", callers).await;
    let healed = failed_over.elapsed();
    let before = fleet.world.server.stats();
    until("each is refreshed as before", async || fleet.world.server.stats().since(&before).refreshes >= 4).await;
    let counted = fleet.world.server.stats();
    println!("healed after {healed:?}, {counted:?}, at most {} at once", fleet.seen.most("a0"));
    assert_eq!(fleet.seen.most("a0"), 1, "leases of an account that allows one at a time");
    assert_eq!(counted.reuses, 0, "{counted:?}");
    // Each worker may find each account's refresh token in doubt.
    assert!(counted.logins <= 2 + 4, "{counted:?}");
}
