//! The error answers that several endpoints share.

use std::time::Duration;

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
