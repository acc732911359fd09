//! What a program can observe: events, statistics, and with the feature `metrics` counters and
//! gauges.

#[cfg(feature = "metrics")]
mod counters;
#[cfg(feature = "metrics")]
mod gauges;
#[path = "../support/mod.rs"]
mod support;

use jwt_refresh::prelude::*;
use jwt_refresh::{Clock, Error, ErrorKind, Event, ManualClock};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use support::{MINUTE, PAST_EXPIRY, SECOND, World, log};

/// Takes twelve tokens from a session: after a login, during a failed refresh, and after a refresh.
async fn use_a_session(world: &World) -> Session {
    let session = world.session().build();
    for _ in 0..10 {
        session.token().await.unwrap();
    }
    world.pass(PAST_EXPIRY);
    world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Once);
    session.token().await.unwrap_err();
    world.pass(SECOND);
    session.token().await.unwrap();
    session
}

#[tokio::test]
async fn statistics_count_requests_logins_refreshes_failures_and_waits() {
    let world = World::new();
    let stats = use_a_session(&world).await.stats();
    assert_eq!((stats.requests, stats.logins, stats.refreshes, stats.failures, stats.waits), (12, 1, 1, 1, 3));
    assert!((stats.overhead() - 2.0 / 12.0).abs() < 1e-9);
    assert_eq!(stats.last_error.unwrap().kind(), ErrorKind::Unavailable);
    assert!(stats.expires_in.unwrap() > 55 * SECOND);
}

#[tokio::test]
async fn events_come_in_order_and_end_with_the_session() {
    let world = World::new();
    let session = world.session().build();
    let mut events = session.events();
    session.token().await.unwrap();
    world.server.revoke_refresh_tokens();
    world.server.set_password(world.server.email(), "changed");
    world.pass(PAST_EXPIRY);
    session.token().await.unwrap_err();
    session.logout().await.unwrap();
    drop(session);
    assert!(matches!(events.next().await, Some(Event::Renewed)));
    assert!(matches!(events.next().await, Some(Event::ReauthenticationRequired(error)) if error.status().is_some()));
    assert!(matches!(events.next().await, Some(Event::LoggedOut)));
    assert!(events.next().await.is_none());
}

/// Tells how long its refresh tokens live, and has no way to log in without a person.
struct Prolonged;

impl Authenticator for Prolonged {
    async fn login(&self) -> Result<Tokens, Error> {
        Ok(Tokens::new("access")?.expires_in(MINUTE).refresh_token("refresh").refresh_expires_in(30 * MINUTE))
    }
}

#[tokio::test]
async fn before_a_login_ends_there_is_one_event_unless_it_is_prolonged() {
    let clock = ManualClock::new();
    let session = Session::builder(Prolonged).clock(&clock).connect().await.unwrap();
    let mut events = session.events();
    for _ in 0..3 {
        clock.advance(24 * MINUTE);
        session.token().await.unwrap();
        assert!(matches!(events.next().await, Some(Event::Renewed)));
    }
    let ends = Clock::from(&clock).now() + 30 * MINUTE;
    clock.advance(26 * MINUTE);
    let event = tokio::time::timeout(20 * SECOND, events.next()).await.expect("an event");
    assert!(matches!(event, Some(Event::LoginEnds(at)) if at == ends), "{event:?}");
    clock.advance(3 * MINUTE);
    session.token().await.unwrap();
    assert!(matches!(events.next().await, Some(Event::Renewed)), "it comes once");
}

fn warnings_of_refused_refreshes() -> usize {
    log().matches("refuses every refresh").count()
}

#[tokio::test]
async fn a_refresh_that_is_always_refused_warns_once_and_shows_in_the_statistics() {
    log();
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    for renewals in 1..=6 {
        // A refresh that works once ends the row.
        if renewals == 2 {
            world.pass(PAST_EXPIRY);
            session.token().await.unwrap();
        }
        world.server.revoke_refresh_tokens();
        world.pass(PAST_EXPIRY);
        session.token().await.unwrap();
        assert_eq!(warnings_of_refused_refreshes(), usize::from(renewals >= 4), "{renewals} refused");
    }
    let stats = session.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.refused_refreshes, stats.failures), (7, 1, 6, 6));
}
