//! Accounts that are kept out of use, why, and for how long.

use std::time::Duration;

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{Health, Pool, QuarantineCause};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use crate::support::{MINUTE, SECOND, World, until};
use crate::{active, run_other_tasks};

/// Why the first quarantined account is kept out, and when it returns.
fn cause(pool: &Pool) -> Option<(QuarantineCause, Option<Duration>)> {
    pool.status().quarantined.first().map(|one| (one.cause, one.returns_in))
}

#[tokio::test]
async fn a_denied_account_is_quarantined_until_it_can_log_in() {
    let world = World::with_accounts(3);
    world.server.ban("a1");
    let pool = world.pool(3).build().unwrap();
    active(&pool, 2).await;
    until("a1 is denied", async || matches!(cause(&pool), Some((QuarantineCause::Denied, Some(_))))).await;
    assert_eq!(pool.status().health(), Health::Degraded);
    for _ in 0..10 {
        assert_ne!(pool.lease().await.unwrap().account(), "a1");
    }
    assert_eq!(world.server.stats().failed_logins, 1, "it is not tried again at once");
    world.server.unban("a1");
    world.pass(MINUTE);
    active(&pool, 3).await;
    assert_eq!(pool.status().health(), Health::Good);
}

#[tokio::test]
async fn a_denied_account_is_tried_ever_more_rarely() {
    let world = World::with_accounts(2);
    world.server.ban("a0");
    let pool = world.pool(2).build().unwrap();
    active(&pool, 1).await;
    for _ in 0..60 {
        until("a0 is denied", async || matches!(cause(&pool), Some((_, Some(_))))).await;
        world.pass(MINUTE);
        run_other_tasks().await;
    }
    let failed = world.server.stats().failed_logins;
    assert!((5..=12).contains(&failed), "{failed} logins in an hour");
}

#[tokio::test]
async fn a_token_rejected_right_after_its_renewal_quarantines_its_account_and_one_that_served_does_not() {
    let world = World::with_accounts(1);
    let pool = world.pool(1).build().unwrap();
    pool.lease().await.unwrap().rejected();
    let renewed = pool.lease().await.unwrap();
    assert_eq!(world.server.stats().refreshes, 1);
    renewed.rejected();
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    assert!(error.to_string().contains("token rejected"), "{error}");
    assert_eq!(cause(&pool).unwrap().0, QuarantineCause::Rejected);

    world.pass(MINUTE);
    let lease = pool.lease().await.unwrap();
    assert_eq!(world.server.stats().logins, 2, "after the quarantine the account logs in");
    lease.succeeded();
    lease.rejected();
    pool.lease().await.unwrap();
}

#[tokio::test]
async fn many_rejections_of_one_token_cost_one_refresh() {
    let world = World::with_accounts(1);
    let pool = world.pool(1).build().unwrap();
    let leases = [pool.lease().await.unwrap(), pool.lease().await.unwrap(), pool.lease().await.unwrap()];
    leases[0].rejected();
    let renewed = pool.lease().await.unwrap();
    leases[1].rejected();
    leases[2].rejected();
    assert_eq!(pool.lease().await.unwrap().generation(), renewed.generation());
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn after_a_429_an_account_rests_as_long_as_the_server_says() {
    let world = World::with_accounts(2);
    let pool = world.pool(2).build().unwrap();
    active(&pool, 2).await;
    let limited = pool.lease().await.unwrap();
    limited.rate_limited(Some(20 * SECOND));
    assert_eq!(cause(&pool), Some((QuarantineCause::RateLimited, Some(20 * SECOND))));
    for _ in 0..5 {
        assert_ne!(pool.lease().await.unwrap().account(), limited.account());
    }
    world.clock.advance(20 * SECOND);
    active(&pool, 2).await;
    assert_eq!(world.server.stats().auth_requests, 2, "it needed no renewal");
}

#[tokio::test]
async fn callers_wait_for_an_account_that_rests_briefly() {
    let world = World::with_accounts(1);
    let pool = world.pool(1).build().unwrap();
    pool.lease().await.unwrap().rate_limited(Some(2 * SECOND));
    let waits = tokio::spawn({
        let pool = pool.clone();
        async move { pool.lease().await.map(drop) }
    });
    run_other_tasks().await;
    assert!(!waits.is_finished());
    world.clock.advance(2 * SECOND);
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_account_without_quota_rests_even_with_a_new_token() {
    let world = World::with_accounts(1);
    let pool = world.pool(1).build().unwrap();
    pool.lease().await.unwrap().quota_used_up(Some(90 * MINUTE));
    // Meanwhile the token enters its refresh-ahead window.
    world.pass(58 * MINUTE);
    until("the token is refreshed", async || world.server.stats().refreshes == 1).await;
    assert_eq!(cause(&pool).unwrap().0, QuarantineCause::QuotaUsedUp);
    let error = pool.lease().await.unwrap_err();
    assert!(error.to_string().contains("quota used up"), "{error}");
    world.pass(33 * MINUTE);
    active(&pool, 1).await;
    assert_eq!(world.call_with(pool.lease().await.unwrap().token()).await, 200);
}

#[tokio::test]
async fn a_failed_refresh_displaces_no_live_token() {
    let world = World::with_accounts(1);
    let pool = world.pool(1).build().unwrap();
    active(&pool, 1).await;
    world.server.inject(Endpoint::Any, Fault::Status(503), Times::Always);
    world.pass(57 * MINUTE);
    until("a refresh fails", async || world.server.stats().failed_refreshes > 0).await;
    pool.lease().await.unwrap();
    world.server.clear_faults();
    // The server counts a failure before the pool hears of it, so the pause may begin at any time.
    until("the token is refreshed", async || {
        world.pass(SECOND);
        world.server.stats().refreshes == 1
    })
    .await;
    assert_eq!(world.call_with(pool.lease().await.unwrap().token()).await, 200);
}

#[tokio::test]
async fn waiting_callers_get_an_error_when_no_account_is_left() {
    let world = World::with_accounts(1);
    world.server.inject(Endpoint::Login, Fault::Status(503), Times::Always);
    let pool = world.pool(1).build().unwrap();
    let (one, two) = tokio::join!(pool.lease().into_future(), pool.lease().into_future());
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NoAccount);
        assert!(error.retry_after().is_some_and(|wait| wait <= SECOND), "{error}");
    }
    world.server.clear_faults();
    world.pass(SECOND);
    assert_eq!(world.call_with(pool.lease().await.unwrap().token()).await, 200);
}

#[tokio::test]
async fn the_background_task_ends_with_the_pool() {
    let world = World::with_accounts(1);
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let pool = world.pool(1).build().unwrap();
    active(&pool, 1).await;
    let lease = pool.lease().await.unwrap();
    drop(pool);
    drop(lease);
    until("no task is left", async || alive() == 0).await;
}
