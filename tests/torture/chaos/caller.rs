//! A caller that uses the pool by an annotated method and by leases of its own, reports to the pool
//! what the server answers, and counts the outcomes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jwt_refresh::pool::{Lease, Pool};
use jwt_refresh::prelude::*;
use jwt_refresh::{Error, ErrorKind};
use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};

use super::TROUBLED;
use crate::random::Random;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum CallError {
    /// The pool gave out no lease.
    Pool(Error),
    /// The API answered with this status and this body.
    Api(StatusCode, String),
    Http(reqwest::Error),
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self::Pool(error)
    }
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl Unauthorized for CallError {
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
    async fn product(&self) -> Result<(), CallError> {
        self.send(&token).await
    }

    /// The same without the attribute: one attempt, whose 401 is reported explicitly.
    async fn product_with(&self, lease: Result<Lease, Error>) -> Result<(), CallError> {
        let lease = lease?;
        let result = self.send(&lease).await;
        if result.as_ref().is_err_and(Unauthorized::is_unauthorized) {
            lease.rejected();
        }
        result
    }

    /// Sends a request, and reports the answer to the pool unless it is a 401.
    async fn send(&self, lease: &Lease) -> Result<(), CallError> {
        let answer = self.http.get(&self.url).bearer(lease).send().await?;
        let (status, wait) = (answer.status(), retry_after(&answer));
        let body = answer.text().await?;
        match status {
            StatusCode::OK => lease.succeeded(),
            StatusCode::TOO_MANY_REQUESTS => lease.rate_limited(wait),
            StatusCode::FORBIDDEN if body.contains("quota_exceeded") => lease.quota_used_up(wait),
            _ => {}
        }
        if status.is_success() { Ok(()) } else { Err(CallError::Api(status, body)) }
    }
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// How many calls had which outcome.
pub(super) type Outcomes = BTreeMap<&'static str, u64>;

/// Calls until the test is `over`.
pub(super) async fn call(api: Api, mut random: Random, over: Arc<AtomicBool>) -> Outcomes {
    let mut outcomes = Outcomes::new();
    while !over.load(Ordering::Acquire) {
        let (result, any_account) = match random.below(6) {
            0..=2 => (api.product().await, true),
            3..=4 => (api.product_with(api.pool.lease().await).await, true),
            _ => {
                let lease = api.pool.lease().tag(TROUBLED).within(Duration::from_millis(300)).await;
                (api.product_with(lease).await, false)
            }
        };
        *outcomes.entry(outcome(result, any_account)).or_default() += 1;
    }
    outcomes
}

/// The name of a documented outcome. All others fail the test. There is a healthy account at any
/// time, so a caller that accepts any account always gets one.
fn outcome(result: Result<(), CallError>, any_account: bool) -> &'static str {
    match result {
        Ok(()) => "served",
        Err(CallError::Api(StatusCode::UNAUTHORIZED, _)) => "answered 401",
        Err(CallError::Pool(error)) if any_account && error.kind() == ErrorKind::RejectedAsIssued => {
            "answered 401 twice"
        }
        Err(CallError::Api(StatusCode::TOO_MANY_REQUESTS, _)) => "answered 429",
        Err(CallError::Api(StatusCode::FORBIDDEN, body)) if body.contains("quota_exceeded") => "out of quota",
        Err(CallError::Pool(error)) if !any_account && error.kind() == ErrorKind::Busy => "no lease in time",
        Err(CallError::Pool(error)) if !any_account && error.kind() == ErrorKind::NoAccount => {
            assert!(error.retry_after().is_some(), "it does not say when the first account returns: {error}");
            "all in quarantine"
        }
        Err(CallError::Api(status, body)) => panic!("{status} {body} is no documented answer"),
        Err(CallError::Pool(error)) => panic!("{error} is no documented answer"),
        Err(CallError::Http(error)) => panic!("the server is up: {error}"),
    }
}
