//! What calls are said to have cost when their account is with another process.

use jwt_refresh::Error;
use jwt_refresh::pool::{AuthWorker, Lease, Limit, QuarantineCause, RedisPool};
use tokio::task::JoinHandle;

use super::{World, active};
use crate::support::{HOUR, RedisProxy, SECOND, until};

/// A fleet with an account that allows one call at a time, and a limit of cost.
struct Fleet {
    world: World,
    _worker: AuthWorker,
}

impl Fleet {
    async fn new(limit: &Limit) -> Self {
        let world = World::new(1).await;
        let account = world.account(0).concurrency(1).limit(limit.clone());
        // A process of a busy machine may be silent for longer than a second.
        let worker = world.builder().share_time(SECOND * 10).account(account).build().unwrap();
        Self { world, _worker: worker }
    }

    /// Begins a call that is to cost 1 in one process, and has the account go to another, where a
    /// caller waits for the end of that call.
    async fn call(&self, first: &RedisPool, second: &RedisPool) -> (Lease, JoinHandle<Result<Lease, Error>>) {
        active(first, 1).await;
        let lease = first.lease().within(SECOND * 60).await.unwrap();
        let next = tokio::spawn(second.lease().within(SECOND * 60).into_future());
        gone(first).await;
        (lease, next)
    }
}

/// Waits until an account that a lease is held of has gone to another process.
async fn gone(pool: &RedisPool) {
    until("the account is with another process", async || pool.local_status().active == 0).await;
}

/// Asserts that of 100, a call that has ended by now has cost 60, and the next one 1.
async fn has_39_left(pool: &RedisPool, next: JoinHandle<Result<Lease, Error>>) {
    drop(next.await.unwrap().unwrap());
    assert!(pool.lease().cost(40).within(SECOND).await.is_err(), "61 of 100 are spent");
    pool.lease().cost(39).within(SECOND * 60).await.unwrap();
}

async fn left_after_a_late_cost(limit: Limit) {
    let fleet = Fleet::new(&limit).await;
    let [first, second] = [fleet.world.pool(), fleet.world.pool()];
    let (lease, next) = fleet.call(&first, &second).await;
    lease.spent(20);
    lease.spent(60);
    drop(lease);
    has_39_left(&second, next).await;
}

#[tokio::test]
async fn what_a_call_has_cost_is_charged_to_the_process_that_has_its_account_by_then() {
    tokio::join!(
        left_after_a_late_cost(Limit::daily_cost(100)),
        left_after_a_late_cost(Limit::cost(100, HOUR).burst(100)),
        left_after_a_late_cost(Limit::cost(100, HOUR).strict()),
    );
}

#[tokio::test]
async fn what_a_call_has_cost_while_redis_was_out_of_reach_is_told_when_it_is_back() {
    let fleet = Fleet::new(&Limit::daily_cost(100)).await;
    let proxy = RedisProxy::before(&fleet.world.redis).await;
    let [first, second] = [World::pool_behind(&proxy), fleet.world.pool()];
    let (lease, next) = fleet.call(&first, &second).await;
    // Nobody takes the account back for the call that is under way.
    fleet.world.without_coordinator().await;
    proxy.lose_everything();
    lease.spent(60);
    drop(lease);
    // Each takes as long as the process' own try to tell it.
    for _ in 0..3 {
        assert!(first.status().await.is_err());
    }
    proxy.pass_everything();
    fleet.world.redis.run_command::<u32>("DEL jwt-refresh:{catalog}:auth:coordinator").await;
    has_39_left(&second, next).await;
}

#[tokio::test]
async fn a_process_that_ends_tells_what_its_calls_have_cost_until_then() {
    let fleet = Fleet::new(&Limit::daily_cost(100)).await;
    let [first, second] = [fleet.world.pool(), fleet.world.pool()];
    let (lease, next) = fleet.call(&first, &second).await;
    lease.spent(60);
    drop(lease);
    first.close(SECOND).await;
    has_39_left(&second, next).await;
}

#[tokio::test]
async fn a_process_that_serves_already_stops_when_a_call_of_another_has_used_the_quota_up() {
    let world = World::new(1).await;
    let account = world.account(0).limit(Limit::daily_cost(100));
    let _worker = world.builder().share_time(SECOND * 10).account(account).build().unwrap();
    let pools = [world.pool(), world.pool()];
    active(&pools[0], 1).await;
    let lease = pools[0].lease().within(SECOND * 60).await.unwrap();
    let _other = pools[1].lease().within(SECOND * 60).await.unwrap();
    gone(&pools[0]).await;
    lease.spent(99);
    let is_used_up = |pool: &RedisPool| pool.local_status().quarantined_for(QuarantineCause::QuotaUsedUp) == 1;
    until("the quota is used up", async || pools.iter().any(is_used_up)).await;
    for pool in &pools {
        assert!(pool.lease().within(SECOND).await.is_err());
    }
}
