//! The gate in front of each endpoint: it counts the request, lets a fault strike, and holds the answer back. The handlers
//! behind it know nothing of all that.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::Value;

use crate::{Endpoint, Fault, answer, shared::Shared, wire::Cutter};

/// In how many pieces [`Fault::SlowBody`] sends a body that has as many bytes.
const DRIPS: usize = 20;

#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) shared: Arc<Shared>,
    pub(crate) endpoint: Endpoint,
}

/// What goes through the gate: a request, and the handler that it is for.
struct Passage {
    request: Request,
    next: Next,
}

pub(crate) async fn pass(
    State(gate): State<Gate>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: Request,
    next: Next,
) -> Response {
    gate.shared.counters.arrived(gate.endpoint);
    let passage = Passage { request, next };
    let answer = match gate.shared.take_fault(gate.endpoint) {
        None => gate.process(passage).await,
        Some(fault) => gate.disturb(fault, passage, &cutter).await,
    };
    gate.hold_back().await;
    answer
}

impl Gate {
    async fn process(&self, passage: Passage) -> Response {
        let answer = passage.next.run(passage.request).await;
        self.shared.counters.processed(self.endpoint, answer.status());
        answer
    }

    /// Answers in place of the handler, which never sees the request.
    fn prevent(&self, answer: impl IntoResponse) -> Response {
        self.shared.counters.prevented(self.endpoint);
        answer.into_response()
    }

    async fn hold_back(&self) {
        let latency = self.shared.settings.latency;
        if self.endpoint.is_auth() && !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    async fn disturb(&self, fault: Fault, passage: Passage, cutter: &Cutter) -> Response {
        self.shared.counters.faults.add_one();
        match fault {
            Fault::DropConnection => {
                cutter.cut();
                self.prevent(())
            }
            Fault::DropAfterProcessing => {
                let answer = self.process(passage).await;
                cutter.cut();
                answer
            }
            Fault::CutBody => cut_body(self.process(passage).await).await,
            Fault::MissingField(field) => without(field, self.process(passage).await).await,
            Fault::SlowBody(time) => drip(self.process(passage).await, time).await,
            Fault::Hang(time) => {
                tokio::time::sleep(time).await;
                self.process(passage).await
            }
            Fault::HangAfterProcessing(time) => {
                let answer = self.process(passage).await;
                tokio::time::sleep(time).await;
                answer
            }
            Fault::Status(code) => self.prevent(answer::error(Fault::status(code), "injected_fault")),
            Fault::TooManyRequests { retry_after } => {
                self.prevent(retry_later(StatusCode::TOO_MANY_REQUESTS, retry_after))
            }
            Fault::ServiceUnavailable { retry_after } => {
                self.prevent(retry_later(StatusCode::SERVICE_UNAVAILABLE, retry_after))
            }
            Fault::InvalidGrant => self.prevent(answer::invalid_grant()),
            Fault::Redirect(location) => self.prevent((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)])),
            Fault::Garbage => self.prevent(json_text("<?%&\u{0}}{ not JSON at all")),
            Fault::HtmlPage => self.prevent(html_page()),
            Fault::EmptyBody => self.prevent(json_text("")),
            Fault::Body(text) => self.prevent(json_text(text)),
            Fault::HugeBody(bytes) => self.prevent(json_text(huge_body(bytes))),
        }
    }
}

fn json_text(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

fn html_page() -> Response {
    let page = "<!DOCTYPE html><html><body><h1>Welcome to our Wi-Fi</h1><p>Please sign in.</p></body></html>";
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

fn retry_later(status: StatusCode, retry_after: Duration) -> Response {
    let whole = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    let answer = answer::error(status, "temporarily_unavailable");
    ([(header::RETRY_AFTER, whole.to_string())], answer).into_response()
}

/// The whole body of an answer of ours.
async fn body_of(answer: Body) -> Bytes {
    to_bytes(answer, usize::MAX).await.expect("the handlers answer from memory")
}

async fn without(field: &str, answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    let body = body_of(body).await;
    let Ok(Value::Object(mut object)) = serde_json::from_slice(&body) else {
        return Response::from_parts(head, body.into());
    };
    object.remove(field);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Value::Object(object).to_string().into())
}

async fn drip(answer: Response, time: Duration) -> Response {
    let (mut head, body) = answer.into_parts();
    let body = body_of(body).await;
    head.headers.remove(header::CONTENT_LENGTH);
    let size = body.len().div_ceil(DRIPS).max(1);
    let drips = body.len().div_ceil(size).max(1);
    let pause = time / u32::try_from(drips).expect("at most DRIPS");
    let pieces = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let piece = rest.split_to(size.min(rest.len()));
        Some((Ok::<_, Infallible>(piece), rest))
    });
    Response::from_parts(head, Body::from_stream(pieces))
}

/// Keeps the `Content-Length` of the whole, so that the client can tell that half is missing.
async fn cut_body(answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    let mut half = body_of(body).await;
    head.headers.insert(header::CONTENT_LENGTH, half.len().into());
    half.truncate(half.len() / 2);
    let pieces = stream::unfold(Some(half), |half| async move {
        if let Some(half) = half {
            return Some((Ok(half), None));
        }
        // hyper sends what it has when the body makes it wait, and drops it if the body fails straight away.
        tokio::task::yield_now().await;
        Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
    });
    Response::from_parts(head, Body::from_stream(pieces))
}

fn huge_body(bytes: u64) -> Body {
    const HEAD: &str = r#"{"access_token":""#;
    const TAIL: &str = r#""}"#;
    const FILLER: &[u8] = &[b'a'; 16 * 1024];

    let frame = (HEAD.len() + TAIL.len()) as u64;
    let filler = stream::unfold(bytes.saturating_sub(frame), |left| async move {
        if left == 0 {
            return None;
        }
        let size = usize::try_from(left).map_or(FILLER.len(), |left| left.min(FILLER.len()));
        Some((&FILLER[..size], left - size as u64))
    });
    let head = stream::once(async { HEAD.as_bytes() });
    let tail = stream::once(async { TAIL.as_bytes() });
    let pieces = futures_util::StreamExt::chain(head, futures_util::StreamExt::chain(filler, tail));
    Body::from_stream(futures_util::StreamExt::map(pieces, |piece| Ok::<_, Infallible>(Bytes::from_static(piece))))
}
