//! What a route of the test's own answers.

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;

/// The answer of a [`Route`](crate::Route).
///
/// ```
/// # use jwt_refresh_testkit::Answer;
/// # use serde_json::json;
/// Answer::new(204);
/// Answer::new(201).header("Location", "/orders/7").json(&json!({ "id": 7 }));
/// Answer::new(200).body("text/csv", "id,name\n7,Lamp\n");
/// Answer::from(json!({ "id": 7 })); // 200
/// ```
#[derive(Clone, Debug)]
#[must_use = "an answer does nothing until a route returns it"]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// Returns an answer with this status, without a body.
    ///
    /// # Panics
    ///
    /// If `status` is not from 200 to 599.
    #[track_caller]
    pub fn new(status: u16) -> Self {
        let status = StatusCode::from_u16(status).ok().filter(|code| (200..600).contains(&code.as_u16()));
        let Some(status) = status else { panic!("the status of an answer must be from 200 to 599") };
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// Sets the body to `value` as JSON, with its `Content-Type`.
    ///
    /// # Panics
    ///
    /// If `value` cannot be written as JSON, as a map whose keys are no strings.
    #[track_caller]
    pub fn json(self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.body("application/json", json),
            Err(error) => panic!("the answer cannot be written as JSON: {error}"),
        }
    }

    /// Sets the body and its `Content-Type`.
    ///
    /// # Panics
    ///
    /// If `content_type` does not fit in a header.
    #[track_caller]
    pub fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = Bytes::from(body.into());
        Self { body, ..self.header(header::CONTENT_TYPE.as_str(), content_type) }
    }

    /// Sets a header, in place of one of the same name. A `Set-Cookie` is added to those that are
    /// there, since each sets one cookie (RFC 6265 §3).
    ///
    /// # Panics
    ///
    /// If `name` is not that of a header, or `value` does not fit in one.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let Ok(known) = HeaderName::try_from(name) else { panic!("{name:?} is not the name of a header") };
        let Ok(value) = HeaderValue::from_str(value) else { panic!("the value of {name:?} does not fit in a header") };
        if known == header::SET_COOKIE {
            self.headers.append(known, value);
        } else {
            self.headers.insert(known, value);
        }
        self
    }
}

/// Status 200, and this JSON.
impl From<Value> for Answer {
    fn from(json: Value) -> Self {
        Self::new(200).json(&json)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.status, self.headers, self.body).into_response()
    }
}
