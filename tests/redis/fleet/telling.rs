//! What auth workers tell the fleet of their accounts: how often, how much at once, and what is
//! true of accounts that are removed meanwhile.

use std::pin::pin;
use std::time::Instant;

use jwt_refresh::pool::{AuthWorker, RedisPool};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use super::{POOL, World, active, holds};
use crate::support::{MINUTE, RedisProxy, SECOND, log, until};

const STATE: &str = "jwt-refresh:{catalog}:fleet:state";
const TOKENS: &str = "jwt-refresh:{catalog}:fleet:tokens";
const ACCOUNTS: &str = "jwt-refresh:{catalog}:fleet:accounts";
const WORKERS: &str = "jwt-refresh:{catalog}:fleet:workers";
const WANTS: &str = "jwt-refresh:{catalog}:member:wants";

/// How often accounts were told of.
async fn revision(world: &World) -> u64 {
    world.redis.run_command::<Option<u64>>(&format!("HGET {STATE} rev")).await.unwrap_or_default()
}

/// What members want of the account.
async fn want(world: &World) -> Option<String> {
    world.redis.run_command(&format!("HGET {WANTS} a0")).await
}

async fn has_wanted(world: &World, what: &str) {
    until(what, async || want(world).await.is_some_and(|want| want.contains(what))).await;
}

/// What Redis has counted of the command `PUBLISH`.
async fn publishes(world: &World, figure: &str) -> u64 {
    let stats: String = world.redis.run_command("INFO commandstats").await;
    let figures = stats.lines().find_map(|line| line.strip_prefix("cmdstat_publish:")).unwrap_or_default();
    let count = figures.split(',').find_map(|one| one.strip_prefix(figure)?.strip_prefix('='));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Has all logins and refreshes fail from now on.
fn fail(world: &World) {
    for endpoint in [Endpoint::Login, Endpoint::Refresh] {
        world.server.inject(endpoint, Fault::Status(503), Times::Always);
    }
}

/// Asserts that the account is told of a few times a second, and no more.
async fn is_told_of_rarely(world: &World) {
    let (before, begun) = (revision(world).await, Instant::now());
    tokio::time::sleep(SECOND * 2).await;
    let told = revision(world).await - before;
    let seconds = begun.elapsed().as_secs() + 1;
    assert!(told <= 10 * seconds, "told {told} times in {seconds} s, while {:?} is wanted", want(world).await);
}

/// Lets exchanges succeed again, and waits until the account serves and nothing is wanted any more.
async fn recovers(world: &World, pool: &RedisPool) {
    world.server.clear_faults();
    until("the account serves", async || pool.lease().within(SECOND).await.is_ok()).await;
    until("nothing is wanted", async || want(world).await.is_none()).await;
}

#[tokio::test]
async fn an_expired_token_that_cannot_be_renewed_is_told_of_rarely() {
    let world = World::with_lifetime(1, SECOND * 2).await;
    let _worker = world.worker(1);
    let pool = world.pool();
    holds(&pool, 1).await;
    fail(&world);
    has_wanted(&world, "expired").await;
    is_told_of_rarely(&world).await;
    recovers(&world, &pool).await;
}

#[tokio::test]
async fn a_token_that_is_used_up_and_cannot_be_renewed_is_told_of_rarely() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).usage_cap(1)).build().unwrap();
    let pool = world.pool();
    holds(&pool, 1).await;
    fail(&world);
    drop(pool.lease().await.unwrap());
    has_wanted(&world, ":").await;
    is_told_of_rarely(&world).await;
    recovers(&world, &pool).await;
}

#[tokio::test]
async fn a_worker_that_lacks_the_token_that_was_rejected_tells_of_its_own_rarely() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pool = world.pool();
    holds(&pool, 1).await;
    fail(&world);
    let row: String = world.redis.run_command(&format!("HGET {TOKENS} a0")).await;
    let row = format!("100:{}", row.split_once(':').unwrap().1);
    world.redis.query::<i64>(redis::cmd("HSET").arg(TOKENS).arg("a0").arg(row)).await;
    world.redis.run_command::<i64>(&format!("HSET {WANTS} a0 100:rejected")).await;
    is_told_of_rarely(&world).await;
    recovers(&world, &pool).await;
}

#[tokio::test]
async fn a_token_that_there_is_not_is_wanted_in_vain() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pool = world.pool();
    holds(&pool, 1).await;
    world.redis.run_command::<i64>(&format!("HSET {WANTS} a0 9999:x")).await;
    is_told_of_rarely(&world).await;
    assert_eq!((world.server.stats().logins, world.server.stats().refreshes), (1, 0));
    drop(pool.lease().await.unwrap());
}

