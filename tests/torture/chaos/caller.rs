//! Who calls through the pool, in turns by an annotated method and with leases of its own, says what the server answered, and
//! counts what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jwt_refresh::pool::{Lease, Pool};
use jwt_refresh::prelude::*;
use jwt_refresh::{Error, ErrorKind};
use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};

use super::STRUCK;
use crate::dice::Dice;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There was no lease.
    Pool(Error),
    /// A status, and what the body says of it.
    Api(StatusCode, String),
    Http(reqwest::Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Pool(error)
    }
}

impl From<reqwest::Error> for Refusal {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl Unauthorized for Refusal {
    fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Api(StatusCode::UNAUTHORIZED, _))
    }
}

#[derive(Clone)]
pub(super) struct Api {
    pub(super) http: reqwest::Client,
    pub(super) url: String,
    pub(super) pool: Pool,
}

impl Api {
    #[refresh_token(from = self.pool, token, retry)]
    async fn product(&self) -> Result<(), Refusal> {
        self.send(&token).await
    }

    /// The same without the attribute: one attempt, and the 401 is reported by hand.
    async fn product_with(&self, lease: Result<Lease, Error>) -> Result<(), Refusal> {
        let lease = lease?;
        let result = self.send(&lease).await;
        if result.as_ref().is_err_and(Unauthorized::is_unauthorized) {
            lease.rejected();
        }
        result
    }

    /// Sends a request, and tells the pool what it has to know of the answer, but for a 401.
    async fn send(&self, lease: &Lease) -> Result<(), Refusal> {
        let answer = self.http.get(&self.url).bearer(lease).send().await?;
        let (status, wait) = (answer.status(), retry_after(&answer));
        let body = answer.text().await?;
        match status {
            StatusCode::OK => lease.fine(),
            StatusCode::TOO_MANY_REQUESTS => lease.rate_limited(wait),
            StatusCode::FORBIDDEN if body.contains("quota_exceeded") => lease.quota_used_up(wait),
            _ => {}
        }
        if status.is_success() { Ok(()) } else { Err(Refusal::Api(status, body)) }
    }
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What came of the calls.
pub(super) type Outcomes = BTreeMap<&'static str, u64>;

/// Calls until all is `over`.
pub(super) async fn call(api: Api, mut dice: Dice, over: Arc<AtomicBool>) -> Outcomes {
    let mut outcomes = Outcomes::new();
    while !over.load(Ordering::Acquire) {
        let (result, any_account) = match dice.roll(6) {
            0..=2 => (api.product().await, true),
            3..=4 => (api.product_with(api.pool.lease().await).await, true),
            _ => {
                let lease = api.pool.lease().tag(STRUCK).within(Duration::from_millis(300)).await;
                (api.product_with(lease).await, false)
            }
        };
        *outcomes.entry(outcome(result, any_account)).or_default() += 1;
    }
    outcomes
}

/// Each is documented; all others fail the test. There is a healthy account at any time, so who takes any is never sent away.
fn outcome(result: Result<(), Refusal>, any_account: bool) -> &'static str {
    match result {
        Ok(()) => "served",
        Err(Refusal::Api(StatusCode::UNAUTHORIZED, _)) => "answered 401",
        Err(Refusal::Pool(error)) if any_account && error.kind() == ErrorKind::RejectedAsIssued => "answered 401 twice",
        Err(Refusal::Api(StatusCode::TOO_MANY_REQUESTS, _)) => "answered 429",
        Err(Refusal::Api(StatusCode::FORBIDDEN, body)) if body.contains("quota_exceeded") => "out of quota",
        Err(Refusal::Pool(error)) if !any_account && error.kind() == ErrorKind::Busy => "no lease in time",
        Err(Refusal::Pool(error)) if !any_account && error.kind() == ErrorKind::NoAccount => {
            assert!(error.retry_after().is_some(), "it says when the first returns: {error}");
            "all in quarantine"
        }
        Err(Refusal::Api(status, body)) => panic!("{status} {body} is no documented answer"),
        Err(Refusal::Pool(error)) => panic!("{error} is no documented answer"),
        Err(Refusal::Http(error)) => panic!("the server is up: {error}"),
    }
}
