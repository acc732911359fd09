//! Accounts that are kept out of use in all processes, why, and for how long.

use std::time::{Duration, Instant};

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{Lease, QuarantineCause, RedisPool};

use super::{World, active, holds, policy};
use crate::support::{SECOND, until};

/// Why the first quarantined account is kept out, and when it returns.
async fn cause(pool: &RedisPool) -> Option<(QuarantineCause, Option<Duration>)> {
    pool.status().await.ok()?.quarantined.first().map(|one| (one.cause, one.returns_in))
}

#[tokio::test]
async fn a_rejected_token_is_renewed_and_the_next_lease_waits_for_it() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    world.server.rotate_signing_key();
    let lease = pool.lease().await.unwrap();
    assert_eq!(world.call(&lease).await, 401);
    lease.rejected();
    let renewed = pool.lease().within(SECOND * 10).await.unwrap();
    assert!(renewed.generation() > lease.generation());
    assert_eq!(world.call(&renewed).await, 200);
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn many_rejections_of_one_token_in_all_processes_cost_one_refresh() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pools = [world.pool(), world.pool(), world.pool()];
    active(&pools[0], 1).await;
    let leases = [pools[0].lease().await.unwrap(), pools[1].lease().await.unwrap(), pools[2].lease().await.unwrap()];
    leases[0].rejected();
    let renewed = pools[0].lease().within(SECOND * 10).await.unwrap();
    leases[1].rejected();
    leases[2].rejected();
    for pool in &pools {
        let generation = async || pool.lease().within(SECOND * 20).await.unwrap().generation();
        until("every process has the new token", async || generation().await == renewed.generation()).await;
    }
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn a_renewed_token_that_is_rejected_quarantines_its_account_in_all_processes_until_a_login() {
    let world = World::new(1).await;
    let short = policy().quarantine(SECOND * 20, SECOND * 20);
    let _worker = world.builder().account(world.account(0)).policy(short).build().unwrap();
    let (pool, other) = (world.pool(), world.pool());
    active(&pool, 1).await;
    pool.lease().await.unwrap().rejected();
    pool.lease().within(SECOND * 10).await.unwrap().rejected();
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    assert!(error.to_string().contains("token rejected"), "{error}");
    assert_eq!(other.lease().await.unwrap_err().kind(), ErrorKind::NoAccount);
    active(&pool, 1).await;
    assert_eq!(
        (world.server.stats().refreshes, world.server.stats().logins),
        (1, 2),
        "after the quarantine the account logs in"
    );
    assert_eq!(world.call(&other.lease().await.unwrap()).await, 200);
}

#[tokio::test]
async fn a_denied_account_is_quarantined_until_it_can_log_in() {
    let world = World::new(2).await;
    world.server.ban("a1");
    let begun = Instant::now();
    let short = policy().quarantine(SECOND * 2, SECOND * 2);
    let accounts = (0..2).map(|number| world.account(number));
    let _worker = world.builder().accounts(accounts).policy(short).build().unwrap();
    let pool = world.pool();
    until("a1 is denied", async || matches!(cause(&pool).await, Some((QuarantineCause::Denied, Some(_))))).await;
    for _ in 0..10 {
        assert_eq!(pool.lease().await.unwrap().account(), "a0");
    }
    world.server.unban("a1");
    active(&pool, 2).await;
    let most = begun.elapsed().as_secs() / 2 + 1;
    assert!(world.server.stats().failed_logins <= most, "{:?} of {most}", world.server.stats());
}

#[tokio::test]
async fn after_a_429_an_account_rests_in_all_processes_and_returns_without_an_exchange() {
    let world = World::new(2).await;
    let _worker = world.worker(2);
    let (pool, other) = (world.pool(), world.pool());
    active(&pool, 2).await;
    let limited = pool.lease().await.unwrap();
    limited.rate_limited(Some(SECOND * 15));
    until("the account rests", async || matches!(cause(&pool).await, Some((QuarantineCause::RateLimited, Some(_)))))
        .await;
    for _ in 0..5 {
        assert_ne!(other.lease().await.unwrap().account(), limited.account());
    }
    active(&pool, 2).await;
    assert_eq!(world.server.stats().auth_requests, 2);
}

#[tokio::test]
async fn a_rest_that_others_were_told_of_lasts_though_new_tokens_come() {
    const REST: Duration = Duration::from_secs(15);
    let world = World::new(1).await;
    // Two processes can have a part each.
    let account = world.account(0).rate(1000, SECOND).burst(2);
    let _worker = world.builder().account(account).build().unwrap();
    let pools = with_parts(&world).await;
    let [limited, rejected] = [pools[0].lease().await.unwrap(), pools[0].lease().await.unwrap()];
    let begun = Instant::now();
    limited.rate_limited(Some(REST));
    let rests =
        |pool: &RedisPool| pool.local_status().quarantined.iter().any(|one| one.cause == QuarantineCause::RateLimited);
    until("the other process has heard of the rest", async || rests(&pools[1])).await;
    rejected.rejected();
    let mut lease = None;
    until("the other process has a lease", async || {
        lease = pools[1].lease().await.ok();
        lease.is_some()
    })
    .await;
    assert!(begun.elapsed() >= REST, "leased {:?} after the 429", begun.elapsed());
    assert!(lease.unwrap().generation() > rejected.generation(), "the token was renewed meanwhile");
}

