//! Stores that fail for a while, or are slow.

use std::sync::atomic::Ordering;

use jwt_refresh::store::StoreFailure;
use jwt_refresh::{ErrorKind, ManualClock, Policy, Session, TokenProvider};

use crate::faulty::{Fault, FaultyStore};
use crate::scripted::{LIFE, Scripted};
use crate::support::{HOUR, SECOND, until};

fn quick() -> Policy {
    Policy::default().backoff(SECOND / 100, SECOND / 100).store_timeout(SECOND / 5)
}

#[tokio::test]
async fn unsaved_tokens_are_retried_until_they_are_saved() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let policy = quick().store_failure(StoreFailure::RefreshUnguarded);
    let session = server.session().policy(policy).clock(&clock).store(store.clone(), "ada").connect().await.unwrap();
    store.set(Fault::Down);
    clock.advance(LIFE);
    session.token().await.unwrap();
    // The first attempts are all in vain.
    session.flush().await;
    assert!(store.text().await.contains("\"A1\""));
    store.set(Fault::None);
    until("the tokens are saved", async || store.text().await.contains("\"A2\"")).await;
}

#[tokio::test]
async fn adopted_tokens_that_could_not_be_saved_are_saved_later() {
    let (server, store) = (Scripted::new(), FaultyStore::default());
    let session = server.session().policy(quick()).store(store.clone(), "ada").build();
    store.set(Fault::Down);
    session.adopt(server.capture()).await.unwrap_err();
    store.set(Fault::None);
    until("the tokens are saved", async || store.text().await.contains("\"A1\"")).await;
    let generation = session.token().await.unwrap().generation();
    session.flush().await;
    assert_eq!(session.token().await.unwrap().generation(), generation, "they are the same tokens");
}

#[tokio::test]
async fn adopted_tokens_that_could_not_be_saved_are_not_displaced_by_what_others_make_of_the_old_login() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let start = |policy| server.session().policy(policy).clock(&clock).store(store.clone(), "ada");
    let other = start(Policy::default()).connect().await.unwrap();
    for (policy, life) in [(quick(), SECOND), (Policy::default().backoff(HOUR, HOUR), LIFE)] {
        let session = start(policy).connect().await.unwrap();
        let adopted = server.capture();
        store.set(Fault::Down);
        session.adopt(adopted.clone()).await.unwrap_err();
        store.set(Fault::None);
        clock.advance(life);
        let theirs = other.refresh_now().await.unwrap();
        server.asked();
        let token = session.token().await.unwrap();
        if life == LIFE {
            assert_ne!(token.expose(), theirs.expose());
            assert_eq!(server.asked(), [format!("refresh {}", adopted.refresh().unwrap().expose())]);
        } else {
            // They may be saved by now, and the others follow already.
            assert_eq!(token.expose(), adopted.access().expose());
            assert!(server.asked().is_empty());
        }
        until("the adopted tokens are in the store", async || store.text().await.contains(token.expose())).await;
        until("others follow", async || other.token().await.unwrap().expose() == token.expose()).await;
    }
}

#[tokio::test]
async fn tokens_whose_save_was_not_answered_do_not_come_back_after_others_have_followed_on_them() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let start = |policy: Policy| server.session().policy(policy).clock(&clock).store(store.clone(), "ada");
    let session = start(quick().backoff(SECOND / 2, SECOND / 2)).build();
    store.set(Fault::LosesAnswersOfSaves);
    session.adopt(server.capture()).await.unwrap_err();
    store.set(Fault::None);
    clock.advance(LIFE);
    server.lose_next_answer();
    session.token().await.unwrap_err();
    let other = start(Policy::default()).build();
    assert_eq!(other.token().await.unwrap().expose(), "A3");
    clock.advance(LIFE);
    session.flush().await;
    assert!(store.text().await.contains("\"A3\""), "{}", store.text().await);
    assert_eq!(server.asked(), ["refresh R1", "login"]);
}

#[tokio::test]
async fn an_adoption_whose_save_was_not_answered_does_not_displace_what_others_made_of_it() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let session = server.session().policy(quick()).clock(&clock).store(store.clone(), "ada").build();
    store.set(Fault::LosesAnswersOfSaves);
    session.adopt(server.capture()).await.unwrap_err();
    store.set(Fault::Down);
    let other = server.session().clock(&clock).store(store.inner(), "ada").build();
    clock.advance(LIFE);
    assert_eq!(other.token().await.unwrap().expose(), "A2");
    store.set(Fault::None);
    session.flush().await;
    until("the session follows", async || session.token().await.is_ok_and(|token| token.expose() == "A2")).await;
    assert!(store.text().await.contains("\"A2\""), "{}", store.text().await);
    assert_eq!(server.asked(), ["refresh R1"]);
}

