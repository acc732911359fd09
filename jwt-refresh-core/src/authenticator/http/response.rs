//! Reads the answer of a token endpoint: tokens, or the reason why there are none.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::json::Object;
use crate::token::{TokenFields, Tokens};

/// The complete answer of a token endpoint.
pub(super) struct TokenResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl TokenResponse {
    /// Returns the tokens in the answer, or an error that says why there are none. `action` names
    /// the request in the error: "login" or "refresh".
    pub(super) fn tokens(&self, action: &str, fields: &TokenFields) -> Result<Tokens, Error> {
        if !self.status.is_success() {
            return Err(self.refusal(action));
        }
        let tokens = fields.read(&self.body).map_err(|error| error.answered(self.status))?;
        Ok(match server_date(&self.headers) {
            Some(date) => tokens.server_time(date),
            None => tokens,
        })
    }

    /// Returns the error for an answer whose status is not a success.
    pub(super) fn refusal(&self, action: &str) -> Error {
        let code = self.code();
        let error = match (self.status, code.as_deref()) {
            // Some servers answer 400 with these codes, which say nothing against the credentials.
            (_, Some("temporarily_unavailable" | "server_error" | "slow_down")) => {
                Error::new(ErrorKind::Unavailable, format!("the server could not do the {action}"))
            }
            (StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                Error::denied(format!("the {action} was denied"))
            }
            (StatusCode::TOO_MANY_REQUESTS, _) => {
                Error::new(ErrorKind::Unavailable, format!("the server takes no {action} now"))
            }
            (StatusCode::REQUEST_TIMEOUT, _) => {
                Error::new(ErrorKind::Unanswered, format!("the server gave up on the {action}"))
            }
            (status, _) if status.is_server_error() => {
                Error::new(ErrorKind::Unavailable, format!("the server failed at the {action}"))
            }
            (status, _) if status.is_redirection() => Error::new(
                ErrorKind::BadAnswer,
                format!("the {action} was redirected, and credentials follow no redirect; configure the final URL"),
            ),
            _ => Error::new(ErrorKind::BadAnswer, format!("the {action} brought no tokens")),
        };
        let error = error.answered(self.status);
        let error = code.iter().fold(error, |error, code| error.coded(code));
        match retry_after(&self.headers) {
            Some(wait) => error.retry_in(wait),
            None => error,
        }
    }

    /// Returns the error code in the body (`error`, RFC 6749 §5.2).
    fn code(&self) -> Option<String> {
        match Object::parse(&self.body).ok()?.at("error") {
            Ok(Some(serde_json::Value::String(code))) => Some(code),
            _ => None,
        }
    }
}

/// Returns the time in the `Date` header (RFC 9110 §6.6.1).
fn server_date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

/// Returns the wait in the `Retry-After` header (RFC 9110 §10.2.3). The header contains seconds or
/// a date; a date is compared with the server's own `Date`.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = server_date(headers).unwrap_or_else(SystemTime::now);
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> TokenResponse {
        TokenResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    fn refusal(status: u16, body: &str) -> Error {
        response(status, body).tokens("refresh", &TokenFields::default()).unwrap_err()
    }

    #[test]
    fn statuses_are_classified_by_what_they_mean_for_the_credentials() {
        for (status, body, kind) in [
            (400, r#"{"error":"invalid_grant"}"#, ErrorKind::Denied),
            (401, "", ErrorKind::Denied),
            (403, "<html>", ErrorKind::Denied),
            (400, r#"{"error":"temporarily_unavailable"}"#, ErrorKind::Unavailable),
            (404, "", ErrorKind::BadAnswer),
            (307, "", ErrorKind::BadAnswer),
            (408, "", ErrorKind::Unanswered),
            (429, "", ErrorKind::Unavailable),
            (500, "", ErrorKind::Unavailable),
            (503, "", ErrorKind::Unavailable),
            (200, "<html>", ErrorKind::BadAnswer),
        ] {
            assert_eq!(refusal(status, body).kind(), kind, "{status} {body}");
        }
    }

    #[test]
    fn the_outcome_is_unknown_if_a_gateway_gave_up_but_not_if_the_server_is_busy() {
        assert!(refusal(502, "").outcome_unknown() && refusal(504, "").outcome_unknown());
        assert!(!refusal(503, "").outcome_unknown() && !refusal(429, "").outcome_unknown());
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date_on_the_servers_clock() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "120".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(120)));
        headers.insert(DATE, "Fri, 31 Dec 1999 23:59:00 GMT".parse().unwrap());
        headers.insert(RETRY_AFTER, "Fri, 31 Dec 1999 23:59:59 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(59)));
    }

    #[test]
    fn the_body_of_a_refusal_is_not_repeated() {
        let error = refusal(400, r#"{"error":"S3cret","error_description":"S3cret"}"#);
        assert!(!format!("{error} {error:?}").contains("S3cret"));
    }
}
