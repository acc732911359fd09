use std::time::Duration;

use jwt_refresh::Policy;
use jwt_refresh_testkit::{Hints, TestServer, TokenFormat};

use crate::{World, until};

/// Lives through five lifetimes in a hundred steps each, with a call at every step.
async fn serve(server: TestServer, life: Duration) {
    let world = World::with(server);
    let session = world.logged_in().await;
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
    let refreshes = world.server.stats().refreshes;
    assert!((5..=6).contains(&refreshes), "{refreshes} refreshes in 5 lifetimes of {life:?}");
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
