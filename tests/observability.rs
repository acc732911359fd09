//! What a program can watch: events, statistics, and with the feature `metrics` counters.

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

#[cfg(feature = "metrics")]
mod counters {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use super::*;

    /// Keeps counters, and nothing else.
    #[derive(Clone, Default)]
    struct Counters(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

    impl Recorder for Counters {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(key.to_string()).or_default()))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[tokio::test]
    async fn counters_go_by_stable_names_and_without_labels() {
        let counters = Counters::default();
        metrics::set_global_recorder(counters.clone()).unwrap();
        let server = TestServer::start();
        a_day_in_the_life(&server).await;
        let counted = counters.0.lock().unwrap().clone();
        let names: Vec<_> = counted.keys().map(|name| name.trim_start_matches("Key(").trim_end_matches(')')).collect();
        assert_eq!(
            names,
            [
                "jwt_refresh_failures_total",
                "jwt_refresh_logins_total",
                "jwt_refresh_refreshes_total",
                "jwt_refresh_waits_total"
            ]
        );
        // Other tests of this file may count too.
        assert!(counted.values().all(|count| count.load(Ordering::Relaxed) >= 1));
    }
}
