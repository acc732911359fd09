//! Callers that are cancelled: the slots in time that they waited for, and their leases, are free
//! again.

use jwt_refresh::pool::RedisPool;

use super::{World, active};
use crate::support::{MINUTE, until};

/// The script that processes reports, to process one twice.
const REPORT: &str = concat!(
    include_str!("../../../jwt-refresh-core/src/pool/redis/lua/lib.lua"),
    "\n",
    include_str!("../../../jwt-refresh-core/src/pool/redis/lua/report.lua"),
);

/// A pool of one account with a rate of two calls a minute, one of which is made.
async fn slow_pool() -> (World, RedisPool) {
    let world = World::new(1).await;
    let worker = world.builder().account(world.account(0).rate(2, MINUTE)).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    // The token lives for an hour, so no worker is needed.
    worker.close().await;
    drop(pool.lease().await.unwrap());
    (world, pool)
}

/// When the account may be called next, in µs.
async fn next_slot(world: &World) -> String {
    world.redis.run_command("ZSCORE jwt-refresh:{catalog}:pool:line a0").await
}

#[tokio::test]
async fn a_slot_that_is_returned_twice_is_not_taken_from_its_next_holder() {
    let (world, pool) = slow_pool().await;
    let a_slot_is_taken =
        async |free: &str| until("the caller has a slot", async || next_slot(&world).await != free).await;
    let return_slot = async |report: u64, from: &str| {
        let mut eval = redis::cmd("EVAL");
        eval.arg(REPORT).arg(1).arg("jwt-refresh:{catalog}:pool:stats").arg("jwt-refresh:{catalog}");
        world.redis.query::<()>(eval.arg("unused").arg("a0").arg(report).arg(from)).await;
    };
    let free = next_slot(&world).await;
    let _one = tokio::spawn(pool.lease().into_future());
    a_slot_is_taken(&free).await;
    let taken = next_slot(&world).await;
    return_slot(7, &free).await;
    assert_eq!(next_slot(&world).await, free);
    let _other = tokio::spawn(pool.lease().into_future());
    a_slot_is_taken(&free).await;
    return_slot(7, &free).await;
    assert_eq!(next_slot(&world).await, taken, "two callers have one slot");
    let left: u32 = world.redis.run_command("PTTL jwt-refresh:{catalog}:pool:heard").await;
    assert!(left < 91_000, "the ids of reports are kept for {left} ms");
}

#[tokio::test]
async fn a_caller_that_is_cancelled_at_any_moment_returns_its_slot() {
    let (world, pool) = slow_pool().await;
    let free = next_slot(&world).await;
    for round in 0..100 {
        let waits = tokio::spawn(pool.lease().into_future());
        until("the caller has a slot", async || next_slot(&world).await != free).await;
        for _ in 0..round % 4 {
            tokio::task::yield_now().await;
        }
        waits.abort();
        until("the slot is returned", async || next_slot(&world).await == free).await;
    }
}

#[tokio::test]
async fn a_caller_that_is_cancelled_at_any_moment_holds_no_lease() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).concurrency(1)).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    let held = async || world.redis.run_command::<u32>("ZCARD jwt-refresh:{catalog}:pool:held:a0").await;
    for round in 0..100 {
        let asks = tokio::spawn(pool.lease().into_future());
        for _ in 0..round % 4 {
            tokio::task::yield_now().await;
        }
        until("the lease is held", async || held().await == 1 || asks.is_finished()).await;
        asks.abort();
        drop(asks.await);
        until("the lease is released", async || held().await == 0).await;
    }
}
