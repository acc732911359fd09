//! Mistakes of callers and of the configuration, and the errors that name them.

use std::time::Duration;

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::Pool;

use crate::active;
use crate::support::{SECOND, World, until};

#[tokio::test]
async fn a_duplicate_account_is_refused_by_name() {
    let world = World::with_accounts(1);
    let error = world.pool(1).account(world.account(0)).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("\"a0\" already"), "{error}");
    let pool = world.pool(1).build().unwrap();
    assert_eq!(pool.add(world.account(0)).unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_rate_that_allows_nothing_is_refused() {
    let world = World::with_accounts(1);
    for account in [world.account(0).rate(0, SECOND), world.account(0).rate(1, Duration::ZERO)] {
        let error = world.pool_of([account]).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("lets nothing through"), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_tag_is_refused_by_name() {
    let world = World::with_accounts(1);
    let pool = world.pool(1).build().unwrap();
    let error = pool.lease().tag("eu").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("\"eu\""), "{error}");
}

#[tokio::test]
async fn a_deadline_in_the_past_is_refused() {
    let world = World::with_accounts(1);
    let pool = world.pool(1).build().unwrap();
    active(&pool, 1).await;
    let error = pool.lease().deadline(world.now() - SECOND).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("deadline"), "{error}");
}

#[tokio::test]
async fn the_error_of_an_empty_pool_says_so() {
    let pool = Pool::builder().build().unwrap();
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    assert!(error.to_string().contains("the pool has no account"), "{error}");
}

#[tokio::test]
async fn the_error_of_a_quarantined_pool_says_which_account_returns_first_when_and_why() {
    let world = World::with_accounts(2);
    world.server.ban("a0");
    world.server.set_password("a1", "changed");
    let pool = world.pool(2).build().unwrap();
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    let text = error.to_string();
    assert!(text.contains("every account is in quarantine: the first, \"a") && text.contains("login denied"), "{text}");
    let wait = error.retry_after().unwrap();
    assert!(wait > 10 * SECOND && wait <= 30 * SECOND, "{wait:?}");
    until("both are in quarantine", async || pool.status().quarantined.iter().all(|one| one.returns_in.is_some()))
        .await;
}
