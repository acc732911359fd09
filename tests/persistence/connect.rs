//! `connect()` and `refresh_now()`.

use jwt_refresh::store::{MemoryStore, StoreFailure};
use jwt_refresh::{ErrorKind, Event, ManualClock, Policy};

use crate::faulty::{Fault, FaultyStore};
use crate::scripted::{LIFE, Scripted};
use crate::support::SECOND;

#[tokio::test]
async fn connect_takes_a_live_token_of_the_store_without_a_request() {
    let (server, store, clock) = (Scripted::new(), MemoryStore::new(), ManualClock::new());
    let first = server.session().clock(&clock).store(store.clone(), "ada").connect().await.unwrap();
    assert_eq!(server.asked(), ["login"]);
    let second = server.session().clock(&clock).store(store, "ada").connect().await.unwrap();
    assert_eq!(second.token().await.unwrap().expose(), first.token().await.unwrap().expose());
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn connect_takes_a_live_captured_token_without_a_request() {
    let server = Scripted::new().without_login();
    for with_store in [false, true] {
        let mut builder = server.session().tokens(server.capture());
        if with_store {
            builder = builder.store(MemoryStore::new(), "ada");
        }
        let session = builder.connect().await.unwrap();
        session.token().await.unwrap();
        assert!(server.asked().is_empty());
    }
}

#[tokio::test]
async fn connect_refreshes_what_has_expired_and_does_not_log_in() {
    let (server, store, clock) = (Scripted::new(), MemoryStore::new(), ManualClock::new());
    drop(server.session().clock(&clock).store(store.clone(), "ada").connect().await.unwrap());
    clock.advance(LIFE);
    server.session().clock(&clock).store(store, "ada").connect().await.unwrap();
    assert_eq!(server.asked(), ["login", "refresh R1"]);
}

#[tokio::test]
async fn connect_logs_in_after_a_logout_and_a_session_that_is_only_built_does_not() {
    let (server, store) = (Scripted::new(), MemoryStore::new());
    let session = server.session().store(store.clone(), "ada").connect().await.unwrap();
    session.logout().await.unwrap();
    server.asked();

    let built = server.session().store(store.clone(), "ada").build();
    assert_eq!(built.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    assert!(server.asked().is_empty());

    server.session().store(store, "ada").connect().await.unwrap();
    assert_eq!(server.asked(), ["login"]);
}

#[tokio::test]
async fn connect_uses_captured_tokens_after_a_logout_but_never_the_ones_that_were_used_before() {
    let (server, store) = (Scripted::new(), MemoryStore::new());
    let captured = server.capture();
    let clock = ManualClock::new();
    let start = || server.without_login().session().clock(&clock).store(store.clone(), "ada").tokens(captured.clone());
    let session = start().connect().await.unwrap();
    clock.advance(LIFE);
    session.token().await.unwrap();
    session.logout().await.unwrap();
    assert_eq!(server.asked(), ["refresh R1", "revoke R2"]);

    let error = start().connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    assert!(server.asked().is_empty(), "R1 is spent");

    let fresh = server.without_login().session().clock(&clock).store(store.clone(), "ada").tokens(server.capture());
    fresh.connect().await.unwrap();
    let other = server.session().clock(&clock).store(store, "ada").connect().await.unwrap();
    assert_eq!(other.token().await.unwrap().expose(), "A3", "the captured tokens are in the store");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn connect_fails_with_the_stores_error_if_the_store_is_down_and_nothing_is_held() {
    for answer in [StoreFailure::Fail, StoreFailure::ServeWhatLives] {
        let (server, store) = (Scripted::new(), FaultyStore::default());
        store.set(Fault::Down);
        let policy = Policy::default().store_failure(answer);
        let error = server.session().policy(policy).store(store, "ada").connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        assert!(server.asked().is_empty());
    }
}

#[tokio::test]
async fn connect_needs_no_store_if_a_captured_token_lives() {
    let (server, store) = (Scripted::new(), FaultyStore::default());
    store.set(Fault::Down);
    let session = server.session().tokens(server.capture()).store(store, "ada").connect().await.unwrap();
    assert_eq!(session.token().await.unwrap().expose(), "A1");
}

#[tokio::test]
async fn refresh_now_renews_a_token_that_still_lives() {
    let server = Scripted::new();
    let session = server.session().connect().await.unwrap();
    assert_eq!(session.refresh_now().await.unwrap().expose(), "A2");
    assert_eq!(session.token().await.unwrap().expose(), "A2");
    assert_eq!(server.asked(), ["login", "refresh R1"]);
    session.logout().await.unwrap();
    assert_eq!(session.refresh_now().await.unwrap_err().kind(), ErrorKind::LoggedOut);
}

#[tokio::test]
async fn refresh_now_that_fails_leaves_the_live_token() {
    let server = Scripted::new().without_login();
    let session = server.session().tokens(server.capture()).build();
    server.end_logins();
    let error = session.refresh_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    assert_eq!(session.token().await.unwrap().expose(), "A1");
}

#[tokio::test]
async fn refresh_now_of_two_sessions_that_share_a_store_sends_no_token_twice() {
    let (server, store) = (Scripted::new(), MemoryStore::new());
    let here = server.session().store(store.clone(), "ada").connect().await.unwrap();
    let there = server.session().store(store, "ada").connect().await.unwrap();
    let mut events = there.events();
    for _ in 0..10 {
        let (one, other) = tokio::join!(here.refresh_now(), there.refresh_now());
        one.unwrap();
        other.unwrap();
    }
    let asked = server.asked();
    let mut refreshes = asked[1..].to_vec();
    refreshes.dedup();
    assert_eq!(refreshes.len(), asked.len() - 1, "{asked:?}");
    let event = tokio::time::timeout(20 * SECOND, events.next()).await.unwrap();
    assert!(matches!(event, Some(Event::Renewed | Event::Adopted)), "{event:?}");
}
