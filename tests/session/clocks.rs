//! The wall clock is stepped: nothing that has ended comes back, and no pause ends.

use jwt_refresh::{AccessToken, ErrorKind, TokenProvider};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use crate::support::{HOUR, PAST_EXPIRY, SECOND, World, until};
use crate::{IN_LEEWAY, is_ready};

#[tokio::test]
async fn after_the_wall_clock_is_set_back_no_failure_brings_an_expired_token_back() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let begun = world.now();
    for endpoint in [Endpoint::Login, Endpoint::Refresh] {
        world.server.inject(endpoint, Fault::Status(503), Times::Always);
    }
    world.pass(PAST_EXPIRY);
    world.clock.step_to(begun - HOUR);
    until("the session finds the token expired", async || !is_ready(&session)).await;
    // A renewal that fails publishes the state anew.
    let error = session.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!is_ready(&session), "the fast path serves an expired token");
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_makes_no_token_live_longer_whatever_is_published_after() {
    let world = World::with_long_tokens();
    let session = world.session().connect().await.unwrap();
    world.clock.step_to(world.now() - 10 * HOUR);
    // A rejection of a token that is not the current one changes nothing, but publishes the state.
    session.rejected(&AccessToken::new("another").unwrap()).await.unwrap();
    world.clock.step_to(world.now() - 10 * HOUR);
    world.clock.advance(HOUR);
    until("the session finds the token expired", async || !is_ready(&session)).await;
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn setting_the_wall_clock_forward_ends_no_pause() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    for endpoint in [Endpoint::Login, Endpoint::Refresh] {
        let fault = Fault::ServiceUnavailable { retry_after: 120 * SECOND };
        world.server.inject(endpoint, fault, Times::Always);
    }
    world.pass(PAST_EXPIRY);
    session.token().await.unwrap_err();
    let asked = world.server.stats().auth_requests;
    for hours in 1..=10 {
        world.clock.step_to(world.now() + hours * HOUR);
        assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(session.login().await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(world.server.stats().auth_requests, asked, "a pause has ended");
    world.pass(121 * SECOND);
    session.token().await.unwrap_err();
    assert!(world.server.stats().auth_requests > asked, "the pause does not end");
}

#[tokio::test]
async fn a_wall_clock_that_is_set_forward_in_a_pause_leaves_a_live_token_on_the_fast_path() {
    let world = World::with_long_tokens();
    let session = world.session().connect().await.unwrap();
    world.server.inject(Endpoint::Refresh, Fault::ServiceUnavailable { retry_after: 15 * SECOND }, Times::Once);
    world.pass(IN_LEEWAY);
    assert_eq!(session.token().await.unwrap().generation(), 1, "the pause after a failure");
    world.clock.step_to(world.now() + 16 * SECOND);
    assert_eq!(session.token().await.unwrap().generation(), 1, "the pause goes on");
    assert!(is_ready(&session), "a call that found the token fresh opens the fast path");
}
