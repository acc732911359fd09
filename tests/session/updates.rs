//! The receiver of tokens, for connections that live long.

use futures_util::FutureExt;
use jwt_refresh::{Event, Tokens};

use crate::support::{PAST_EXPIRY, World, until};

#[tokio::test]
async fn the_receiver_has_the_current_token_and_each_new_one_though_nobody_asks() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let mut updates = session.updates();
    let first = updates.next().await.unwrap();
    assert_eq!(first.generation(), session.token().await.unwrap().generation());
    assert!(first.expires_at().unwrap() > world.now());
    for _ in 0..3 {
        assert!(updates.next().now_or_never().is_none(), "there is no newer token yet");
        let refreshes = world.server.stats().refreshes;
        // The timer sees that the clock has passed the refresh-ahead window.
        world.pass(PAST_EXPIRY);
        let next = updates.next().await.unwrap();
        assert!(next.expires_at().unwrap() > world.now());
        assert_eq!(world.call_with(&next).await, 200);
        assert_eq!(world.server.stats().refreshes, refreshes + 1);
    }
}

#[tokio::test]
async fn the_first_token_is_got_by_a_login_and_without_a_receiver_nothing_is_renewed() {
    let world = World::new();
    let session = world.session().build();
    let mut updates = session.updates();
    assert_eq!(updates.next().await.unwrap().generation(), 1);
    drop(updates);
    world.pass(PAST_EXPIRY);
    // A second session that is kept fresh by the same timer has been renewed meanwhile.
    let other = world.session().build();
    let mut others = other.updates();
    others.next().await.unwrap();
    world.pass(PAST_EXPIRY);
    others.next().await.unwrap();
    assert_eq!(session.stats().refreshes, 0);
}

#[tokio::test]
async fn tokens_that_are_adopted_come_too_and_after_a_logout_there_is_none_until_a_login() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let mut updates = session.updates();
    updates.next().await.unwrap();
    session.adopt(Tokens::new("adopted").unwrap()).await.unwrap();
    assert_eq!(updates.next().await.unwrap().expose(), "adopted");
    session.logout().await.unwrap();
    assert!(updates.next().now_or_never().is_none());
    let token = session.login().await.unwrap();
    assert_eq!(updates.next().await.unwrap().generation(), token.generation());
}

#[tokio::test]
async fn after_a_failure_the_token_comes_when_the_server_is_well_again() {
    let world = World::new();
    world.server.ban(world.server.email());
    let session = world.session().build();
    let mut events = session.events();
    let mut updates = session.updates();
    assert!(matches!(events.next().await.unwrap(), Event::ReauthenticationRequired(_)));
    assert!(updates.next().now_or_never().is_none());
    world.server.unban(world.server.email());
    session.login().await.unwrap();
    assert!(updates.next().await.is_some());
}

#[tokio::test]
async fn tokens_that_were_missed_are_passed_over_and_a_dropped_wait_loses_none() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let mut updates = session.updates();
    for _ in 0..3 {
        session.refresh_now().await.unwrap();
    }
    drop(updates.next());
    assert_eq!(updates.next().await.unwrap().generation(), session.token().await.unwrap().generation());
    assert!(updates.next().now_or_never().is_none());
}

#[tokio::test]
async fn the_receiver_ends_with_the_session() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let mut updates = session.updates();
    updates.next().await.unwrap();
    let waiting = tokio::spawn(async move { updates.next().await });
    drop(session);
    until("the wait has ended", async || waiting.is_finished()).await;
    assert!(waiting.await.unwrap().is_none());
}
