//! A caller of the API that checks each token: that it lives, and that the server accepts it.

use std::time::{Duration, SystemTime};

use jwt_refresh::{AccessToken, Bearer, Error, Session};
use serde::{Deserialize, Serialize};

use crate::support::http_client;

/// How many calls had which outcome.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) all: u64,
    /// Calls that were sent to the server.
    pub(crate) sent: u64,
    /// Calls answered with 401 although the token lived when the answer came.
    pub(crate) rejected: u64,
    /// Calls answered with 401 because the token expired on the way: the machine took longer than
    /// the token had to live.
    pub(crate) late: u64,
    /// Tokens that had expired when they were handed out.
    pub(crate) expired: u64,
    /// Calls that got no token.
    pub(crate) failed: u64,
}

impl Calls {
    pub(crate) fn add(&mut self, other: Self) {
        self.all += other.all;
        self.sent += other.sent;
        self.rejected += other.rejected;
        self.late += other.late;
        self.expired += other.expired;
        self.failed += other.failed;
    }
}

/// The coarse clock, by which sessions judge expiry, is at most this far behind.
pub(crate) const TICK: Duration = Duration::from_millis(10);

pub(crate) struct Caller {
    pub(crate) session: Session,
    pub(crate) calls: Calls,
    http: reqwest::Client,
    url: String,
}

impl Caller {
    pub(crate) fn new(session: Session, server: &str) -> Self {
        let url = format!("{server}/api/v1/products/1");
        Self { session, calls: Calls::default(), http: http_client(), url }
    }

    /// Asks for a token, and checks that it lives.
    pub(crate) async fn ask(&mut self) -> Result<AccessToken, Error> {
        let asked = SystemTime::now();
        self.calls.all += 1;
        let token = self.session.token().await.inspect_err(|_| self.calls.failed += 1)?;
        if expires_at(&token) + TICK <= asked {
            self.calls.expired += 1;
        }
        Ok(token)
    }

    /// Asks for a token, checks that it lives, and sends a request with it.
    pub(crate) async fn call(&mut self) -> Result<AccessToken, Error> {
        let token = self.ask().await?;
        let answer = self.http.get(&self.url).bearer(&token).send().await.expect("the API is up");
        self.calls.sent += 1;
        match answer.status().as_u16() {
            200 => {}
            401 if SystemTime::now() >= expires_at(&token) => self.calls.late += 1,
            401 => self.calls.rejected += 1,
            other => panic!("the API answered {other}"),
        }
        Ok(token)
    }
}

fn expires_at(token: &AccessToken) -> SystemTime {
    token.expires_at().expect("the server says when")
}
