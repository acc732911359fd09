//! A test server and a clock beside it.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use jwt_refresh::{AccessToken, Clock, Error, ManualClock, Session, SessionBuilder};
use jwt_refresh_testkit::TestServer;
use tokio::task::JoinHandle;

use super::{call_api, login};

/// A server, and the clock of the sessions and pools that use it. A test lets time pass on both at
/// once.
pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) clock: ManualClock,
    passed: Mutex<Duration>,
}

impl World {
    /// A server that is set up as the test kit does by default.
    pub(crate) fn new() -> Self {
        Self::with(TestServer::start())
    }

    pub(crate) fn with(server: TestServer) -> Self {
        Self { server, clock: ManualClock::new(), passed: Mutex::default() }
    }

    /// A session for the server's default account.
    pub(crate) fn session(&self) -> SessionBuilder {
        Session::builder(login(&self.server).build().unwrap()).clock(&self.clock)
    }

    /// What the wall clock of sessions and pools shows.
    pub(crate) fn now(&self) -> SystemTime {
        Clock::from(&self.clock).now()
    }

    /// Lets `time` pass on both clocks.
    ///
    /// Real time passes on the server's clock too, so the wall clock beside it is set by real time.
    /// A wall clock that a test has stepped is right again after this.
    pub(crate) fn pass(&self, time: Duration) {
        self.server.advance(time);
        let mut passed = self.passed.lock().unwrap();
        *passed += time;
        self.clock.advance(time);
        self.clock.step_to(SystemTime::now() + *passed);
    }

    /// Calls the API with `token`, and returns the status of the answer.
    pub(crate) async fn call_with(&self, token: &AccessToken) -> u16 {
        call_api(&self.server, token).await
    }

    /// Calls the API with the session's token, and returns the status of the answer.
    pub(crate) async fn call(&self, session: &Session) -> u16 {
        self.call_with(&session.token().await.unwrap()).await
    }
}

/// Asks the session for a token in a task of its own.
pub(crate) fn spawn_caller(session: &Session) -> JoinHandle<Result<AccessToken, Error>> {
    let session = session.clone();
    tokio::spawn(async move { session.token().await })
}