/// A session whose adopted tokens could not be saved before another process logged out.
async fn adopted_before_a_logout(server: &Scripted, store: &FaultyStore, policy: Policy) -> Session {
    let session = server.session().policy(policy).store(store.clone(), "ada").build();
    let other = server.session().store(store.inner(), "ada").connect().await.unwrap();
    store.set(Fault::Down);
    session.adopt(server.capture()).await.unwrap_err();
    other.logout().await.unwrap();
    server.asked();
    store.set(Fault::None);
    session
}

#[tokio::test]
async fn an_explicit_login_succeeds_after_a_logout_that_came_after_unsaved_adopted_tokens() {
    let (server, store) = (Scripted::new(), FaultyStore::default());
    let session = adopted_before_a_logout(&server, &store, Policy::default().backoff(HOUR, HOUR)).await;
    session.login().await.unwrap();
    assert_eq!(session.token().await.unwrap().expose(), "A3");
}

#[tokio::test]
async fn unsaved_adopted_tokens_are_revoked_after_a_later_logout() {
    let (server, store) = (Scripted::new(), FaultyStore::default());
    let session = adopted_before_a_logout(&server, &store, quick()).await;
    until("the logout is followed", async || session.token().await.is_err()).await;
    until("the tokens are revoked", async || server.asked().contains(&"revoke R2".to_owned())).await;
}

#[tokio::test]
async fn a_mark_that_was_written_after_its_time_out_is_known_as_the_sessions_own() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let builder = server.session().policy(quick()).clock(&clock);
    let session = builder.store(store.clone(), "ada").connect().await.unwrap();
    clock.advance(LIFE);
    store.set(Fault::LosesAnswersOfSaves);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Store);
    assert!(!store.text().await.contains("\"spending\":null"), "the mark was written");
    store.set(Fault::None);
    until("there is a token again", async || {
        clock.advance(SECOND);
        session.token().await.is_ok()
    })
    .await;
    assert_eq!(server.asked(), ["login", "refresh R1"], "R1 was not sent when the mark timed out");
}

#[tokio::test]
async fn another_process_takes_that_mark_for_what_it_is_worth() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let start = || server.session().policy(quick()).clock(&clock).store(store.clone(), "ada");
    let session = start().connect().await.unwrap();
    clock.advance(LIFE);
    store.set(Fault::LosesAnswersOfSaves);
    session.token().await.unwrap_err();
    store.set(Fault::None);
    start().connect().await.unwrap();
    assert_eq!(server.asked(), ["login", "login"]);
}

#[tokio::test]
async fn after_a_panic_of_the_store_the_session_still_follows_it() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let start = || server.session().clock(&clock).store(store.clone(), "ada");
    let (here, there) = (start().connect().await.unwrap(), start().connect().await.unwrap());
    store.set(Fault::Panics);
    let before = store.loads.load(Ordering::SeqCst);
    until("the follower has met the panic", async || store.loads.load(Ordering::SeqCst) > before).await;
    store.set(Fault::None);
    there.refresh_now().await.unwrap();
    until("the new token is followed", async || here.token().await.unwrap().expose() == "A2").await;
    assert_eq!(server.asked(), ["login", "refresh R1"]);
}

#[tokio::test]
async fn a_panic_of_the_store_is_a_failure_of_the_store() {
    let (server, store) = (Scripted::new(), FaultyStore::default());
    store.set(Fault::Panics);
    let error = server.session().store(store.clone(), "ada").connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    store.set(Fault::None);
    server.session().store(store, "ada").connect().await.unwrap();
}

#[tokio::test]
async fn a_store_that_hangs_is_not_asked_again_and_again() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let builder = server.session().policy(quick()).clock(&clock);
    let session = builder.store(store.clone(), "ada").connect().await.unwrap();
    store.set(Fault::Hangs);
    clock.advance(LIFE);
    for _ in 0..10 {
        session.token().await.unwrap_err();
        clock.advance(SECOND);
    }
    let hanging = store.loading.load(Ordering::SeqCst);
    assert!((1..=3).contains(&hanging), "{hanging} loads hang");
}

