use jwt_refresh::pool::RedisPool;

use super::{SECOND, World, active};
use crate::until;

/// What reports are told to Redis with, to tell one twice.
const REPORT: &str = concat!(
    include_str!("../../../jwt-refresh-core/src/pool/redis/lua/lib.lua"),
    "\n",
    include_str!("../../../jwt-refresh-core/src/pool/redis/lua/report.lua"),
);

/// One account, which may be called twice a minute.
async fn slow() -> (World, RedisPool) {
    let world = World::new(1).await;
    let worker = world.builder().account(world.account(0).rate(2, SECOND * 60)).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    // Its token lives for an hour.
    worker.close().await;
    drop(pool.lease().await.unwrap());
    (world, pool)
}

/// When the account may be called next, in µs, as the line says it.
async fn opens(world: &World) -> String {
    world.redis.say("ZSCORE jwt-refresh:{catalog}:pool:line a0").await
}

#[tokio::test]
async fn a_place_that_is_given_back_twice_is_not_taken_from_whoever_has_it_by_then() {
    let (world, pool) = slow().await;
    let a_place_is_taken = async |free: &str| until("it has a place", async || opens(&world).await != free).await;
    let give_back = async |report: u64, from: &str| {
        let mut eval = redis::cmd("EVAL");
        eval.arg(REPORT).arg(1).arg("jwt-refresh:{catalog}:pool:stats").arg("jwt-refresh:{catalog}");
        world.redis.ask::<()>(eval.arg("unused").arg("a0").arg(report).arg(from)).await;
    };
    let free = opens(&world).await;
    let _one = tokio::spawn(pool.lease().into_future());
    a_place_is_taken(&free).await;
    let taken = opens(&world).await;
    give_back(7, &free).await;
    assert_eq!(opens(&world).await, free);
    let _other = tokio::spawn(pool.lease().into_future());
    a_place_is_taken(&free).await;
    give_back(7, &free).await;
    assert_eq!(opens(&world).await, taken, "one place, two callers");
    let left: u32 = world.redis.say("PTTL jwt-refresh:{catalog}:pool:heard").await;
    assert!(left < 91_000, "what was heard is kept for {left} ms");
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_place_back_at_whatever_moment() {
    let (world, pool) = slow().await;
    let free = opens(&world).await;
    for round in 0..100 {
        let waits = tokio::spawn(pool.lease().into_future());
        until("it has a place", async || opens(&world).await != free).await;
        for _ in 0..round % 4 {
            tokio::task::yield_now().await;
        }
        waits.abort();
        until("it is given back", async || opens(&world).await == free).await;
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_holds_no_lease_at_whatever_moment() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).concurrency(1)).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    let held = async || world.redis.say::<u32>("ZCARD jwt-refresh:{catalog}:pool:held:a0").await;
    for round in 0..100 {
        let asks = tokio::spawn(pool.lease().into_future());
        for _ in 0..round % 4 {
            tokio::task::yield_now().await;
        }
        until("it is held", async || held().await == 1 || asks.is_finished()).await;
        asks.abort();
        drop(asks.await);
        until("it is given back", async || held().await == 0).await;
    }
}
