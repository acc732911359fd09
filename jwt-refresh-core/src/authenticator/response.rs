//! Reads the answer of a token endpoint: tokens, or the reason why there are none. It knows the
//! types of the crate `http` and no HTTP client.

use std::time::{Duration, SystemTime};

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use zeroize::Zeroizing;

use super::refusal::{Asked, Refusal};
use crate::clock::date_header;
use crate::error::{AnswerBody, Error};
use crate::json::Object;
use crate::token::{AnswerParts, TokenFields, Tokens};

/// The complete answer of a token endpoint.
pub(crate) struct TokenResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl TokenResponse {
    /// Returns the tokens in the answer, or an error that says why there are none. `action` names
    /// the request in the error, and `asked` says what it was for, if that is known.
    pub(crate) fn tokens(&self, action: &str, asked: Option<Asked>, fields: &TokenFields) -> Result<Tokens, Error> {
        self.expect_success(action, asked)?;
        self.tokens_of_success(action, asked, fields)
    }

    /// Returns an error if the status is none of a success.
    pub(crate) fn expect_success(&self, action: &str, asked: Option<Asked>) -> Result<(), Error> {
        if self.status.is_success() { Ok(()) } else { Err(self.refusal(action, asked)) }
    }

    /// Returns the tokens in an answer that counts as a success.
    pub(crate) fn tokens_of_success(
        &self,
        action: &str,
        asked: Option<Asked>,
        fields: &TokenFields,
    ) -> Result<Tokens, Error> {
        let tokens = fields.find(self.parts()).map_err(|error| {
            let kind = error.kind();
            let error = error.restated(kind, format!("the {action} brought no usable access token"));
            self.without_value(error, action, asked)
        })?;
        Ok(date_header(&self.headers).into_iter().fold(tokens, Tokens::server_time))
    }

    /// Returns the error for a success in which a value is missing, which `error` is about. The
    /// server has acted on the request, whatever its status: a description may call any status a
    /// success.
    pub(crate) fn without_value(&self, error: Error, action: &str, asked: Option<Asked>) -> Error {
        let is_refusal = self.status.is_success() && self.body_kind() != AnswerBody::Other;
        if is_refusal { self.refusal(action, asked) } else { error.answered(self.status).leaving_in_doubt(true) }
    }

    pub(crate) fn parts(&self) -> AnswerParts<'_> {
        AnswerParts { headers: &self.headers, body: &self.body }
    }

    /// Returns the error for an answer without tokens.
    pub(crate) fn refusal(&self, action: &str, asked: Option<Asked>) -> Error {
        let code = self.code();
        let refusal = Refusal {
            status: self.status,
            code: code.as_deref(),
            body: self.body_kind(),
            retry_after: retry_after(&self.headers),
        };
        refusal.into_error(action, asked)
    }

    pub(crate) fn body_kind(&self) -> AnswerBody {
        match Object::parse(&self.body) {
            Ok(object) if has_error(&object) => AnswerBody::Error,
            Err(_) if is_page(&self.headers, &self.body) => AnswerBody::Page,
            _ => AnswerBody::Other,
        }
    }

    /// Returns the error code in the body (`error`, RFC 6749 §5.2).
    pub(crate) fn code(&self) -> Option<String> {
        match Object::parse(&self.body).ok()?.at("error") {
            Ok(Some(Value::String(code))) => Some(code),
            _ => None,
        }
    }
}

impl Tokens {
    /// Reads the tokens in the answer of a token endpoint, for an
    /// [`Authenticator`](crate::Authenticator) of your own with an HTTP client of your choice. With
    /// reqwest, `Tokens::from_response` does so.
    ///
    /// Hand it whatever the server answered, whether it is a success or not: what an answer without
    /// tokens means depends on its status, on the error code in its body, and on whether the body
    /// is a web page. The tokens keep the server's `Date`, and an error keeps `Retry-After` and the
    /// error code.
    ///
    /// ```
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use http::{HeaderMap, StatusCode};
    /// use jwt_refresh::{TokenFields, Tokens};
    ///
    /// let (status, headers) = (StatusCode::OK, HeaderMap::new());
    /// let body = br#"{"access_token": "a"}"#;
    /// let tokens = Tokens::from_answer(status, &headers, body, &TokenFields::default())?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The reason why there are no tokens. The renewal that asked for them decides by it whether to
    /// log in, to try again, or to give up.
    pub fn from_answer(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        fields: &TokenFields,
    ) -> Result<Self, Error> {
        let (headers, body) = (headers.clone(), Zeroizing::new(body.to_vec()));
        TokenResponse { status, headers, body }.tokens("request", None, fields)
    }
}

/// Returns whether an object has an `error` in it that says that something is wrong.
fn has_error(object: &Object<'_>) -> bool {
    match object.at("error") {
        Ok(None | Some(Value::Bool(false))) => false,
        Ok(Some(Value::String(text))) => !text.is_empty(),
        Ok(Some(Value::Number(number))) => number.as_f64() != Some(0.0),
        Ok(Some(_)) | Err(_) => true,
    }
}

