//! Sessions that start from captured tokens and have a store.

use jwt_refresh::ManualClock;
use jwt_refresh::store::{MemoryStore, TokenStore};

use crate::faulty::FaultyStore;
use crate::scripted::{LIFE, Scripted};
use crate::support::{spawn_caller, until};

#[tokio::test]
async fn a_captured_token_whose_refresh_was_killed_is_not_sent_again_at_the_next_start() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let captured = server.capture();
    let start = || server.session().clock(&clock).tokens(captured.clone());
    let killed = start().store(store.clone(), "ada").build();
    clock.advance(LIFE);
    server.answer(false);
    let caller = spawn_caller(&killed);
    until("the refresh is sent", async || server.requests() == 1).await;
    // What a killed process leaves behind.
    let left = FaultyStore::default();
    left.roll_back_to(store.entry().await).await;
    server.answer(true);
    caller.await.unwrap().unwrap();
    assert_eq!(server.asked(), ["refresh R1"]);

    let next = start().store(left, "ada").build();
    clock.advance(LIFE);
    next.token().await.unwrap();
    assert_eq!(server.asked(), ["login"], "R1 may be spent");
}

#[tokio::test]
async fn a_captured_token_whose_answer_was_lost_is_in_doubt_at_the_next_start_too() {
    let (server, store, clock) = (Scripted::new(), MemoryStore::new(), ManualClock::new());
    let captured = server.capture();
    let start = || server.session().clock(&clock).tokens(captured.clone()).store(store.clone(), "ada");
    let first = start().build();
    clock.advance(LIFE);
    server.lose_next_answer();
    first.token().await.unwrap_err();
    first.flush().await;
    drop(first);
    assert_eq!(server.asked(), ["refresh R1"]);
    let next = start().build();
    clock.advance(LIFE);
    next.token().await.unwrap();
    assert_eq!(server.asked(), ["login"]);
}

/// Leaves an entry in the store whose tokens are all dead, and which does not say so.
async fn leave_dead_entry(server: &Scripted, store: &MemoryStore, clock: &ManualClock) {
    let session = server.session().clock(clock).store(store.clone(), "ada").connect().await.unwrap();
    session.refresh_now().await.unwrap();
    drop(session);
    clock.advance(LIFE);
    server.end_logins();
    server.asked();
}

#[tokio::test]
async fn a_dead_entry_does_not_displace_a_live_captured_token() {
    let (server, store, clock) = (Scripted::new(), MemoryStore::new(), ManualClock::new());
    leave_dead_entry(&server, &store, &clock).await;
    let captured = server.capture();
    for connects in [false, true] {
        let builder =
            server.without_login().session().clock(&clock).tokens(captured.clone()).store(store.clone(), "ada");
        let session = if connects { builder.connect().await.unwrap() } else { builder.build() };
        for _ in 0..20 {
            assert_eq!(session.token().await.unwrap().expose(), "A3");
            tokio::task::yield_now().await;
        }
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn if_the_stores_refresh_token_is_denied_the_captured_one_is_sent_before_there_is_a_login() {
    for can_log_in in [false, true] {
        let (server, store, clock) = (Scripted::new(), MemoryStore::new(), ManualClock::new());
        leave_dead_entry(&server, &store, &clock).await;
        let user = if can_log_in { server.clone() } else { server.without_login() };
        let start = |captured| user.session().clock(&clock).tokens(captured).store(store.clone(), "ada");
        let captured = server.capture();
        let session = start(captured.clone()).connect().await.unwrap();
        clock.advance(LIFE);
        assert_eq!(session.token().await.unwrap().expose(), "A4");
        assert_eq!(server.asked(), ["refresh R2", "refresh R3"]);
        // The store has the new tokens, and the captured ones are never sent again.
        drop(session);
        clock.advance(LIFE);
        let session = start(captured.clone()).connect().await.unwrap();
        assert_eq!(server.asked(), ["refresh R4"]);
        server.end_logins();
        clock.advance(LIFE);
        assert_eq!(session.token().await.is_ok(), can_log_in);
        assert_eq!(server.asked(), if can_log_in { vec!["refresh R5", "login"] } else { vec!["refresh R5"] });
    }
}

#[tokio::test]
async fn live_tokens_of_the_store_come_before_captured_ones() {
    let (server, store, clock) = (Scripted::new(), MemoryStore::new(), ManualClock::new());
    let captured = server.capture();
    server.session().clock(&clock).store(store.clone(), "ada").connect().await.unwrap();
    let session = server.session().clock(&clock).tokens(captured).store(store.clone(), "ada").build();
    until("the store's token is taken", async || session.token().await.unwrap().expose() == "A2").await;
    assert_eq!(server.asked(), ["login"]);
    assert!(store.load("ada").await.unwrap().is_some());
}
