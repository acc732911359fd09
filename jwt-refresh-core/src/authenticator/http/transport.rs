//! The way to a token endpoint: one request, one connection, no redirect, a time-out and a bounded body.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use reqwest::redirect;
use zeroize::Zeroizing;

use super::endpoint::Endpoint;
use super::response::TokenResponse;
use crate::error::{Error, ErrorKind};

/// No token endpoint's answer is longer.
const LONGEST_BODY: usize = 256 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A little less than a session waits by default, so that the error names the endpoint.
const TIMEOUT: Duration = Duration::from_secs(29);

/// The HTTP client that credentials go through.
#[derive(Clone)]
pub(super) struct Transport(reqwest::Client);

impl Transport {
    /// Sets up the client that the user has configured for credentials.
    pub(super) fn new(client: reqwest::ClientBuilder) -> Result<Self, Error> {
        let client = client
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
            .build();
        client
            .map(Self)
            .map_err(|error| Error::new(ErrorKind::Configuration, "the HTTP client cannot be set up").caused_by(error))
    }

    pub(super) async fn post(
        &self,
        action: &'static str,
        endpoint: &Endpoint,
        content_type: &'static str,
        body: String,
    ) -> Result<TokenResponse, Error> {
        let request = self.0.post(endpoint.url()).header(CONTENT_TYPE, content_type).body(body);
        let exchange = async { read(action, request.send().await.map_err(|error| failure(action, error))?).await };
        exchange.await.map_err(|error: Error| error.at(endpoint))
    }
}

async fn read(action: &str, mut response: reqwest::Response) -> Result<TokenResponse, Error> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(action, error))? {
        if body.len() + chunk.len() > LONGEST_BODY {
            let what = format!("the answer to the {action} is longer than {} KiB", LONGEST_BODY / 1024);
            return Err(Error::new(ErrorKind::BadAnswer, what).answered(status));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(TokenResponse { status, headers, body })
}

fn failure(action: &str, error: reqwest::Error) -> Error {
    let (kind, what) = if error.is_connect() {
        (ErrorKind::Unreachable, format!("the {action} did not reach the server"))
    } else {
        (ErrorKind::Unanswered, format!("the {action} was sent, and its answer did not come"))
    };
    Error::new(kind, what).caused_by(error.without_url())
}

/// For authenticators that call reqwest themselves and pass its errors on with `?`: a status is taken for what it means at a
/// token endpoint, so that a 400, 401 or 403 is final and all else is transient.
impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        let endpoint = error.url().map(ToString::to_string);
        let told = match error.status() {
            Some(status) => {
                let response = TokenResponse { status, headers: HeaderMap::new(), body: Zeroizing::default() };
                response.refusal("request")
            }
            // What serde says of a body may quote it, so that is left out.
            None if error.is_decode() => Self::new(ErrorKind::BadAnswer, "the answer is not what was expected"),
            None if error.is_builder() => {
                Self::new(ErrorKind::Configuration, "the request cannot be built").caused_by(error.without_url())
            }
            None => failure("request", error),
        };
        endpoint.into_iter().fold(told, Self::at)
    }
}
