//! 429s: how long an account rests after one, after several at once, and after many over time.

use std::time::Duration;

use jwt_refresh::pool::{Account, Lease, Pool, QuarantineCause};
use jwt_refresh::{Authenticator, Error, Tokens};

use crate::support::{HOUR, MINUTE, SECOND, World};
use crate::{active, is_pending};

/// Logs in without a server, to tokens that do not expire.
struct NeverExpires;

impl Authenticator for NeverExpires {
    async fn login(&self) -> Result<Tokens, Error> {
        Tokens::new("token")
    }
}

/// A pool of one account.
async fn pool(world: &World) -> Pool {
    let pool = world.pool_of([Account::new("ada", NeverExpires)]).build().unwrap();
    active(&pool, 1).await;
    pool
}

async fn leases<const COUNT: usize>(pool: &Pool) -> [Lease; COUNT] {
    let mut leases = Vec::new();
    for _ in 0..COUNT {
        leases.push(pool.lease().await.unwrap());
    }
    leases.try_into().unwrap()
}

/// Lets time pass until the account serves again, in steps of half a second. Returns how long that
/// took.
async fn rest(world: &World, pool: &Pool) -> Duration {
    let mut rest = Duration::ZERO;
    loop {
        let mut lease = pool.lease().into_future();
        if !is_pending(&mut lease) && pool.lease().await.is_ok() {
            return rest;
        }
        drop(lease);
        world.clock.advance(SECOND / 2);
        rest += SECOND / 2;
        assert!(rest < 2 * HOUR, "the account does not return");
    }
}

#[tokio::test]
async fn calls_in_flight_that_are_answered_429_at_one_moment_are_one_strike() {
    let world = World::with_accounts(1);
    let pool = pool(&world).await;
    for lease in leases::<8>(&pool).await {
        lease.rate_limited(None);
    }
    let status = pool.status();
    assert_eq!(status.active, 1, "{status}");
    assert_eq!(rest(&world, &pool).await, SECOND);
}

#[tokio::test]
async fn a_call_from_before_a_rest_that_is_answered_429_after_it_is_no_strike() {
    let world = World::with_accounts(1);
    let pool = pool(&world).await;
    let [first, second] = leases(&pool).await;
    first.rate_limited(None);
    world.clock.advance(SECOND);
    second.rate_limited(None);
    assert_eq!(rest(&world, &pool).await, Duration::ZERO);
    pool.lease().await.unwrap().rate_limited(None);
    assert_eq!(rest(&world, &pool).await, 2 * SECOND, "the second strike in a row");
}

#[tokio::test]
async fn one_429_a_day_stays_at_the_first_rest_without_any_report_of_a_success() {
    let world = World::with_accounts(1);
    let pool = pool(&world).await;
    for day in 1..=10 {
        pool.lease().await.unwrap().rate_limited(None);
        assert_eq!(rest(&world, &pool).await, SECOND, "on day {day}");
        world.clock.advance(24 * HOUR);
    }
}

#[tokio::test]
async fn an_account_that_is_answered_429_after_each_rest_rests_for_twice_as_long_up_to_the_longest_rest() {
    let world = World::with_accounts(1);
    let pool = pool(&world).await;
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        pool.lease().await.unwrap().rate_limited(None);
        assert_eq!(rest(&world, &pool).await, seconds * SECOND);
    }
    // Each minute without a 429 takes one strike back.
    world.clock.advance(5 * MINUTE);
    pool.lease().await.unwrap().rate_limited(None);
    assert_eq!(rest(&world, &pool).await, 4 * SECOND);
}

#[tokio::test]
async fn a_retry_after_is_obeyed_and_is_one_strike_too() {
    let world = World::with_accounts(1);
    let pool = pool(&world).await;
    let [first, second, third] = leases(&pool).await;
    first.rate_limited(Some(3 * SECOND));
    second.rate_limited(Some(4 * SECOND));
    third.rate_limited(None);
    assert_eq!(rest(&world, &pool).await, 4 * SECOND, "the longest that the server asked for");
    pool.lease().await.unwrap().rate_limited(None);
    assert_eq!(rest(&world, &pool).await, 2 * SECOND, "the second strike");
}

#[tokio::test]
async fn a_retry_after_of_zero_or_of_years_is_clamped() {
    let world = World::with_accounts(1);
    let pool = pool(&world).await;
    pool.lease().await.unwrap().rate_limited(Some(Duration::ZERO));
    assert_eq!(rest(&world, &pool).await, SECOND, "as if there were none");
    pool.lease().await.unwrap().rate_limited(Some(10_000 * HOUR));
    let status = pool.status();
    assert_eq!(status.quarantined[0].cause, QuarantineCause::RateLimited);
    assert_eq!(rest(&world, &pool).await, 10 * MINUTE, "the longest that the policy obeys");
}

#[tokio::test]
async fn a_call_that_succeeded_after_the_rest_takes_the_strikes_back_and_one_from_before_does_not() {
    let world = World::with_accounts(1);
    let pool = pool(&world).await;
    let [first, second] = leases(&pool).await;
    first.rate_limited(None);
    second.succeeded();
    rest(&world, &pool).await;
    pool.lease().await.unwrap().rate_limited(None);
    assert_eq!(rest(&world, &pool).await, 2 * SECOND);
    pool.lease().await.unwrap().succeeded();
    pool.lease().await.unwrap().rate_limited(None);
    assert_eq!(rest(&world, &pool).await, SECOND);
}
