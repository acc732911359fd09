//! Stores that were emptied, or went back to an earlier state.

use jwt_refresh::store::{CorruptEntry, StoreFailure};
use jwt_refresh::{ManualClock, Policy};

use crate::faulty::FaultyStore;
use crate::scripted::{LIFE, Scripted};
use crate::support::until;

fn policies() -> impl Iterator<Item = Policy> {
    let failures = [StoreFailure::Fail, StoreFailure::ServeWhatLives, StoreFailure::RefreshUnguarded];
    let corrupt = [CorruptEntry::TreatAsEmpty, CorruptEntry::TreatAsDown];
    failures
        .into_iter()
        .flat_map(move |failure| corrupt.map(|corrupt| Policy::default().store_failure(failure).corrupt_entry(corrupt)))
}

#[tokio::test]
async fn a_store_that_was_emptied_or_rolled_back_mends_itself_under_every_policy() {
    for (number, policy) in policies().enumerate() {
        for emptied in [false, true] {
            let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
            let builder = server.session().policy(policy.clone()).clock(&clock);
            let session = builder.store(store.clone(), "ada").connect().await.unwrap();
            let old = store.entry().await.filter(|_| !emptied);
            clock.advance(LIFE);
            session.token().await.unwrap();
            store.roll_back_to(old).await;
            clock.advance(LIFE);
            let token = session.token().await.unwrap_or_else(|error| panic!("policy {number}: {error}"));
            assert_eq!(token.expose(), "A3");
            // The trace of a refresh by another process may be what was lost.
            assert_eq!(server.asked(), ["login", "refresh R1", "login"], "policy {number}");
            session.flush().await;
            let text = store.text().await;
            assert!(text.contains("\"A3\"") && !text.contains("\"A1\""), "{text}");
        }
    }
}

#[tokio::test]
async fn a_session_that_was_told_of_the_rollback_while_idle_does_not_send_what_may_be_spent() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let session = server.session().clock(&clock).store(store.clone(), "ada").connect().await.unwrap();
    clock.advance(LIFE);
    session.token().await.unwrap();
    store.roll_back_to(None).await;
    let loads = || store.loads.load(std::sync::atomic::Ordering::SeqCst);
    let before = loads();
    until("the follower has looked", async || loads() > before + 1).await;
    clock.advance(LIFE);
    session.token().await.unwrap();
    assert_eq!(server.asked(), ["login", "refresh R1", "login"]);
}

#[tokio::test]
async fn without_a_login_a_refresh_token_in_doubt_is_sent_all_the_same() {
    let (server, store, clock) = (Scripted::new().without_login(), FaultyStore::default(), ManualClock::new());
    let builder = server.session().clock(&clock).tokens(server.capture());
    let session = builder.store(store.clone(), "ada").build();
    clock.advance(LIFE);
    session.token().await.unwrap();
    store.roll_back_to(None).await;
    clock.advance(LIFE);
    assert_eq!(session.token().await.unwrap().expose(), "A3");
    assert_eq!(server.asked(), ["refresh R1", "refresh R2"]);
}

#[tokio::test]
async fn after_one_process_has_mended_the_store_the_others_follow_without_a_login() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let start = || server.session().clock(&clock).store(store.clone(), "ada");
    let (here, there) = (start().connect().await.unwrap(), start().connect().await.unwrap());
    clock.advance(LIFE);
    here.token().await.unwrap();
    there.token().await.unwrap();
    store.roll_back_to(None).await;
    clock.advance(LIFE);
    assert_eq!(here.token().await.unwrap().expose(), "A3");
    assert_eq!(there.token().await.unwrap().expose(), "A3");
    clock.advance(LIFE);
    there.token().await.unwrap();
    assert_eq!(server.asked(), ["login", "refresh R1", "login", "refresh R3"]);
}

#[tokio::test]
async fn a_store_that_goes_back_to_before_a_lost_answer_does_not_make_the_token_sound() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let session = server.session().clock(&clock).store(store.clone(), "ada").connect().await.unwrap();
    let before = store.entry().await;
    clock.advance(LIFE);
    server.lose_next_answer();
    session.token().await.unwrap_err();
    session.flush().await;
    store.roll_back_to(before).await;
    until("there is a token again", async || {
        clock.advance(LIFE);
        session.token().await.is_ok()
    })
    .await;
    assert_eq!(server.asked(), ["login", "refresh R1", "login"]);
}
