//! The error answers that several endpoints share.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Returns an error in the format of RFC 6749 §5.2.
pub(crate) fn error(status: StatusCode, code: &str) -> Response {
    (status, Json(json!({ "error": code }))).into_response()
}

/// Returns an error that also says in words what was wrong with the request.
pub(crate) fn explained(status: StatusCode, code: &str, description: &str) -> Response {
    (status, Json(json!({ "error": code, "error_description": description }))).into_response()
}

/// What a closure of the test's said when it panicked.
pub(crate) struct ClosurePanicked(String);

impl IntoResponse for ClosurePanicked {
    fn into_response(self) -> Response {
        explained(StatusCode::INTERNAL_SERVER_ERROR, "closure_panicked", &self.0)
    }
}

/// Calls a closure of the test's. One that has panicked is called again for the next request, as a
/// server does with its handlers.
pub(crate) fn catch_panic<T>(closure: impl FnOnce() -> T) -> Result<T, ClosurePanicked> {
    catch_unwind(AssertUnwindSafe(closure)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        ClosurePanicked(said.unwrap_or_default().to_owned())
    })
}

pub(crate) fn invalid_request() -> Response {
    error(StatusCode::BAD_REQUEST, "invalid_request")
}

pub(crate) fn invalid_grant() -> Response {
    error(StatusCode::BAD_REQUEST, "invalid_grant")
}

/// Returns an error with `Retry-After` (RFC 9110 §10.2.3) in seconds, rounded up.
pub(crate) fn retry_later(status: StatusCode, code: &str, retry_after: Duration) -> Response {
    let seconds = retry_after.as_nanos().div_ceil(1_000_000_000).to_string();
    ([(header::RETRY_AFTER, seconds)], error(status, code)).into_response()
}

/// Returns an error with a challenge to authenticate (RFC 9110 §11.6.1).
pub(crate) fn challenge(status: StatusCode, challenge: HeaderValue, code: &str) -> Response {
    ([(header::WWW_AUTHENTICATE, challenge)], error(status, code)).into_response()
}