/// More accounts than are told of at once.
const MANY: usize = 1_200;

#[tokio::test]
async fn no_more_is_told_at_once_after_failures() {
    let world = World::new(MANY).await;
    // The script writes how many accounts it was told of, and fails at its end.
    let rule = "ACL SETUSER mute on >password ~* resetchannels &jwt-refresh/catalog/vault:* +@all";
    let () = world.redis.run_command(rule).await;
    let url = format!("redis://mute:password@127.0.0.1:{}", world.redis.port);
    let accounts = (0..MANY).map(|number| world.account(number));
    let _worker = AuthWorker::builder(&url, POOL).accounts(accounts).build().unwrap();
    let mut told = 0;
    let mut tries = 0;
    until("it has tried it some times", async || {
        told = revision(&world).await;
        tries = publishes(&world, "rejected_calls").await;
        tries >= 5
    })
    .await;
    assert!(told <= 500 * tries, "told of {told} accounts in {tries} tries");
}

#[tokio::test]
async fn what_is_wanted_already_wakes_no_auth_worker() {
    let world = World::new(0).await;
    let script = include_str!("../../../jwt-refresh-core/src/pool/fleet/lua/want.lua");
    let mut wakes = Vec::new();
    for sequence in [5, 5, 6, 5] {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(1).arg(WANTS).arg("wants").arg("a0").arg(sequence).arg("expired");
        world.redis.query::<i64>(&command).await;
        wakes.push(publishes(&world, "calls").await);
    }
    assert_eq!(wakes, [1, 1, 2, 2]);
    assert_eq!(want(&world).await.unwrap(), "6:expired");
}

#[tokio::test]
async fn while_redis_is_away_it_is_tried_a_few_times_a_second() {
    log();
    let mut world = World::new(2).await;
    let worker = world.worker(1);
    active(&world.pool(), 1).await;
    world.redis.stop();
    worker.add(world.account(1)).unwrap();
    let server = format!("127.0.0.1:{}", world.redis.port);
    let tries = || {
        let is_try = |line: &&str| line.contains("could not tell the fleet's Redis") && line.contains(&server);
        log().lines().filter(is_try).count() as u64
    };
    until("it was tried", async || tries() > 0).await;
    let (before, begun) = (tries(), Instant::now());
    tokio::time::sleep(SECOND * 2).await;
    let tries = tries() - before;
    let seconds = begun.elapsed().as_secs() + 1;
    assert!(tries <= 10 * seconds, "{tries} tries in {seconds} s");
}

#[tokio::test]
async fn an_account_that_is_removed_while_it_is_registered_stays_removed() {
    let world = World::new(1).await;
    let proxy = RedisProxy::before(&world.redis).await;
    proxy.hold_back("of-its-row");
    let worker = AuthWorker::builder(&proxy.url(), POOL).timeout(MINUTE).claim_ttl(MINUTE * 2);
    let worker = worker.account(world.account(0).tag("of-its-row")).build().unwrap();
    until("it is being registered", async || proxy.is_holding()).await;
    let mut removal = pin!(worker.remove("a0"));
    // It may have to wait until that has ended.
    let early = tokio::time::timeout(SECOND / 2, &mut removal).await;
    proxy.let_go();
    let removed = match early {
        Ok(removed) => removed,
        Err(_) => removal.await,
    };
    assert!(removed.unwrap());
    until("the worker has told of all", async || {
        world.redis.run_command::<u32>(&format!("EXISTS {WORKERS}")).await == 1
    })
    .await;
    assert_eq!(world.redis.run_command::<u32>(&format!("HEXISTS {ACCOUNTS} a0")).await, 0, "it is back");
}

#[tokio::test]
async fn a_process_hears_of_a_removal_after_redis_has_lost_its_revision() {
    let world = World::new(3).await;
    let worker = world.worker(3);
    let proxy = RedisProxy::before(&world.redis).await;
    let pool = World::pool_behind(&proxy);
    until("it knows the accounts", async || pool.local_status().accounts == 3).await;
    active(&pool, 3).await;
    proxy.lose_everything();
    let before = revision(&world).await;
    // As if all of its key was lost, and the coordinator has written its part again.
    world.redis.run_command::<u32>(&format!("HDEL {STATE} rev")).await;
    assert!(worker.remove("a2").await.unwrap());
    until("all is told again", async || revision(&world).await > before).await;
    proxy.pass_everything();
    until("it knows of the removal", async || pool.local_status().accounts == 2).await;
}
