use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jwt_refresh::{Authenticator, Error, ErrorKind, HttpAuthenticator, RefreshToken, Session, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use crate::World;

const MINUTE: Duration = Duration::from_secs(61);
const BUSY: Fault = Fault::TooManyRequests { retry_after: Duration::from_secs(500) };

#[tokio::test]
async fn a_login_that_fails_after_a_logout_does_not_bring_the_session_back() {
    for fault in [Fault::Status(503), Fault::Body(r#"{"access_token":"x","refresh_token":"y","expires_in":0}"#.into())]
    {
        let world = World::new();
        let session = world.logged_in().await;
        session.logout().await.unwrap();
        world.server.inject(Endpoint::Login, fault.clone(), Times::Once);
        session.login().await.unwrap_err();
        for _ in 0..3 {
            assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut, "{fault:?}");
            world.pass(MINUTE);
        }
        assert_eq!(world.server.stats().auth_requests, 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_login_that_fails_neither_delays_nor_fails_a_refresh_that_need_not_wait_for_it() {
    let world = World::new();
    let session = world.logged_in().await;
    world.pass(MINUTE);
    world.server.inject(Endpoint::Login, BUSY, Times::Once);
    session.login().await.unwrap_err();
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn whoever_waits_for_a_login_that_fails_is_served_by_a_refresh() {
    let world = World::new();
    let session = world.logged_in().await;
    world.pass(MINUTE);
    world.server.inject(Endpoint::Login, BUSY, Times::Once);
    let (login, token) = tokio::join!(session.login(), session.token());
    assert_eq!(login.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(token.unwrap().generation(), 2);
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn a_login_that_fails_for_want_of_an_answer_does_not_make_a_final_error_passing() {
    let world = World::new();
    let session = world.logged_in().await;
    world.server.revoke_refresh_tokens();
    world.server.set_password(world.server.email(), "changed");
    world.pass(MINUTE);
    session.token().await.unwrap_err();
    world.server.inject(Endpoint::Login, Fault::Status(503), Times::Once);
    session.login().await.unwrap_err();
    world.pass(MINUTE);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::ReauthenticationRequired);
    assert_eq!(world.server.stats().auth_requests, 4);
}

/// Logs in once, and panics when it is to do so again.
struct LogsInOnce(HttpAuthenticator, AtomicU32);

impl Authenticator for LogsInOnce {
    async fn login(&self) -> Result<Tokens, Error> {
        assert_eq!(self.1.fetch_add(1, Ordering::SeqCst), 0, "an authenticator with a bug");
        self.0.login().await
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        self.0.refresh(token).await
    }
}

#[tokio::test]
async fn a_login_that_panics_leaves_the_refresh_token_as_good_as_before() {
    let world = World::new();
    let authenticator = LogsInOnce(world.authenticator().build().unwrap(), AtomicU32::new(0));
    let session = Session::builder(authenticator).clock(&world.clock).login().await.unwrap();
    assert_eq!(session.login().await.unwrap_err().kind(), ErrorKind::Aborted);
    world.pass(MINUTE);
    assert_eq!(world.call(&session).await, 200);
}
