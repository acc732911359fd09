use std::time::Duration;

use jwt_refresh::{Authenticator, Error, ErrorKind, HttpAuthenticator, RefreshToken, Session, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, RefreshAnswer, Rotation, TestServer, Times};

use crate::World;

const MINUTE: Duration = Duration::from_secs(61);

/// Three refreshes in a row, each with what the one before it left.
async fn refreshes_thrice(server: TestServer) {
    let world = World::with(server);
    let session = world.logged_in().await;
    for _ in 0..3 {
        world.pass(MINUTE);
        assert_eq!(world.call(&session).await, 200);
    }
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.failed_refreshes, stats.reuses), (1, 3, 0, 0));
}

#[tokio::test]
async fn a_new_refresh_token_replaces_the_old_one() {
    refreshes_thrice(TestServer::start()).await;
}

#[tokio::test]
async fn a_refresh_answered_without_a_refresh_token_keeps_the_old_one() {
    refreshes_thrice(TestServer::builder().rotation(Rotation::Off).start()).await;
}

#[tokio::test]
async fn a_refresh_answered_with_the_same_refresh_token_keeps_it() {
    refreshes_thrice(TestServer::builder().rotation(Rotation::Off).refresh_answer(RefreshAnswer::Same).start()).await;
}

#[tokio::test]
async fn a_dead_refresh_token_falls_back_to_one_login() {
    let world = World::new();
    let session = world.logged_in().await;
    world.server.revoke_refresh_tokens();
    world.pass(MINUTE);
    assert_eq!(world.call(&session).await, 200);
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.failed_refreshes), (2, 0, 1));
    world.pass(MINUTE);
    assert_eq!(world.call(&session).await, 200);
    assert_eq!(world.server.stats().since(&stats).refreshes, 1, "the login's refresh token is used from then on");
}

#[tokio::test]
async fn when_the_login_is_denied_too_the_error_is_final_and_the_server_is_left_alone() {
    let world = World::new();
    let session = world.logged_in().await;
    world.server.revoke_refresh_tokens();
    world.server.set_password(world.server.email(), "changed");
    world.pass(MINUTE);
    for _ in 0..100 {
        let error = session.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
        assert!(!error.is_transient());
        world.pass(MINUTE);
    }
    let stats = world.server.stats();
    assert_eq!((stats.failed_refreshes, stats.failed_logins), (1, 1));

    world.server.set_password(world.server.email(), world.server.password());
    session.login().await.unwrap();
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn an_answer_lost_after_the_rotation_is_followed_by_a_login_and_not_by_a_reuse() {
    for fault in [Fault::DropAfterProcessing, Fault::CutBody, Fault::MissingField("access_token")] {
        let world = World::new();
        let session = world.logged_in().await;
        world.server.inject(Endpoint::Refresh, fault.clone(), Times::Once);
        world.pass(MINUTE);
        assert!(session.token().await.unwrap_err().is_transient(), "{fault:?}");
        world.pass(Duration::from_secs(1));
        assert_eq!(world.call(&session).await, 200, "{fault:?}");
        let stats = world.server.stats();
        assert_eq!((stats.logins, stats.reuses), (2, 0), "{fault:?}");
    }
}

#[tokio::test]
async fn a_request_that_never_arrived_leaves_the_refresh_token_as_good_as_before() {
    let world = World::new();
    let session = world.logged_in().await;
    world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Once);
    world.pass(MINUTE);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Unavailable);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.call(&session).await, 200);
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes), (1, 1));
}

#[tokio::test]
async fn when_login_and_a_refresh_token_in_doubt_are_both_denied_the_error_tells_of_the_login() {
    let world = World::new();
    let session = world.logged_in().await;
    world.server.inject(Endpoint::Refresh, Fault::DropAfterProcessing, Times::Once);
    world.pass(MINUTE);
    session.token().await.unwrap_err();
    world.server.set_password(world.server.email(), "changed");
    world.pass(Duration::from_secs(1));
    let error = session.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    assert!(error.to_string().contains("the login was denied"), "{error}");
}

/// Knows no refresh but the login, although the server sends refresh tokens.
struct LoginOnly(HttpAuthenticator);

impl Authenticator for LoginOnly {
    async fn login(&self) -> Result<Tokens, Error> {
        self.0.login().await
    }
}

