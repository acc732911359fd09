//! `StoreFailure::RefreshUnguarded` is for a store that is down, and not for one whose renewal
//! lease another process holds.

use std::time::Duration;

use jwt_refresh::store::{MemoryStore, StoreFailure, TokenStore};
use jwt_refresh::{ErrorKind, Policy};

use crate::support::{PAST_EXPIRY, World};

#[tokio::test]
async fn a_lease_that_another_process_keeps_for_too_long_is_no_reason_to_refresh_unguarded() {
    let world = World::new();
    let store = MemoryStore::new();
    let short = Duration::from_millis(200);
    let policy = Policy::default().refresh_timeout(short).login_timeout(short).store_timeout(short);
    let unguarded = policy.store_failure(StoreFailure::RefreshUnguarded);
    let logged_in = world.session().store(store.clone(), "ada").connect().await.unwrap();
    let session = world.session().policy(unguarded).store(store.clone(), "ada").build();
    assert_eq!(session.token().await.unwrap().expose(), logged_in.token().await.unwrap().expose());

    // Another process holds the lease and hangs. It may have spent the refresh token.
    let held = store.lease("ada").await.unwrap();
    world.pass(PAST_EXPIRY);
    let error = session.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    assert_eq!(world.server.stats().auth_requests, 1, "it refreshed without the lease");

    drop(held);
    assert_eq!(world.call(&logged_in).await, 200);
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.reuses), (1, 1, 0));
}
