//! How long tokens are served, and when they are renewed.

use std::time::{Duration, Instant};

use jwt_refresh::{Policy, TokenProvider};
use jwt_refresh_testkit::{Endpoint, Fault, Hints, TestServer, Times, TokenFormat};

use crate::support::{HOUR, MINUTE, PAST_EXPIRY, SECOND, World, spawn_caller, until};
use crate::{IN_LEEWAY, is_ready};

/// Calls at each of a hundred steps through each of five lifetimes, and asserts that tokens are
/// served for at least 88 % of their lives.
///
/// Real time passes too, so there may be more lifetimes than five, by the clock.
async fn assert_served(server: TestServer, life: Duration) {
    let world = World::with(server);
    let session = world.session().connect().await.unwrap();
    let start = world.now();
    for step in 1..=500 {
        let begun = Instant::now();
        world.pass(life / 100);
        session.token().await.unwrap();
        // A refresh that the step began goes on in the background. No time passes here until it has
        // ended.
        let current = |generation| generation == world.server.stats().auth_requests;
        until("the refresh under way has ended", async || {
            TokenProvider::ready(&session).is_none_or(|token| current(token.generation()))
        })
        .await;
        if step % 20 == 0 {
            let token = session.token().await.unwrap();
            let left = token.expires_at().unwrap().duration_since(world.now()).unwrap();
            let status = world.call_with(&token).await;
            // On a busy machine, a token may expire on the way.
            assert!(status == 200 || begun.elapsed() >= left, "{status} at step {step}, token {token:?}");
        }
    }
    let lifetimes = world.now().duration_since(start).unwrap().as_secs_f64() / life.as_secs_f64();
    let refreshes = f64::from(u32::try_from(world.server.stats().refreshes).unwrap());
    assert!((4.0..=lifetimes / 0.88).contains(&refreshes), "{refreshes} refreshes in {lifetimes} lifetimes");
    assert_eq!(world.server.stats().logins, 1);
}

#[tokio::test]
async fn tokens_of_two_five_and_sixty_seconds_are_served_for_most_of_their_life() {
    for life in [2 * SECOND, 5 * SECOND, MINUTE] {
        assert_served(TestServer::builder().access_lifetime(life).start(), life).await;
    }
}

#[tokio::test]
async fn opaque_and_encrypted_tokens_are_served_as_long_as_jwts() {
    for format in [TokenFormat::Opaque, TokenFormat::Jwe] {
        let life = 5 * SECOND;
        assert_served(TestServer::builder().access_lifetime(life).token_format(format).start(), life).await;
    }
}

#[tokio::test]
async fn one_of_the_two_lifetime_hints_is_enough() {
    for hints in [Hints::Exp, Hints::ExpiresIn] {
        assert_served(TestServer::builder().access_lifetime(MINUTE).lifetime_hints(hints).start(), MINUTE).await;
    }
}

#[tokio::test]
async fn exp_is_understood_when_the_servers_clock_is_an_hour_off() {
    for shift in [-3600, 3600] {
        let server = TestServer::builder().access_lifetime(HOUR).lifetime_hints(Hints::Exp).date_shift(shift);
        let world = World::with(server.refresh_lifetime(2 * HOUR).start());
        let session = world.session().connect().await.unwrap();
        world.pass(50 * MINUTE);
        assert_eq!(session.token().await.unwrap().generation(), 1);
        world.pass(9 * MINUTE + 40 * SECOND);
        assert_eq!(session.token().await.unwrap().generation(), 2);
        assert_eq!(world.call(&session).await, 200);
    }
}

#[tokio::test]
async fn without_any_hint_a_token_lives_until_rejected_or_as_long_as_the_policy_says() {
    let server = || TestServer::builder().lifetime_hints(Hints::None).token_format(TokenFormat::Opaque).start();
    let world = World::with(server());
    let session = world.session().connect().await.unwrap();
    world.pass(1000 * HOUR);
    assert_eq!(session.token().await.unwrap().generation(), 1);

    let world = World::with(server());
    let policy = Policy::default().default_lifetime(3500 * SECOND);
    let session = world.session().policy(policy).connect().await.unwrap();
    world.pass(3000 * SECOND);
    assert_eq!(session.token().await.unwrap().generation(), 1);
    world.pass(500 * SECOND);
    assert_eq!(session.token().await.unwrap().generation(), 2);
}

#[tokio::test]
async fn a_refresh_that_hangs_withholds_no_live_token() {
    let world = World::with_long_tokens();
    let session = world.session().connect().await.unwrap();
    world.server.inject(Endpoint::Refresh, Fault::Hang(HOUR), Times::Once);
    world.pass(IN_LEEWAY);
    let caller = spawn_caller(&session);
    until("the caller waits", async || session.stats().waits == 1).await;
    // A caller waits for at most half of the time that the token has left.
    world.pass(12 * SECOND);
    assert_eq!(caller.await.unwrap().unwrap().generation(), 1);
}

#[tokio::test]
async fn setting_the_wall_clock_back_makes_no_token_live_longer() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let begun = world.now();
    world.pass(PAST_EXPIRY);
    world.clock.step_to(begun - HOUR);
    until("the session finds the token expired", async || !is_ready(&session)).await;
    assert_eq!(world.call(&session).await, 200);
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn setting_the_wall_clock_forward_costs_one_refresh() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.clock.step_to(world.now() + HOUR);
    for _ in 0..20 {
        assert_eq!(world.call(&session).await, 200);
    }
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn a_session_that_is_kept_fresh_is_renewed_without_a_call() {
    let world = World::new();
    let session = world.session().keep_fresh().connect().await.unwrap();
    for refreshes in 1..=3 {
        world.pass(55 * SECOND);
        until("the token is refreshed", async || world.server.stats().refreshes == refreshes).await;
        until("the session has the new token", async || is_ready(&session)).await;
    }
    world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Once);
    world.pass(55 * SECOND);
    until("a refresh fails", async || world.server.stats().failed_refreshes == 1).await;
    until("the session has heard of it", async || session.stats().failures == 1).await;
    world.pass(SECOND);
    until("the refresh is tried again", async || world.server.stats().refreshes == 4).await;
}
