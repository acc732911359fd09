//! Which refresh token is used next, and what happens when none is accepted.

use jwt_refresh::{Authenticator, Error, ErrorKind, HttpAuthenticator, RefreshToken, Session, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, RefreshAnswer, Rotation, TestServer, Times};

use crate::support::{MINUTE, PAST_EXPIRY, SECOND, World, login};

/// Refreshes three times, each time with the refresh token that the refresh before left.
async fn refresh_three_times(server: TestServer) {
    let world = World::with(server);
    let session = world.session().connect().await.unwrap();
    for _ in 0..3 {
        world.pass(PAST_EXPIRY);
        assert_eq!(world.call(&session).await, 200);
    }
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.failed_refreshes, stats.reuses), (1, 3, 0, 0));
}

#[tokio::test]
async fn a_new_refresh_token_replaces_the_old_one() {
    refresh_three_times(TestServer::start()).await;
}

#[tokio::test]
async fn a_refresh_answered_without_a_refresh_token_keeps_the_old_one() {
    refresh_three_times(TestServer::builder().rotation(Rotation::Off).start()).await;
}

#[tokio::test]
async fn a_refresh_answered_with_the_same_refresh_token_keeps_it() {
    refresh_three_times(TestServer::builder().rotation(Rotation::Off).refresh_answer(RefreshAnswer::Same).start())
        .await;
}

#[tokio::test]
async fn a_dead_refresh_token_falls_back_to_one_login() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.server.revoke_refresh_tokens();
    world.pass(PAST_EXPIRY);
    assert_eq!(world.call(&session).await, 200);
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.failed_refreshes), (2, 0, 1));
    world.pass(PAST_EXPIRY);
    assert_eq!(world.call(&session).await, 200);
    assert_eq!(world.server.stats().since(&stats).refreshes, 1, "the refresh token of the login is used from then on");
}

#[tokio::test]
async fn when_the_login_is_denied_too_the_error_is_final_and_the_server_is_not_asked_again() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.server.revoke_refresh_tokens();
    world.server.set_password(world.server.email(), "changed");
    world.pass(PAST_EXPIRY);
    for _ in 0..100 {
        let error = session.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
        assert!(!error.is_transient());
        world.pass(PAST_EXPIRY);
    }
    let stats = world.server.stats();
    assert_eq!((stats.failed_refreshes, stats.failed_logins), (1, 1));

    world.server.set_password(world.server.email(), world.server.password());
    session.login().await.unwrap();
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn when_login_and_a_refresh_token_in_doubt_are_both_denied_the_error_names_the_login() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.server.inject(Endpoint::Refresh, Fault::DropAfterProcessing, Times::Once);
    world.pass(PAST_EXPIRY);
    session.token().await.unwrap_err();
    world.server.set_password(world.server.email(), "changed");
    world.pass(SECOND);
    let error = session.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    assert!(error.to_string().contains("the login was denied"), "{error}");
}

/// Has no refresh of its own, although the server sends refresh tokens: it logs in instead.
struct LoginOnly(HttpAuthenticator);

impl Authenticator for LoginOnly {
    async fn login(&self) -> Result<Tokens, Error> {
        self.0.login().await
    }
}

async fn assert_wrong_password_sent_once(world: &World, authenticator: impl Authenticator) {
    let session = Session::builder(authenticator).clock(&world.clock).connect().await.unwrap();
    world.server.inject(Endpoint::Login, Fault::DropConnection, Times::Once);
    world.pass(PAST_EXPIRY);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Unanswered);
    world.pass(SECOND);
    assert_eq!(world.call(&session).await, 200);

    let before = world.server.stats();
    world.server.set_password(world.server.email(), "changed");
    world.pass(PAST_EXPIRY);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::ReauthenticationRequired);
    assert_eq!(world.server.stats().since(&before).auth_requests, 1);
}