#[tokio::test]
async fn a_load_that_never_ends_does_not_keep_an_idle_session_from_following_its_store() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let start = || server.session().policy(quick()).clock(&clock);
    let session = start().store(store.clone(), "ada").connect().await.unwrap();
    let other = start().store(store.inner(), "ada").connect().await.unwrap();
    store.set(Fault::Hangs);
    other.refresh_now().await.unwrap();
    until("a load hangs", async || store.loading.load(Ordering::SeqCst) > 0).await;
    store.set(Fault::None);
    other.logout().await.unwrap();
    // The store is well now, but the load that hangs does not notice that.
    until("the logout is followed", async || session.token().await.is_err()).await;
}

#[tokio::test]
async fn tokens_that_could_not_be_saved_make_no_older_token_newer_when_a_login_fails() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let start = |server: &Scripted| server.session().clock(&clock).store(store.clone(), "ada");
    let other = start(&server).connect().await.unwrap();
    // What could not be saved is not tried again during this test.
    let policy = Policy::default().backoff(HOUR, HOUR);
    let session = start(&server.without_login()).policy(policy).connect().await.unwrap();
    store.set(Fault::Down);
    session.adopt(server.capture()).await.unwrap_err();
    store.set(Fault::None);
    // Before the login, which writes what could not be saved.
    let rejected = other.token().await.unwrap();
    assert_eq!(rejected.expose(), "A1");
    session.login().await.unwrap_err();
    assert_ne!(other.rejected(&rejected).await.unwrap().expose(), "A1");
}

#[tokio::test]
async fn a_refresh_token_in_doubt_stays_so_if_the_store_could_not_be_told() {
    let (server, store, clock) = (Scripted::new(), FaultyStore::default(), ManualClock::new());
    let policy = quick().store_failure(StoreFailure::RefreshUnguarded);
    let session = server.session().policy(policy).clock(&clock).store(store.clone(), "ada").connect().await.unwrap();
    store.set(Fault::Down);
    server.lose_next_answer();
    clock.advance(LIFE);
    session.token().await.unwrap_err();
    store.set(Fault::None);
    clock.advance(SECOND);
    session.token().await.unwrap();
    assert_eq!(server.asked(), ["login", "refresh R1", "login"]);
}

/// A session that has read in its store that it is logged out.
async fn logged_out(server: &Scripted, store: &FaultyStore, policy: Policy) -> Session {
    let start = || server.session().policy(policy.clone()).store(store.clone(), "ada");
    let (session, other) = (start().connect().await.unwrap(), start().build());
    other.logout().await.unwrap();
    until("the logout is followed", async || session.token().await.is_err()).await;
    session
}

#[tokio::test]
async fn adopted_tokens_that_could_not_be_saved_are_not_displaced_by_an_older_logout() {
    let (server, store) = (Scripted::new(), FaultyStore::default());
    let session = logged_out(&server, &store, quick()).await;
    store.set(Fault::Down);
    session.adopt(server.capture()).await.unwrap_err();
    store.set(Fault::None);
    until("the tokens are saved", async || store.text().await.contains("\"A2\"")).await;
    assert_eq!(session.token().await.unwrap().expose(), "A2");
}

#[tokio::test]
async fn tokens_of_a_login_that_could_not_be_saved_are_not_displaced_by_an_older_logout() {
    let (server, store) = (Scripted::new(), FaultyStore::default());
    let policy = quick().store_failure(StoreFailure::RefreshUnguarded);
    let session = logged_out(&server, &store, policy).await;
    store.set(Fault::Down);
    session.login().await.unwrap();
    store.set(Fault::None);
    until("the tokens are saved", async || store.text().await.contains("\"A2\"")).await;
    assert_eq!(session.token().await.unwrap().expose(), "A2");
}

#[tokio::test]
async fn no_setting_overflows() {
    let longest = std::time::Duration::MAX;
    let policy = Policy::default()
        .login_timeout(longest)
        .refresh_timeout(longest)
        .store_timeout(longest)
        .leeway(longest)
        .default_lifetime(longest)
        .longest_retry_after(longest)
        .backoff(longest, longest)
        .rejections(u32::MAX, longest);
    let (server, clock) = (Scripted::new(), ManualClock::new());
    let builder = server.session().policy(policy).clock(&clock);
    let session = builder.store(FaultyStore::default(), "ada").connect().await.unwrap();
    clock.advance(LIFE);
    session.token().await.unwrap();
    server.lose_next_answer();
    clock.advance(LIFE);
    session.token().await.unwrap_err();
    session.logout().await.unwrap();
    assert_eq!(session.stats().refreshes, 1);
}
