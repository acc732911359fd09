//! A server and a session on it, whose clocks move together and only when told to.

use std::time::{Duration, Instant, SystemTime};

use jwt_refresh::{Clock, HttpAuthenticator, ManualClock, Session, SessionBuilder};
use jwt_refresh_testkit::TestServer;

pub(crate) struct World {
    pub(crate) server: TestServer,
    clock: ManualClock,
    /// The server's clock goes on by itself, and the session's follows it with each move.
    moved: Instant,
}

impl World {
    pub(crate) fn new(server: TestServer) -> Self {
        Self { server, clock: ManualClock::new(), moved: Instant::now() }
    }

    pub(crate) fn builder(&self) -> SessionBuilder {
        authenticated(&self.server, self.server.base_url()).clock(&self.clock)
    }

    pub(crate) async fn logged_in(&self) -> Session {
        self.builder().login().await.expect("the server is up")
    }

    /// Lets time pass, awake or suspended.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.server.advance(time);
        let real = self.moved.elapsed();
        self.moved += real;
        self.clock.advance(time + real);
    }

    /// Steps the wall clock that the session reads, and nothing else.
    pub(crate) fn step(&self, by: Duration, forward: bool) {
        let now = self.now();
        self.clock.step_to(if forward { now + by } else { now - by });
    }

    /// What the session's wall clock shows.
    pub(crate) fn now(&self) -> SystemTime {
        Clock::from(&self.clock).now()
    }
}

/// A session on `server`, which is reached at `url`.
pub(crate) fn authenticated(server: &TestServer, url: &str) -> SessionBuilder {
    let authenticator = HttpAuthenticator::builder(format!("{url}/api/auth/login"))
        .refresh_url(format!("{url}/api/auth/refresh"))
        .field("email", server.email())
        .secret_field("password", server.password());
    Session::builder(authenticator.build().expect("an authenticator"))
}
