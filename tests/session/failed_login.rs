//! Logins that are asked for and fail: they change nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jwt_refresh::{Authenticator, Error, ErrorKind, Event, HttpAuthenticator, RefreshToken, Session, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use crate::support::{PAST_EXPIRY, World, login};

const BUSY: Fault = Fault::TooManyRequests { retry_after: Duration::from_secs(500) };

#[tokio::test]
async fn a_login_that_fails_after_a_logout_does_not_undo_the_logout() {
    let expired = Fault::Body(r#"{"access_token":"x","refresh_token":"y","expires_in":0}"#.into());
    for fault in [Fault::Status(503), expired] {
        let world = World::new();
        let session = world.session().connect().await.unwrap();
        session.logout().await.unwrap();
        world.server.inject(Endpoint::Login, fault.clone(), Times::Once);
        session.login().await.unwrap_err();
        for _ in 0..3 {
            assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut, "{fault:?}");
            world.pass(PAST_EXPIRY);
        }
        assert_eq!(world.server.stats().auth_requests, 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_login_that_fails_does_not_delay_a_later_refresh() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.pass(PAST_EXPIRY);
    world.server.inject(Endpoint::Login, BUSY, Times::Once);
    session.login().await.unwrap_err();
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn a_caller_that_waits_for_a_login_that_fails_is_served_by_a_refresh() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.pass(PAST_EXPIRY);
    world.server.inject(Endpoint::Login, BUSY, Times::Once);
    let (login, token) = tokio::join!(session.login(), session.token());
    assert_eq!(login.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(token.unwrap().generation(), 2);
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn a_login_that_fails_transiently_does_not_make_a_final_error_transient() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.server.revoke_refresh_tokens();
    world.server.set_password(world.server.email(), "changed");
    world.pass(PAST_EXPIRY);
    session.token().await.unwrap_err();
    world.server.inject(Endpoint::Login, Fault::Status(503), Times::Once);
    session.login().await.unwrap_err();
    world.pass(PAST_EXPIRY);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::ReauthenticationRequired);
    assert_eq!(world.server.stats().auth_requests, 4);
}

#[tokio::test]
async fn a_login_that_is_refused_alarms_nobody_while_the_session_can_refresh() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let mut events = session.events();
    world.server.set_password(world.server.email(), "changed");
    assert_eq!(session.login().await.unwrap_err().kind(), ErrorKind::ReauthenticationRequired);
    let event = events.next().await;
    assert!(matches!(&event, Some(Event::Failed(_))), "{event:?}");
    world.pass(PAST_EXPIRY);
    assert_eq!(world.call(&session).await, 200);
}

#[tokio::test]
async fn a_login_that_is_refused_after_a_logout_is_no_alarm_but_one_that_nothing_else_can_replace_is() {
    let world = World::new();
    let session = world.session().build();
    let mut events = session.events();
    world.server.set_password(world.server.email(), "changed");
    session.login().await.unwrap_err();
    let event = events.next().await;
    assert!(matches!(&event, Some(Event::ReauthenticationRequired(_))), "{event:?}");
    session.logout().await.unwrap();
    session.login().await.unwrap_err();
    let told = [events.next().await, events.next().await];
    assert!(matches!(told, [Some(Event::LoggedOut), Some(Event::Failed(_))]), "{told:?}");
}

/// Panics at its second login.
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
async fn a_login_that_panics_leaves_the_refresh_token_valid() {
    let world = World::new();
    let authenticator = LogsInOnce(login(&world.server).build().unwrap(), AtomicU32::new(0));
    let session = Session::builder(authenticator).clock(&world.clock).connect().await.unwrap();
    assert_eq!(session.login().await.unwrap_err().kind(), ErrorKind::Aborted);
    world.pass(PAST_EXPIRY);
    assert_eq!(world.call(&session).await, 200);
}
