//! Leases that are not given back.

use std::time::Duration;

use jwt_refresh::pool::{Account, Lease, Limit, Pool, PoolPolicy};
use jwt_refresh::{ErrorKind, ManualClock};

use crate::is_pending;
use crate::support::{SECOND, until};

const MINUTE: Duration = Duration::from_secs(60);

fn pool_of_one(clock: &ManualClock, policy: PoolPolicy) -> Pool {
    pool_with(clock, policy, Account::api_key("a", "key").concurrency(2))
}

fn pool_with(clock: &ManualClock, policy: PoolPolicy, account: Account) -> Pool {
    Pool::builder().clock(clock).policy(policy).account(account).build().unwrap()
}

/// Leases all that there are and never gives it back.
async fn leak(pool: &Pool, leases: usize) {
    for _ in 0..leases {
        std::mem::forget(pool.lease().await.unwrap());
    }
}

#[tokio::test]
async fn a_leaked_lease_comes_back_after_the_time_out_and_is_counted() {
    let clock = ManualClock::new();
    let pool = pool_of_one(&clock, PoolPolicy::default().lease_timeout(MINUTE));
    leak(&pool, 2).await;
    let mut waiting = Box::pin(pool.lease().into_future());
    assert!(is_pending(&mut waiting));
    clock.advance(59 * SECOND);
    assert_eq!((pool.status().leases_timed_out, pool.status().waiting), (0, 1));
    clock.advance(2 * SECOND);
    let lease = waiting.await.unwrap();
    until("both came back", async || pool.status().leases_timed_out == 2).await;
    drop(lease);
    clock.advance(2 * MINUTE);
    assert_eq!(pool.status().leases_timed_out, 2, "a lease that was given back does not time out");
}

#[tokio::test]
async fn a_late_return_does_not_free_the_place_of_another_lease() {
    let clock = ManualClock::new();
    let pool = pool_of_one(&clock, PoolPolicy::default().lease_timeout(MINUTE));
    let late: Vec<Lease> = vec![pool.lease().await.unwrap(), pool.lease().await.unwrap()];
    clock.advance(61 * SECOND);
    let held: Vec<Lease> = vec![pool.lease().await.unwrap(), pool.lease().await.unwrap()];
    drop(late);
    let mut waiting = Box::pin(pool.lease().into_future());
    assert!(is_pending(&mut waiting), "two leases are held, and no more may be");
    drop(held);
    assert!(waiting.await.is_ok());
    assert_eq!(pool.status().leases_timed_out, 2);
}

#[tokio::test]
async fn what_a_late_holder_reports_still_counts() {
    let clock = ManualClock::new();
    let pool = pool_of_one(&clock, PoolPolicy::default().lease_timeout(MINUTE));
    let late = pool.lease().await.unwrap();
    clock.advance(61 * SECOND);
    assert_eq!(pool.status().leases_timed_out, 1);
    late.quota_used_up(Some(MINUTE));
    assert_eq!(pool.status().active, 0);
}

#[tokio::test]
async fn what_a_leaked_call_cost_is_not_in_flight_any_more() {
    let clock = ManualClock::new();
    let policy = PoolPolicy::default().lease_timeout(MINUTE);
    let account = Account::api_key("a", "key").limit(Limit::cost(100, SECOND).strict());
    let pool = pool_with(&clock, policy, account);
    let lease = pool.lease().cost(10).await.unwrap();
    lease.spent(100);
    std::mem::forget(lease);
    let mut waiting = Box::pin(pool.lease().cost(1).into_future());
    clock.advance(30 * SECOND);
    assert!(is_pending(&mut waiting), "the call may not have been answered yet");
    clock.advance(32 * SECOND);
    until("it came back", async || pool.status().leases_timed_out == 1).await;
    assert!(is_pending(&mut waiting), "it counts for one window from then on");
    clock.advance(2 * SECOND);
    assert!(waiting.await.is_ok());
}

#[tokio::test]
async fn without_a_time_out_a_lease_is_held_for_ever() {
    let clock = ManualClock::new();
    let pool = pool_of_one(&clock, PoolPolicy::default());
    leak(&pool, 2).await;
    let mut waiting = Box::pin(pool.lease().into_future());
    clock.advance(1000 * 24 * 60 * MINUTE);
    assert!(is_pending(&mut waiting));
    assert_eq!(pool.status().leases_timed_out, 0);
}

#[tokio::test]
async fn a_time_out_of_zero_is_refused() {
    let policy = PoolPolicy::default().lease_timeout(Duration::ZERO);
    let error = Pool::builder().policy(policy).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("lease time-out of zero"), "{error}");
}
