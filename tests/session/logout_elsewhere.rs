//! A logout in another process while a renewal is under way here: no token comes back after it.

use std::sync::atomic::Ordering;

use jwt_refresh::store::{MemoryStore, TokenStore};
use jwt_refresh::{ErrorKind, Policy, Session};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use crate::slow_store::SlowStore;
use crate::support::{HOUR, MINUTE, PAST_EXPIRY, SECOND, World, spawn_caller, until};

async fn until_logged_out(session: &Session) {
    until("the session gives out no token any more", async || {
        session.token().await.is_err_and(|error| error.kind() == ErrorKind::LoggedOut)
    })
    .await;
}

#[tokio::test]
async fn a_logout_elsewhere_ends_a_session_whose_refresh_fails_meanwhile() {
    let world = World::with_long_tokens();
    let store = MemoryStore::new();
    let policy = Policy::default().refresh_timeout(SECOND * 5).backoff(HOUR, HOUR);
    let here = world.session().policy(policy).store(store.clone(), "ada").connect().await.unwrap();
    let elsewhere = world.session().store(store, "ada").build();
    world.server.inject(Endpoint::Refresh, Fault::Hang(HOUR), Times::Once);
    world.pass(55 * MINUTE);
    here.token().await.unwrap();
    until("the refresh has arrived", async || world.server.stats().auth_requests == 2).await;

    elsewhere.logout().await.unwrap();
    here.flush().await;
    until_logged_out(&here).await;
}

#[tokio::test]
async fn a_login_that_fails_after_a_logout_does_not_undo_the_logout_in_the_store() {
    let world = World::new();
    let store = MemoryStore::new();
    let session = world.session().store(store.clone(), "ada").connect().await.unwrap();
    session.logout().await.unwrap();
    let expired = Fault::Body(r#"{"access_token":"x","refresh_token":"y","expires_in":0}"#.into());
    world.server.inject(Endpoint::Login, expired, Times::Once);
    assert_eq!(session.login().await.unwrap_err().kind(), ErrorKind::BadAnswer);

    let elsewhere = world.session().store(store, "ada").build();
    assert_eq!(elsewhere.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    assert_eq!(world.server.stats().auth_requests, 2);
}

/// Logs out elsewhere while the answer to the `load`th load of a renewal is held back here.
async fn log_out_during_load(load: u32, renewed_elsewhere: bool) {
    let world = World::new();
    let store = SlowStore::default();
    let controls = &store.controls;
    let policy = Policy::default().store_timeout(HOUR);
    let here = world.session().policy(policy).store(store.clone(), "ada").connect().await.unwrap();
    let elsewhere = world.session().store(store.inner.clone(), "ada").build();
    world.pass(PAST_EXPIRY);
    if renewed_elsewhere {
        elsewhere.token().await.unwrap();
    }

    controls.load_to_hold.store(load, Ordering::SeqCst);
    let caller = spawn_caller(&here);
    controls.held.notified().await;
    elsewhere.logout().await.unwrap();
    let loads = controls.loads.load(Ordering::SeqCst);
    controls.notifies_of_changes.send_replace(true);
    until("the logout is loaded", async || controls.loads.load(Ordering::SeqCst) > loads).await;
    controls.go_on.notify_one();
    // A token is fine here: it may have been asked for before the logout.
    let _ = caller.await.unwrap();
    until_logged_out(&here).await;
    let stats = world.server.stats();
    assert_eq!(stats.refreshes, u64::from(renewed_elsewhere), "a refresh after the logout");
}

#[tokio::test]
async fn a_logout_elsewhere_ends_a_session_that_takes_a_token_from_the_store_meanwhile() {
    log_out_during_load(1, true).await;
}

#[tokio::test]
async fn a_logout_elsewhere_is_not_overwritten_by_a_session_that_loaded_the_entry_before_it() {
    log_out_during_load(2, false).await;
}

#[tokio::test]
async fn a_logout_elsewhere_is_not_overwritten_by_tokens_that_could_not_be_saved_before_it() {
    let world = World::new();
    let store = SlowStore::default();
    let here = world.session().store(store.clone(), "ada").connect().await.unwrap();
    let elsewhere = world.session().store(store.inner.clone(), "ada").build();
    world.pass(PAST_EXPIRY);
    // The last save marks the refresh token as about to be spent.
    store.controls.last_save.store(1, Ordering::SeqCst);
    assert_eq!(here.token().await.unwrap().generation(), 2);

    elsewhere.logout().await.unwrap();
    store.controls.is_down.store(false, Ordering::SeqCst);
    // After this, nothing is left to be saved.
    here.flush().await;
    let entry = store.inner.load("ada").await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&entry.data).contains("logged out"), "the tokens came back");
    until_logged_out(&here).await;
}
