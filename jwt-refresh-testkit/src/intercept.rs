//! The middleware in front of each endpoint. It counts the request, applies an injected fault, if
//! there is one, and delays the answer. The handlers contain none of this.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};

use crate::{Endpoint, Fault, connection::Origin, dispatch::Call, refusal, shared::Shared, tamper};

const GARBAGE: &str = "<?%&\u{0}}{ not JSON at all";
const PORTAL: &str = "<!DOCTYPE html><title>Free Wi-Fi</title><h1>Welcome</h1><p>Please sign in.</p>";

struct Interceptor {
    shared: Arc<Shared>,
    endpoint: Endpoint,
}

/// A request, and the handler that it is for.
struct PendingRequest {
    request: Request,
    next: Next,
}

pub(crate) async fn intercept(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(origin): ConnectInfo<Origin>,
    Extension(call): Extension<Call>,
    request: Request,
    next: Next,
) -> Response {
    let Some(endpoint) = call.target.endpoint() else { return next.run(request).await };
    shared.counters.count_request(endpoint);
    let fault = shared.take_fault(endpoint, call.target.route());
    let interceptor = Interceptor { shared, endpoint };
    let pending = PendingRequest { request, next };
    let answer = match fault {
        None => interceptor.process(pending).await,
        Some(fault) => interceptor.apply(fault, pending, &origin).await,
    };
    interceptor.delay().await;
    answer
}

impl Interceptor {
    async fn process(&self, pending: PendingRequest) -> Response {
        let answer = pending.next.run(pending.request).await;
        self.shared.counters.count_answer(self.endpoint, answer.status());
        answer
    }

    /// Returns `answer` in place of the handler's. The handler does not see the request, which
    /// counts as failed.
    fn answer_instead(&self, answer: impl IntoResponse) -> Response {
        self.shared.counters.count_failure(self.endpoint);
        answer.into_response()
    }

    /// Waits for the configured latency, if this is a login, refresh or token endpoint.
    async fn delay(&self) {
        let latency = self.shared.settings.latency;
        if self.endpoint.is_auth() && !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    /// Returns the answer to a request that `fault` is applied to.
    async fn apply(&self, fault: Fault, pending: PendingRequest, origin: &Origin) -> Response {
        self.shared.counters.faults.add_one();
        match fault {
            Fault::DropConnection => {
                origin.abort.abort();
                self.answer_instead(())
            }
            Fault::DropAfterProcessing => {
                let answer = self.process(pending).await;
                origin.abort.abort();
                answer
            }
            Fault::CutBody => tamper::cut_in_half(self.process(pending).await).await,
            Fault::MissingField(field) => tamper::edit_field(self.process(pending).await, field, None).await,
            Fault::WrongField(field, json) => tamper::edit_field(self.process(pending).await, field, Some(json)).await,
            Fault::SlowBody(time) => tamper::slow_down(self.process(pending).await, time).await,
            Fault::Hang(time) => {
                tokio::time::sleep(time).await;
                self.process(pending).await
            }
            Fault::HangAfterProcessing(time) => {
                let answer = self.process(pending).await;
                tokio::time::sleep(time).await;
                answer
            }
            Fault::Status(code) => {
                let status = StatusCode::from_u16(code).expect("checked when it was injected");
                self.answer_instead(refusal::error(status, "injected_fault"))
            }
            Fault::TooManyRequests { retry_after } => {
                self.answer_instead(retry_later(StatusCode::TOO_MANY_REQUESTS, retry_after))
            }
            Fault::ServiceUnavailable { retry_after } => {
                self.answer_instead(retry_later(StatusCode::SERVICE_UNAVAILABLE, retry_after))
            }
            Fault::InvalidGrant => self.answer_instead(refusal::invalid_grant()),
            Fault::Redirect(location) => {
                self.answer_instead((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]))
            }
            Fault::Garbage => self.answer_instead(json_text(GARBAGE)),
            Fault::HtmlPage => self.answer_instead(Html(PORTAL)),
            Fault::EmptyBody => self.answer_instead(json_text("")),
            Fault::Body(text) => self.answer_instead(json_text(text)),
            Fault::Answer { status, content_type, body } => {
                let status = StatusCode::from_u16(status).expect("checked when it was injected");
                self.answer_instead((status, [(header::CONTENT_TYPE, content_type)], body))
            }
            Fault::HugeBody(bytes) => self.answer_instead(json_text(tamper::huge_body(bytes))),
        }
    }
}

fn json_text(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

fn retry_later(status: StatusCode, retry_after: Duration) -> Response {
    refusal::retry_later(status, "temporarily_unavailable", retry_after)
}
