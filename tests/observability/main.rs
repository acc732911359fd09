//! What a program can watch: events, statistics, and with the feature `metrics` counters and gauges.

#[cfg(feature = "metrics")]
mod counters;
#[cfg(feature = "metrics")]
mod gauges;
#[cfg(feature = "metrics")]
mod recorder;

use std::time::Duration;

use jwt_refresh::prelude::*;
use jwt_refresh::{ErrorKind, Event, ManualClock};
use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};

fn session(server: &TestServer, clock: &ManualClock) -> Session {
    let authenticator = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .refresh_url(server.url("/api/auth/refresh"))
        .field("email", server.email())
        .secret_field("password", server.password());
    Session::builder(authenticator.build().unwrap()).clock(clock).build()
}

async fn a_day_in_the_life(server: &TestServer) -> Session {
    let clock = ManualClock::new();
    let pass = |seconds| {
        clock.advance(Duration::from_secs(seconds));
        server.advance(Duration::from_secs(seconds));
    };
    let session = session(server, &clock);
    for _ in 0..10 {
        session.token().await.unwrap();
    }
    pass(61);
    server.inject(Endpoint::Refresh, Fault::Status(503), Times::Once);
    session.token().await.unwrap_err();
    pass(1);
    session.token().await.unwrap();
    session
}

#[tokio::test]
async fn statistics_count_requests_logins_refreshes_failures_and_waits() {
    let server = TestServer::start();
    let stats = a_day_in_the_life(&server).await.stats();
    assert_eq!((stats.requests, stats.logins, stats.refreshes, stats.failures, stats.waits), (12, 1, 1, 1, 3));
    assert!((stats.overhead() - 2.0 / 12.0).abs() < 1e-9);
    assert_eq!(stats.last_error.unwrap().kind(), ErrorKind::Unavailable);
    assert!(stats.expires_in.unwrap() > Duration::from_secs(55));
}

#[tokio::test]
async fn events_tell_what_happens_in_order_and_end_with_the_session() {
    let server = TestServer::start();
    let clock = ManualClock::new();
    let session = session(&server, &clock);
    let mut events = session.events();
    session.token().await.unwrap();
    server.revoke_refresh_tokens();
    server.set_password(server.email(), "changed");
    clock.advance(Duration::from_secs(61));
    session.token().await.unwrap_err();
    session.logout().await.unwrap();
    drop(session);
    assert!(matches!(events.next().await, Some(Event::Renewed)));
    assert!(matches!(events.next().await, Some(Event::ReauthenticationRequired(error)) if error.status().is_some()));
    assert!(matches!(events.next().await, Some(Event::LoggedOut)));
    assert!(events.next().await.is_none());
}
