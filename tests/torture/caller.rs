//! Somebody who calls the API and checks every token by the truth: that it lives, and that the server takes it.

use std::time::{Duration, SystemTime};

use jwt_refresh::{AccessToken, Bearer, Error, Session};
use serde::{Deserialize, Serialize};

/// What became of the calls.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    /// Of those, the ones that were sent to the server.
    pub(crate) sent: u64,
    /// Answered 401, though the token lived when the answer came.
    pub(crate) rejected: u64,
    /// Answered 401 because the token died of old age on its way: this machine took longer than it had to live.
    pub(crate) late: u64,
    /// Tokens that were dead when they were handed out.
    pub(crate) dead: u64,
    /// Calls that got no token.
    pub(crate) failed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.sent += other.sent;
        self.rejected += other.rejected;
        self.late += other.late;
        self.dead += other.dead;
        self.failed += other.failed;
    }
}

/// The coarse clock, by which expiry is told, is so far behind at most.
const TICK: Duration = Duration::from_millis(10);

pub(crate) struct Caller {
    pub(crate) session: Session,
    pub(crate) tally: Tally,
    http: reqwest::Client,
    url: String,
}

impl Caller {
    pub(crate) fn new(session: Session, server: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        Self { session, tally: Tally::default(), http, url: format!("{server}/api/v1/products/1") }
    }

    /// Asks for a token, and sends a request with it if so told.
    pub(crate) async fn call(&mut self, send: bool) -> Result<AccessToken, Error> {
        let asked = SystemTime::now();
        self.tally.calls += 1;
        let token = self.session.token().await.inspect_err(|_| self.tally.failed += 1)?;
        let expires = token.expires_at().expect("the server says when");
        if expires + TICK <= asked {
            self.tally.dead += 1;
        }
        if send {
            self.send(&token, expires).await;
        }
        Ok(token)
    }

    async fn send(&mut self, token: &AccessToken, expires: SystemTime) {
        let answer = self.http.get(&self.url).bearer(token).send().await.expect("the API is there");
        self.tally.sent += 1;
        match answer.status().as_u16() {
            200 => {}
            401 if SystemTime::now() >= expires => self.tally.late += 1,
            401 => self.tally.rejected += 1,
            other => panic!("the API answered {other}"),
        }
    }
}