/// Returns whether a body that is not JSON is a web page. The `Content-Type` alone does not tell:
/// where nobody sets it, some servers say `text/html` of whatever they send.
fn is_page(headers: &HeaderMap, body: &[u8]) -> bool {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body).trim_ascii_start();
    let is_html =
        headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().windows(4).any(|part| part == b"html"));
    let is_tag = |byte: &u8| *byte == b'!' || byte.is_ascii_alphabetic();
    let begins_with_tag = body.starts_with(b"<") && body.get(1).is_some_and(is_tag);
    begins_with_tag || (is_html && body.starts_with(b"<?xml"))
}

/// Returns the wait in the `Retry-After` header (RFC 9110 §10.2.3). The header contains seconds or
/// a date; a date is compared with the server's own `Date`.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = date_header(headers).unwrap_or_else(SystemTime::now);
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::header::DATE;

    use super::*;
    use crate::error::ErrorKind;

    fn response(status: u16, body: &str) -> TokenResponse {
        TokenResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    fn refusal(status: u16, body: &str) -> Error {
        response(status, body).tokens("refresh", Some(Asked::Refresh), &TokenFields::default()).unwrap_err()
    }

    const PAGE: &str = "\u{feff}\r\n <!DOCTYPE html><title>Nope</title>";

    #[test]
    fn an_answer_is_judged_by_its_status_its_code_and_its_body() {
        for (status, body, kind) in [
            (400, r#"{"error":"invalid_grant"}"#, ErrorKind::Denied),
            (500, r#"{"error":"invalid_grant"}"#, ErrorKind::Denied),
            (401, "", ErrorKind::Denied),
            (401, "Unauthorized", ErrorKind::Denied),
            (422, r#"{"detail":[{"loc":["body"]}]}"#, ErrorKind::Denied),
            (403, "<html>", ErrorKind::BadAnswer),
            (404, "<h1>nothing here</h1>", ErrorKind::BadAnswer),
            (401, "<?xml version='1.0'?><Error/>", ErrorKind::Denied),
            (401, "<< no session", ErrorKind::Denied),
            (400, r#"{"error":"temporarily_unavailable"}"#, ErrorKind::Unavailable),
            (404, "", ErrorKind::Denied),
            (307, "", ErrorKind::BadAnswer),
            (408, "", ErrorKind::Unanswered),
            (429, "", ErrorKind::Unavailable),
            (500, "", ErrorKind::Unavailable),
            (503, "<html>", ErrorKind::Unavailable),
            (200, "<html>", ErrorKind::BadAnswer),
            (200, "{}", ErrorKind::BadAnswer),
            (200, r#"{"error":"invalid_grant"}"#, ErrorKind::Denied),
            (200, r#"{"error":"Your session has ended"}"#, ErrorKind::Denied),
            (201, r#"{"error":{"code":17}}"#, ErrorKind::Denied),
            (200, r#"{"error":"server_error"}"#, ErrorKind::Unavailable),
            (200, r#"{"error":null}"#, ErrorKind::BadAnswer),
            (200, r#"{"error":false,"access_token":7}"#, ErrorKind::BadAnswer),
            (200, r#"{"error":""}"#, ErrorKind::BadAnswer),
        ] {
            assert_eq!(refusal(status, body).kind(), kind, "{status} {body}");
        }
    }

    #[test]
    fn an_answer_read_for_an_authenticator_of_the_users_own_keeps_code_retry_after_and_date() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "59".parse().unwrap());
        headers.insert(DATE, "Fri, 31 Dec 1999 23:59:59 GMT".parse().unwrap());
        let read = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            Tokens::from_answer(status, &headers, body.as_bytes(), &TokenFields::default())
        };
        let error = read(429, "").unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(Duration::from_secs(59))));
        let error = read(400, r#"{"error":"invalid_grant"}"#).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, Some("invalid_grant")));
        assert_eq!(read(200, r#"{"access_token":"a"}"#).unwrap().server_date(), date_header(&headers));
    }

    #[test]
    fn tokens_beside_an_error_are_tokens() {
        let tokens = response(200, r#"{"access_token":"a","error":"none"}"#);
        assert!(tokens.tokens("refresh", Some(Asked::Refresh), &TokenFields::default()).is_ok());
    }

    #[test]
    fn a_page_is_told_by_its_body_and_not_by_its_type_alone() {
        assert_eq!(response(403, PAGE).body_kind(), AnswerBody::Page);
        for (body, kind) in [
            ("", AnswerBody::Other),
            ("Unauthorized", AnswerBody::Other),
            (r#"{"error":"x"}"#, AnswerBody::Error),
            ("[]", AnswerBody::Other),
            ("<html>", AnswerBody::Page),
            ("<?xml version='1.0'?><!DOCTYPE html>", AnswerBody::Page),
        ] {
            let mut response = response(403, body);
            response.headers.insert(CONTENT_TYPE, "text/html; charset=utf-8".parse().unwrap());
            assert_eq!(response.body_kind(), kind, "{body}");
        }
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
