//! What a program can observe: events, statistics, and with the feature `metrics` counters and
//! gauges.

#[cfg(feature = "metrics")]
mod counters;
#[cfg(feature = "metrics")]
mod gauges;
#[path = "../support/mod.rs"]
mod support;

use std::io::Write;
use std::sync::Mutex;

use jwt_refresh::prelude::*;
use jwt_refresh::{ErrorKind, Event};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use support::{PAST_EXPIRY, SECOND, World};

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

/// What the library has logged in this process.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn warnings_of_refused_refreshes() -> usize {
    String::from_utf8_lossy(&LOG.lock().unwrap()).matches("refuses every refresh").count()
}

#[tokio::test]
async fn a_refresh_that_is_always_refused_warns_once_and_shows_in_the_statistics() {
    tracing_subscriber::fmt().with_writer(|| Log).init();
    let world = World::new();
    let session = world.session().login().await.unwrap();
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