/// A process with a lease of an account that another process has by now, and that process.
async fn with_lease_of_an_account_that_has_moved(world: &World) -> (RedisPool, RedisPool, Lease) {
    let (pool, other) = (world.pool(), world.pool());
    active(&pool, 1).await;
    let lease = pool.lease().await.unwrap();
    drop(other.lease().within(SECOND * 10).await.unwrap());
    until("the account has moved", async || pool.local_status().active == 0).await;
    (pool, other, lease)
}

#[tokio::test]
async fn a_token_that_is_rejected_after_its_account_has_moved_is_renewed() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).rate(1000, SECOND)).build().unwrap();
    let (_pool, other, lease) = with_lease_of_an_account_that_has_moved(&world).await;
    lease.rejected();
    until("the other process has a new token", async || {
        other.lease().within(SECOND * 10).await.unwrap().generation() > lease.generation()
    })
    .await;
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn an_account_that_is_told_to_rest_after_it_has_moved_rests_in_all_processes() {
    let rest = Some(SECOND * 30);
    let reports: [(_, fn(&Lease, _)); 2] =
        [(QuarantineCause::RateLimited, Lease::rate_limited), (QuarantineCause::QuotaUsedUp, Lease::quota_used_up)];
    for (expected, report) in reports {
        let world = World::new(1).await;
        let _worker = world.builder().account(world.account(0).rate(1000, SECOND)).build().unwrap();
        let (pool, other, lease) = with_lease_of_an_account_that_has_moved(&world).await;
        report(&lease, rest);
        until("it rests", async || cause(&other).await.is_some_and(|(cause, _)| cause == expected)).await;
        for pool in [&pool, &other] {
            assert!(pool.lease().within(SECOND).await.is_err(), "it is used while it rests");
        }
    }
}

#[tokio::test]
async fn callers_wait_for_an_account_that_rests_briefly() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    pool.lease().await.unwrap().rate_limited(Some(SECOND));
    let begun = Instant::now();
    pool.lease().await.unwrap();
    assert!(begun.elapsed() > SECOND * 8 / 10, "the caller did not wait");
}

#[tokio::test]
async fn an_account_without_quota_rests_until_the_quota_is_restored() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    pool.lease().await.unwrap().quota_used_up(Some(SECOND));
    let error = pool.lease().await.unwrap_err();
    assert!(error.to_string().contains("quota used up"), "{error}");
    active(&pool, 1).await;
    assert_eq!(world.server.stats().auth_requests, 1);
}

#[tokio::test]
async fn a_token_that_has_reached_its_usage_cap_is_replaced_in_the_background() {
    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0).usage_cap(5)).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    let mut generations = std::collections::HashMap::<u64, u32>::new();
    for _ in 0..20 {
        let lease = pool.lease().within(SECOND * 10).await.unwrap();
        *generations.entry(lease.generation()).or_default() += 1;
    }
    assert!(generations.values().all(|uses| *uses == 5), "{generations:?}");
    assert_eq!(world.server.stats().logins, 1, "all others are refreshes");
}

#[tokio::test]
async fn without_an_auth_worker_live_tokens_are_served_and_another_worker_goes_on() {
    let world = World::with_lifetime(1, SECOND * 10).await;
    let worker = world.worker(1);
    let pool = world.pool();
    holds(&pool, 1).await;
    drop(worker);
    let other = pool.clone();
    world.serves(&pool.lease().await.unwrap()).await;
    let waits = tokio::spawn(async move {
        loop {
            let lease = pool.lease().await.unwrap();
            if lease.generation() > 1 {
                return lease;
            }
            tokio::task::yield_now().await;
        }
    });
    until("the token has expired", async || other.local_status().waiting == 1).await;
    let _worker = world.worker(1);
    world.serves(&waits.await.unwrap()).await;
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.reuses), (1, 1, 0), "{stats:?}");
}

/// Two processes that have a part of the same account each.
async fn with_parts(world: &World) -> [RedisPool; 2] {
    let pools = [world.pool(), world.pool()];
    active(&pools[0], 1).await;
    // A part that nobody asks for any more goes to the other.
    until("each has a part", async || {
        for pool in &pools {
            drop(pool.lease().within(SECOND * 20).await.unwrap());
        }
        pools.iter().all(|pool| pool.local_status().active == 1)
    })
    .await;
    pools
}

#[tokio::test]
async fn what_was_reported_just_before_a_process_is_closed_is_told() {
    let world = World::new(1).await;
    let account = world.account(0).rate(1000, SECOND).burst(2);
    let _worker = world.builder().account(account).build().unwrap();
    let [closed, other] = with_parts(&world).await;
    let rejected = closed.lease().await.unwrap();
    rejected.rejected();
    let generation = rejected.generation();
    drop(rejected);
    closed.close(SECOND * 30).await;
    until("the token is renewed", async || other.lease().within(SECOND * 20).await.unwrap().generation() > generation)
        .await;
    drop(other);
    let [closed, other] = with_parts(&world).await;
    closed.lease().await.unwrap().rate_limited(Some(SECOND * 60));
    closed.close(SECOND * 30).await;
    let rests =
        |pool: &RedisPool| pool.local_status().quarantined.iter().any(|one| one.cause == QuarantineCause::RateLimited);
    until("the other process has heard of the rest", async || rests(&other)).await;
}
