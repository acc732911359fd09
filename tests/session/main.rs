//! The session against a real server: one refresh at a time, none lost, nothing live displaced.

mod bad_input;
mod cancellation;
mod lifetimes;
mod login;
mod logout;
mod logout_elsewhere;
mod lying_store;
mod rotation;
mod single_flight;
mod unguarded;

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use jwt_refresh::{HttpAuthenticator, HttpAuthenticatorBuilder, ManualClock, Session, SessionBuilder, TokenProvider};
use jwt_refresh_testkit::TestServer;

/// A server and a session on it, whose clocks move together and only when told to.
struct World {
    server: TestServer,
    clock: ManualClock,
    passed: Mutex<Duration>,
}

impl World {
    fn new() -> Self {
        Self::with(TestServer::start())
    }

    fn with(server: TestServer) -> Self {
        Self { server, clock: ManualClock::new(), passed: Mutex::default() }
    }

    fn authenticator(&self) -> HttpAuthenticatorBuilder {
        HttpAuthenticator::builder(self.server.url("/api/auth/login"))
            .refresh_url(self.server.url("/api/auth/refresh"))
            .field("email", self.server.email())
            .secret_field("password", self.server.password())
    }

    fn builder(&self) -> SessionBuilder {
        Session::builder(self.authenticator().build().unwrap()).clock(&self.clock)
    }

    async fn logged_in(&self) -> Session {
        self.builder().login().await.unwrap()
    }

    /// Lets `time` pass on both clocks. The server's goes on by itself in between, so the session's is set by it.
    fn pass(&self, time: Duration) {
        self.server.advance(time);
        let mut passed = self.passed.lock().unwrap();
        *passed += time;
        self.clock.advance(time);
        self.clock.step_to(SystemTime::now() + *passed);
    }

    /// What the API answers to a call with the session's token.
    async fn call(&self, session: &Session) -> u16 {
        let token = session.token().await.unwrap();
        let request = reqwest::Client::new().get(self.server.url("/api/v1/products/1"));
        request.header("authorization", &token).send().await.unwrap().status().as_u16()
    }
}

/// Waits until `done`, which other tasks bring about.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

fn is_ready(session: &Session) -> bool {
    TokenProvider::is_ready(session)
}
