//! The faults that a test can inject: what goes wrong, at which endpoint, and how often.

use std::{collections::VecDeque, time::Duration};

use axum::http::HeaderValue;
use serde_json::value::RawValue;

use crate::route::Route;

/// The requests that a [`Fault`] applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Logins: `POST /api/auth/login`, unless [`Builder::login`](crate::Builder::login) says
    /// otherwise.
    Login,
    /// Refreshes: `POST /api/auth/refresh`, unless [`Builder::refresh`](crate::Builder::refresh)
    /// says otherwise.
    Refresh,
    /// `POST /api/token`.
    Token,
    /// All requests for the API: for every route, below `/api/v1` or
    /// [of the test's own](crate::Builder::route), with any method, and for paths without a route.
    Api,
    /// One route of the API, by the method and path that it was given with:
    /// `Endpoint::Route("GET", "/orders/{id}")`.
    Route(&'static str, &'static str),
    /// All of the above.
    Any,
}

impl Endpoint {
    pub(crate) fn is_auth(self) -> bool {
        matches!(self, Self::Login | Self::Refresh | Self::Token)
    }

    fn covers(self, other: Self, route: Option<&Route>) -> bool {
        match self {
            Self::Any => true,
            Self::Route(method, path) => route.is_some_and(|route| route.is(method, path)),
            _ => self == other,
        }
    }
}

/// How often a [`Fault`] is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// To the next request only.
    Once,
    /// To this number of requests.
    Count(u32),
    /// To every request, until [`TestServer::clear_faults`](crate::TestServer::clear_faults).
    Always,
}

/// Something that goes wrong with one request.
///
/// "Nothing changes" means that the request has no effect: no token is issued or spent. "Takes
/// effect" means that the server processes the request as usual, and only the answer is disturbed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The TCP connection is closed without an answer. Nothing changes.
    DropConnection,
    /// The request takes effect, so a refresh token is spent. Then the TCP connection is closed
    /// without an answer.
    DropAfterProcessing,
    /// The request takes effect. Status, headers and the first half of the body arrive, then the
    /// connection is closed.
    CutBody,
    /// The answer is this status, 200 to 599, with `{"error":"injected_fault"}`. Nothing changes.
    Status(u16),
    /// The answer is 429 with `Retry-After` in seconds, rounded up. Nothing changes.
    TooManyRequests {
        /// The time in `Retry-After`, after which the client may ask again.
        retry_after: Duration,
    },
    /// The answer is 503 with `Retry-After` in seconds, rounded up. Nothing changes.
    ServiceUnavailable {
        /// The time in `Retry-After`, after which the client may ask again.
        retry_after: Duration,
    },
    /// The answer is 400 with `{"error":"invalid_grant"}`, although the grant may be valid. Nothing
    /// changes.
    InvalidGrant,
    /// The answer is a 307 redirect to this location. Nothing changes.
    Redirect(String),
    /// The answer is 200 with `application/json` and a body that is not JSON. Nothing changes.
    Garbage,
    /// The answer is 200 with the HTML sign-in page of a captive portal. Nothing changes.
    HtmlPage,
    /// The answer is 200 with `application/json` and an empty body. Nothing changes.
    EmptyBody,
    /// The answer is 200 with `application/json` and this body. Nothing changes.
    Body(String),
    /// The answer is this status, content type and body. Nothing changes.
    Answer {
        /// The status, from 200 to 599.
        status: u16,
        /// The value of the `Content-Type` header.
        content_type: &'static str,
        /// The body.
        body: &'static str,
    },
    /// The answer is 200 with `application/json` and a body of this many bytes, without
    /// `Content-Length`. The body is a JSON object with one very long `access_token`. Nothing
    /// changes.
    HugeBody(u64),
    /// The request takes effect. The JSON object in the answer lacks this field: `expires_in`, or
    /// `data.expires_in` for one of the object in `data`.
    MissingField(&'static str),
    /// The request takes effect. The JSON object in the answer has this JSON in this field, which
    /// is named as in [`Fault::MissingField`].
    WrongField(&'static str, &'static str),
    /// The request takes effect. Status and headers arrive at once, and the body in small pieces
    /// over this time.
    SlowBody(Duration),
    /// Nothing happens for this time, then the request is processed as usual. If the client closes
    /// the connection before, nothing changes.
    Hang(Duration),
    /// The request takes effect at once, and the answer is delayed by this time.
    HangAfterProcessing(Duration),
}

impl Fault {
    /// Checks the values that a test chose.
    ///
    /// # Panics
    ///
    /// If this is a status that is not a final one of HTTP, a location that no header can carry, or
    /// JSON that is none.
    pub(crate) fn check(&self) {
        match self {
            Self::Status(code) | Self::Answer { status: code, .. } => {
                assert!((200..=599).contains(code), "Fault::{self:?} is not a status between 200 and 599");
            }
            Self::Redirect(location) => assert!(
                HeaderValue::from_str(location).is_ok(),
                "Fault::Redirect({location:?}) does not fit in a header"
            ),
            Self::WrongField(field, json) => assert!(
                serde_json::from_str::<&RawValue>(json).is_ok(),
                "Fault::WrongField({field:?}, {json:?}) is not JSON"
            ),
            _ => {}
        }
    }
}

struct InjectedFault {
    endpoint: Endpoint,
    fault: Fault,
    /// How many more requests it is applied to, at least one. `None` means every request.
    left: Option<u32>,
}

/// The faults that are still to be applied, in the order in which they were injected.
#[derive(Default)]
pub(crate) struct Faults(VecDeque<InjectedFault>);

impl Faults {
    pub(crate) fn push(&mut self, endpoint: Endpoint, fault: Fault, times: Times) {
        let left = match times {
            Times::Count(0) => return,
            Times::Count(count) => Some(count),
            Times::Once => Some(1),
            Times::Always => None,
        };
        self.0.push_back(InjectedFault { endpoint, fault, left });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the fault for a request to `endpoint`, and to `route` of the API, if there is one.
    /// Of the faults that cover the endpoint, this is the one that was injected first.
    pub(crate) fn take(&mut self, endpoint: Endpoint, route: Option<&Route>) -> Option<Fault> {
        let covers = |injected: &InjectedFault| injected.endpoint.covers(endpoint, route);
        let next = self.0.iter().position(covers)?;
        let injected = &mut self.0[next];
        if injected.left == Some(1) {
            return self.0.remove(next).map(|injected| injected.fault);
        }
        injected.left = injected.left.map(|left| left - 1);
        Some(injected.fault.clone())
    }
}