async fn posts_a_wrong_password_once(world: &World, authenticator: impl Authenticator) {
    let session = Session::builder(authenticator).clock(&world.clock).login().await.unwrap();
    world.server.inject(Endpoint::Login, Fault::DropConnection, Times::Once);
    world.pass(MINUTE);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Unanswered);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.call(&session).await, 200);

    let before = world.server.stats();
    world.server.set_password(world.server.email(), "changed");
    world.pass(MINUTE);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::ReauthenticationRequired);
    assert_eq!(world.server.stats().since(&before).auth_requests, 1);
}

#[tokio::test]
async fn a_wrong_password_is_posted_once_where_a_refresh_is_a_login() {
    let world = World::new();
    let http = HttpAuthenticator::builder(world.server.url("/api/auth/login"))
        .field("email", world.server.email())
        .secret_field("password", world.server.password())
        .build()
        .unwrap();
    posts_a_wrong_password_once(&world, http).await;
    let world = World::new();
    posts_a_wrong_password_once(&world, LoginOnly(world.authenticator().build().unwrap())).await;
}

/// Cannot log in, and knows no refresh but the login.
struct Neither;

impl Authenticator for Neither {
    async fn login(&self) -> Result<Tokens, Error> {
        Err(Error::login_unavailable())
    }
}

#[tokio::test]
async fn without_a_way_to_log_in_a_refresh_that_is_a_login_ends_in_a_final_error() {
    let world = World::new();
    let captured = Tokens::new("access").unwrap().refresh_token("refresh").expires_in(Duration::from_secs(60));
    let session = Session::builder(Neither).tokens(captured).clock(&world.clock).build();
    world.pass(MINUTE);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::ReauthenticationRequired);
}

/// Can refresh, and cannot log in: the tokens were captured in a browser.
struct RefreshOnly(HttpAuthenticator);

impl Authenticator for RefreshOnly {
    async fn login(&self) -> Result<Tokens, Error> {
        Err(Error::login_unavailable())
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        self.0.refresh(token).await
    }
}

async fn captured(world: &World) -> Session {
    let authenticator = world.authenticator().build().unwrap();
    let tokens = authenticator.login().await.unwrap();
    Session::builder(RefreshOnly(authenticator)).tokens(tokens).clock(&world.clock).build()
}

#[tokio::test]
async fn a_session_goes_on_from_captured_tokens_and_refreshes_them() {
    let world = World::new();
    let session = captured(&world).await;
    assert_eq!(world.call(&session).await, 200);
    world.pass(MINUTE);
    assert_eq!(world.call(&session).await, 200);
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes), (1, 1));
}

#[tokio::test]
async fn an_empty_refresh_token_is_none_and_is_not_sent() {
    let world = World::new();
    let captured = Tokens::new("access").unwrap().refresh_token("").expires_in(Duration::from_secs(60));
    let session = world.builder().tokens(captured).build();
    world.pass(MINUTE);
    assert_eq!(world.call(&session).await, 200);
    assert_eq!(world.server.stats().auth_requests, 1);
}

#[tokio::test]
async fn without_a_way_to_log_in_a_dead_refresh_token_ends_in_an_error_that_says_so() {
    let world = World::new();
    let session = captured(&world).await;
    world.server.revoke_refresh_tokens();
    world.pass(MINUTE);
    let error = session.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    assert!(error.to_string().contains("refresh token is no longer accepted"), "{error}");

    let fresh = world.authenticator().build().unwrap().login().await.unwrap();
    session.adopt(fresh).await.unwrap();
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn without_a_way_to_log_in_a_refresh_token_in_doubt_is_tried_as_the_last_resort() {
    let world = World::new();
    let session = captured(&world).await;
    world.server.inject(Endpoint::Refresh, Fault::DropConnection, Times::Once);
    world.pass(MINUTE);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Unanswered);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn without_a_way_to_log_in_the_error_says_that_it_was_a_lost_answer_that_cost_the_login() {
    let world = World::new();
    let session = captured(&world).await;
    world.server.inject(Endpoint::Refresh, Fault::DropAfterProcessing, Times::Once);
    world.pass(MINUTE);
    session.token().await.unwrap_err();
    world.pass(Duration::from_secs(1));
    let error = session.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    assert!(error.to_string().contains("answer never came"), "{error}");
}
