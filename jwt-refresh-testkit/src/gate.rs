//! The gate in front of each endpoint: it counts the request, lets a fault strike, and holds the answer back. The handlers
//! behind it know nothing of all that.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};

use crate::{Endpoint, Fault, answer, shared::Shared, tamper, wire::Cutter};

const GARBAGE: &str = "<?%&\u{0}}{ not JSON at all";
const PORTAL: &str = "<!DOCTYPE html><title>Free Wi-Fi</title><h1>Welcome</h1><p>Please sign in.</p>";

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
            Fault::CutBody => tamper::cut_in_half(self.process(passage).await).await,
            Fault::MissingField(field) => tamper::remove_field(self.process(passage).await, field).await,
            Fault::SlowBody(time) => tamper::slow_down(self.process(passage).await, time).await,
            Fault::Hang(time) => {
                tokio::time::sleep(time).await;
                self.process(passage).await
            }
            Fault::HangAfterProcessing(time) => {
                let answer = self.process(passage).await;
                tokio::time::sleep(time).await;
                answer
            }
            Fault::Status(code) => {
                let status = StatusCode::from_u16(code).expect("checked when it was injected");
                self.prevent(answer::error(status, "injected_fault"))
            }
            Fault::TooManyRequests { retry_after } => {
                self.prevent(retry_later(StatusCode::TOO_MANY_REQUESTS, retry_after))
            }
            Fault::ServiceUnavailable { retry_after } => {
                self.prevent(retry_later(StatusCode::SERVICE_UNAVAILABLE, retry_after))
            }
            Fault::InvalidGrant => self.prevent(answer::invalid_grant()),
            Fault::Redirect(location) => self.prevent((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)])),
            Fault::Garbage => self.prevent(json_text(GARBAGE)),
            Fault::HtmlPage => self.prevent(Html(PORTAL)),
            Fault::EmptyBody => self.prevent(json_text("")),
            Fault::Body(text) => self.prevent(json_text(text)),
            Fault::HugeBody(bytes) => self.prevent(json_text(tamper::huge_body(bytes))),
        }
    }
}

fn json_text(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

fn retry_later(status: StatusCode, retry_after: Duration) -> Response {
    answer::retry_later(status, "temporarily_unavailable", retry_after)
}
