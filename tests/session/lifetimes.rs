use std::time::Duration;

use jwt_refresh::{Clock, Policy};
use jwt_refresh_testkit::{Endpoint, Fault, Hints, TestServer, Times, TokenFormat};

use crate::{World, is_ready, until};

/// Lives through five lifetimes in a hundred steps each, with a call at every step. Real time passes too, so the lifetimes are
/// counted by the clock.
async fn serve(server: TestServer, life: Duration) {
    let world = World::with(server);
    let session = world.logged_in().await;
    let clock = Clock::from(&world.clock);
    let start = clock.now();
    for step in 1..=500 {
        world.pass(life / 100);
        let token = session.token().await.unwrap();
        // A refresh that the step began goes on in the background; no time passes here until it has ended.
        let current = |generation| generation == world.server.stats().auth_requests;
        until("the refresh under way has ended", || {
            jwt_refresh::TokenProvider::ready(&session).is_none_or(|token| current(token.generation()))
        })
        .await;
        if step % 20 == 0 {
            assert_eq!(world.call(&session).await, 200, "step {step}, token {token:?}");
        }
    }
    let lifetimes = clock.now().duration_since(start).unwrap().as_secs_f64() / life.as_secs_f64();
    let refreshes = f64::from(u32::try_from(world.server.stats().refreshes).unwrap());
    // Each token is served for at least 88 % of its life.
    assert!(
        (lifetimes - 1.0..=lifetimes / 0.88).contains(&refreshes),
        "{refreshes} refreshes in {lifetimes} lifetimes"
    );
    assert_eq!(world.server.stats().logins, 1);
}

#[tokio::test]
async fn tokens_of_two_five_and_sixty_seconds_are_served_for_most_of_their_life() {
    for seconds in [2, 5, 60] {
        let life = Duration::from_secs(seconds);
        serve(TestServer::builder().access_lifetime(life).start(), life).await;
    }
}

#[tokio::test]
async fn opaque_and_encrypted_tokens_are_served_as_long_as_jwts() {
    for format in [TokenFormat::Opaque, TokenFormat::Jwe] {
        let life = Duration::from_secs(5);
        serve(TestServer::builder().access_lifetime(life).token_format(format).start(), life).await;
    }
}

#[tokio::test]
async fn one_hint_of_the_two_is_enough() {
    for hints in [Hints::Exp, Hints::ExpiresIn] {
        let life = Duration::from_secs(60);
        serve(TestServer::builder().access_lifetime(life).lifetime_hints(hints).start(), life).await;
    }
}

#[tokio::test]
async fn exp_is_right_when_the_servers_clock_is_an_hour_off() {
    for shift in [-3600, 3600] {
        let life = Duration::from_secs(60);
        let server = TestServer::builder().access_lifetime(life).lifetime_hints(Hints::Exp).date_shift(shift).start();
        let world = World::with(server);
        let session = world.logged_in().await;
        world.pass(Duration::from_secs(50));
        assert_eq!(session.token().await.unwrap().generation(), 1);
        world.pass(Duration::from_secs(9));
        assert_eq!(session.token().await.unwrap().generation(), 2);
        assert_eq!(world.call(&session).await, 200);
    }
}

#[tokio::test]
async fn without_any_hint_a_token_lives_until_rejected_or_as_long_as_the_policy_says() {
    let hour = Duration::from_secs(3600);
    let server = || TestServer::builder().lifetime_hints(Hints::None).token_format(TokenFormat::Opaque).start();
    let world = World::with(server());
    let session = world.logged_in().await;
    world.pass(hour * 1000);
    assert_eq!(session.token().await.unwrap().generation(), 1);

    let world = World::with(server());
    let policy = Policy::default().default_lifetime(Duration::from_secs(3500));
    let session = world.builder().policy(policy).login().await.unwrap();
    world.pass(Duration::from_secs(3000));
    assert_eq!(session.token().await.unwrap().generation(), 1);
    world.pass(Duration::from_secs(500));
    assert_eq!(session.token().await.unwrap().generation(), 2);
}

#[tokio::test]
async fn a_refresh_that_hangs_withholds_no_token_that_still_lives() {
    let world = World::new();
    let session = world.logged_in().await;
    world.server.inject(Endpoint::Refresh, Fault::Hang(Duration::from_secs(3600)), Times::Once);
    world.pass(Duration::from_secs(58));
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    until("the caller waits", || session.stats().waits == 1).await;
    world.pass(Duration::from_millis(1500));
    assert_eq!(waiting.await.unwrap().unwrap().generation(), 1);
}

#[tokio::test]
async fn a_wall_clock_that_was_set_back_makes_no_token_live_longer() {
    let world = World::new();
    let session = world.logged_in().await;
    let shown = Clock::from(&world.clock).now();
    world.clock.advance(Duration::from_secs(61));
    world.server.advance(Duration::from_secs(61));
    world.clock.step_to(shown - Duration::from_secs(3600));
    until("the session has noticed", || !is_ready(&session)).await;
    assert_eq!(world.call(&session).await, 200);
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn a_wall_clock_that_was_set_forward_costs_one_refresh_and_no_storm() {
    let world = World::new();
    let session = world.logged_in().await;
    world.clock.step_to(Clock::from(&world.clock).now() + Duration::from_secs(3600));
    for _ in 0..100 {
        assert_eq!(world.call(&session).await, 200);
    }
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn a_session_that_is_kept_fresh_is_renewed_though_nobody_calls_until_it_ends() {
    let world = World::new();
    let session = world.builder().keep_fresh().login().await.unwrap();
    for refreshes in 1..=3 {
        world.pass(Duration::from_secs(55));
        until("it was renewed by itself", || world.server.stats().refreshes == refreshes).await;
        until("and that was noted", || is_ready(&session)).await;
    }
    world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Once);
    world.pass(Duration::from_secs(55));
    until("it failed", || world.server.stats().failed_refreshes == 1).await;
    until("that was noted", || session.stats().failures == 1).await;
    world.pass(Duration::from_secs(1));
    until("it was tried again", || world.server.stats().refreshes == 4).await;
}
