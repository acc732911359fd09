//! What a logout leaves behind: nothing.

use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use jwt_refresh::store::MemoryStore;
use jwt_refresh::{ErrorKind, ManualClock, Policy};

use crate::faulty::{Fault, FaultyStore};
use crate::scripted::{LIFE, Scripted};
use crate::support::{MINUTE, SECOND, spawn_caller, until};

fn quick() -> Policy {
    Policy::default().backoff(SECOND / 100, SECOND / 100).store_timeout(SECOND / 5)
}

#[tokio::test]
async fn tokens_that_could_not_be_saved_are_not_written_after_a_logout_that_could_not_be_saved_either() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let policy = quick().store_failure(jwt_refresh::store::StoreFailure::RefreshUnguarded);
    let session = server.session().policy(policy).clock(&clock).store(store.clone(), "ada").connect().await.unwrap();
    store.set(Fault::Down);
    clock.advance(LIFE);
    assert_eq!(session.token().await.unwrap().expose(), "A2");
    let error = session.logout().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    store.set(Fault::None);
    until("the logout is saved", async || store.text().await.contains("logged out")).await;
    session.flush().await;
    let text = store.text().await;
    assert!(text.contains("logged out") && !text.contains("A2") && !text.contains("R2"), "{text}");
}

#[tokio::test]
async fn a_logout_that_could_not_be_saved_is_saved_later_unless_there_was_a_login() {
    for logs_in in [false, true] {
        let (server, store) = (Scripted::new(), FaultyStore::default());
        let session = server.session().policy(quick()).store(store.clone(), "ada").connect().await.unwrap();
        store.set(Fault::Down);
        session.logout().await.unwrap_err();
        store.set(Fault::None);
        if logs_in {
            session.login().await.unwrap();
        }
        session.flush().await;
        assert_eq!(store.text().await.contains("logged out"), !logs_in);
        assert_eq!(session.token().await.is_ok(), logs_in);
    }
}

#[tokio::test]
async fn a_login_that_begins_while_an_earlier_logout_is_written_is_not_undone_by_it() {
    let (server, store) = (Scripted::new(), FaultyStore::default());
    let policy = quick().store_timeout(MINUTE);
    let session = server.session().policy(policy).store(store.clone(), "ada").connect().await.unwrap();
    store.set(Fault::Down);
    session.logout().await.unwrap_err();
    server.asked();
    store.set(Fault::HoldsLoads);
    until("the logout is on its way", async || store.loading.load(Ordering::SeqCst) > 0).await;
    let login = tokio::spawn({
        let session = session.clone();
        async move { session.login().await }
    });
    until("the login has begun", async || session.token().now_or_never().is_none()).await;
    store.set(Fault::None);
    let token = login.await.unwrap().unwrap();
    session.flush().await;
    assert!(store.text().await.contains(token.expose()));
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(asked, ["login", "revoke R1"], "only the refresh token that was logged out is revoked");
}

#[tokio::test]
async fn what_is_held_and_what_the_store_has_are_both_revoked() {
    let (server, store) = (Scripted::new(), MemoryStore::new());
    let here = server.session().store(FaultyStore::default(), "ada").tokens(server.capture()).build();
    here.logout().await.unwrap();
    assert_eq!(server.asked(), ["revoke R1"]);

    server.session().store(store.clone(), "ada").connect().await.unwrap();
    let there = server.session().store(store, "ada").tokens(server.capture()).build();
    there.logout().await.unwrap();
    let mut revoked = server.asked();
    revoked.sort();
    assert_eq!(revoked, ["login", "revoke R2", "revoke R3"]);
}

#[tokio::test]
async fn what_a_renewal_brings_that_a_logout_overtook_is_revoked() {
    let (server, store, clock) = (Scripted::new(), MemoryStore::new(), ManualClock::new());
    let session = server.session().clock(&clock).store(store, "ada").connect().await.unwrap();
    clock.advance(LIFE);
    server.answer(false);
    let caller = spawn_caller(&session);
    until("the refresh is sent", async || server.requests() == 2).await;
    let logout = tokio::spawn({
        let session = session.clone();
        async move { session.logout().await }
    });
    until("the session is logged out", async || !session_is_live(&session)).await;
    server.answer(true);
    logout.await.unwrap().unwrap();
    let _ = caller.await.unwrap();
    until("what came too late is revoked", async || server.requests() >= 4).await;
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(asked, ["login", "refresh R1", "revoke R1", "revoke R2"]);
}

fn session_is_live(session: &jwt_refresh::Session) -> bool {
    !format!("{session:?}").contains("token: None")
}

#[tokio::test]
async fn copies_of_corrupt_entries_are_deleted() {
    let (server, store) = (Scripted::new(), FaultyStore::default());
    let session = server.session().store(store.clone(), "ada").connect().await.unwrap();
    session.logout().await.unwrap();
    assert_eq!(store.deleted_corrupt.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_logout_ends_soon_whatever_the_store_does() {
    for fault in [Fault::Down, Fault::Hangs, Fault::Panics, Fault::LosesAnswersOfSaves] {
        let (server, store) = (Scripted::new(), FaultyStore::default());
        let session = server.session().policy(quick()).store(store.clone(), "ada").connect().await.unwrap();
        store.set(fault);
        let logout = tokio::time::timeout(MINUTE, session.logout()).await;
        let error = logout.expect("the logout ends").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{fault:?}: {error}");
        assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
        assert!(server.asked().contains(&"revoke R1".to_owned()));
    }
}
