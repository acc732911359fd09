//! What can be made to go wrong, where, and how often.

use std::{collections::VecDeque, time::Duration};

use axum::http::HeaderValue;

/// Where a [`Fault`] strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /api/auth/login`.
    Login,
    /// `POST /api/auth/refresh`.
    Refresh,
    /// `POST /api/token`.
    Token,
    /// Everything below `/api/v1`.
    Api,
    /// All of the above.
    Any,
}

impl Endpoint {
    pub(crate) fn is_auth(self) -> bool {
        matches!(self, Self::Login | Self::Refresh | Self::Token)
    }

    fn covers(self, other: Self) -> bool {
        self == Self::Any || self == other
    }
}

/// How often a [`Fault`] strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// The next request only.
    Once,
    /// So many requests.
    Count(u32),
    /// Every request until [`TestServer::clear_faults`](crate::TestServer::clear_faults).
    Always,
}

/// Something that goes wrong with one request.
///
/// "Nothing changes" means that the request has no effect: no token is issued or spent. "Takes effect" means that the
/// server does all that it would have done, and only the way back is disturbed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The TCP connection is closed without an answer. Nothing changes.
    DropConnection,
    /// The request takes effect, so a refresh token is spent; then the TCP connection is closed without an answer.
    DropAfterProcessing,
    /// The request takes effect; status, headers and the first half of the body arrive, then the connection is closed.
    CutBody,
    /// This status with `{"error":"injected_fault"}`. Nothing changes.
    Status(u16),
    /// 429 with `Retry-After`, in seconds, rounded up. Nothing changes.
    TooManyRequests {
        /// After which time the server says it may be asked again.
        retry_after: Duration,
    },
    /// 503 with `Retry-After`, in seconds, rounded up. Nothing changes.
    ServiceUnavailable {
        /// After which time the server says it may be asked again.
        retry_after: Duration,
    },
    /// 400 with `{"error":"invalid_grant"}`, although the grant may be valid. Nothing changes.
    InvalidGrant,
    /// 307 to this location. Nothing changes.
    Redirect(String),
    /// 200, `application/json`, and a body that is not JSON. Nothing changes.
    Garbage,
    /// 200 and the sign-in page of a captive portal. Nothing changes.
    HtmlPage,
    /// 200, `application/json`, and an empty body. Nothing changes.
    EmptyBody,
    /// 200, `application/json`, and this body. Nothing changes.
    Body(String),
    /// 200, `application/json`, and a body of so many bytes without a length given beforehand. It starts and ends like an
    /// answer with an endless `access_token`. Nothing changes.
    HugeBody(u64),
    /// The request takes effect; the JSON object in the answer lacks this field.
    MissingField(&'static str),
    /// The request takes effect; status and headers arrive at once, the body in small pieces over so long.
    SlowBody(Duration),
    /// Nothing happens for so long, then the request is dealt with as usual. If the client hangs up first, nothing changes.
    Hang(Duration),
    /// The request takes effect at once, but the answer is held back for so long.
    HangAfterProcessing(Duration),
}

impl Fault {
    /// # Panics
    ///
    /// If this is a status that HTTP has no final answer for, or a location that no header can carry.
    pub(crate) fn check(&self) {
        match self {
            Self::Status(code) => {
                assert!((200..=599).contains(code), "Fault::Status({code}) is not a status between 200 and 599");
            }
            Self::Redirect(location) => assert!(
                HeaderValue::from_str(location).is_ok(),
                "Fault::Redirect({location:?}) does not fit in a header"
            ),
            _ => {}
        }
    }
}

struct Plan {
    endpoint: Endpoint,
    fault: Fault,
    /// How many times it strikes yet, at least one; `None` if always.
    left: Option<u32>,
}

/// The faults to come, in the order in which they were injected.
#[derive(Default)]
pub(crate) struct Faults(VecDeque<Plan>);

impl Faults {
    pub(crate) fn push(&mut self, endpoint: Endpoint, fault: Fault, times: Times) {
        let left = match times {
            Times::Count(0) => return,
            Times::Count(count) => Some(count),
            Times::Once => Some(1),
            Times::Always => None,
        };
        self.0.push_back(Plan { endpoint, fault, left });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that strikes this request, if any: of those that cover the endpoint, the one injected first.
    pub(crate) fn take(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let covers = |plan: &Plan| plan.endpoint.covers(endpoint);
        let next = self.0.iter().position(covers)?;
        let plan = &mut self.0[next];
        if plan.left == Some(1) {
            return self.0.remove(next).map(|plan| plan.fault);
        }
        plan.left = plan.left.map(|left| left - 1);
        Some(plan.fault.clone())
    }
}