#[tokio::test]
async fn a_wrong_password_is_sent_once_where_a_refresh_is_a_login() {
    let world = World::new();
    let http = HttpAuthenticator::builder(world.server.url("/api/auth/login"))
        .field("email", world.server.email())
        .secret_field("password", world.server.password())
        .build()
        .unwrap();
    assert_wrong_password_sent_once(&world, http).await;
    let world = World::new();
    assert_wrong_password_sent_once(&world, LoginOnly(login(&world.server).build().unwrap())).await;
}

/// Can neither log in nor refresh.
struct NeitherLoginNorRefresh;

impl Authenticator for NeitherLoginNorRefresh {
    async fn login(&self) -> Result<Tokens, Error> {
        Err(Error::login_unavailable())
    }
}

#[tokio::test]
async fn without_a_way_to_log_in_a_refresh_that_is_a_login_ends_in_a_final_error() {
    let world = World::new();
    let captured = Tokens::new("access").unwrap().refresh_token("refresh").expires_in(MINUTE);
    let session = Session::builder(NeitherLoginNorRefresh).tokens(captured).clock(&world.clock).build();
    world.pass(PAST_EXPIRY);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::ReauthenticationRequired);
}

/// Can refresh but not log in, as with tokens that were captured in a browser.
struct RefreshOnly(HttpAuthenticator);

impl Authenticator for RefreshOnly {
    async fn login(&self) -> Result<Tokens, Error> {
        Err(Error::login_unavailable())
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        self.0.refresh(token).await
    }
}

async fn with_captured_tokens(world: &World) -> Session {
    let authenticator = login(&world.server).build().unwrap();
    let tokens = authenticator.login().await.unwrap();
    Session::builder(RefreshOnly(authenticator)).tokens(tokens).clock(&world.clock).build()
}

#[tokio::test]
async fn captured_tokens_are_served_and_refreshed() {
    let world = World::new();
    let session = with_captured_tokens(&world).await;
    assert_eq!(world.call(&session).await, 200);
    world.pass(PAST_EXPIRY);
    assert_eq!(world.call(&session).await, 200);
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes), (1, 1));
}

#[tokio::test]
async fn an_empty_refresh_token_is_not_sent() {
    let world = World::new();
    let captured = Tokens::new("access").unwrap().refresh_token("").expires_in(MINUTE);
    let session = world.session().tokens(captured).build();
    world.pass(PAST_EXPIRY);
    assert_eq!(world.call(&session).await, 200);
    assert_eq!(world.server.stats().auth_requests, 1);
}

#[tokio::test]
async fn without_a_way_to_log_in_a_dead_refresh_token_ends_in_an_error_that_says_so() {
    let world = World::new();
    let session = with_captured_tokens(&world).await;
    world.server.revoke_refresh_tokens();
    world.pass(PAST_EXPIRY);
    let error = session.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    assert!(error.to_string().starts_with("the refresh token is no longer accepted at http://127.0.0.1:"), "{error}");
    assert!(error.to_string().contains("(status 400, invalid_grant): there is no way to log in; "), "{error}");

    let fresh = login(&world.server).build().unwrap().login().await.unwrap();
    session.adopt(fresh).await.unwrap();
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn without_a_way_to_log_in_a_refresh_token_in_doubt_is_sent_again() {
    let world = World::new();
    let session = with_captured_tokens(&world).await;
    world.server.inject(Endpoint::Refresh, Fault::DropConnection, Times::Once);
    world.pass(PAST_EXPIRY);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Unanswered);
    world.pass(SECOND);
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn without_a_way_to_log_in_the_error_names_the_lost_answer_that_spent_the_refresh_token() {
    let world = World::new();
    let session = with_captured_tokens(&world).await;
    world.server.inject(Endpoint::Refresh, Fault::DropAfterProcessing, Times::Once);
    world.pass(PAST_EXPIRY);
    session.token().await.unwrap_err();
    world.pass(SECOND);
    let error = session.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    assert!(error.to_string().contains("answer never came"), "{error}");
}
