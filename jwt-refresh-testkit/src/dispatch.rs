//! The first and the last that happens to each request: it is recorded, what it is for is found,
//! and in the end that answers it. In between is [`intercept`](crate::intercept).

use std::sync::Arc;

use axum::{
    Extension,
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    ReceivedRequest, api, auth, challenge,
    refusal::{self, catch_panic},
    routes::{CallTarget, Match},
    shared::Shared,
};

/// A request, and what it is for.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) request: ReceivedRequest,
    pub(crate) target: CallTarget,
}

/// Reads a request to its end, keeps it for the test, and finds what it is for.
pub(crate) async fn receive(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    // The client has given up, so it does not see this answer.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return refusal::invalid_request() };
    let matched = shared.routes.find(head.method.as_str(), head.uri.path());
    let (found, params) = matched.map(|Match { target, params }| (target, params)).unzip();
    let account = api::bearer_token(&head.headers).and_then(|token| shared.account_of(token));
    let request = ReceivedRequest::new(&head, body.clone(), account, params.unwrap_or_default());
    shared.request_log().push(request.clone());
    match catch_panic(|| target(&shared, found, &request)) {
        Ok(target) => head.extensions.insert(Call { request, target }),
        Err(panicked) => return panicked.into_response(),
    };
    next.run(Request::from_parts(head, Body::from(body))).await
}

fn target(shared: &Shared, found: Option<CallTarget>, request: &ReceivedRequest) -> CallTarget {
    let endpoints = &shared.token_endpoints;
    match found {
        Some(CallTarget::Login) if endpoints.are_one() && endpoints.refresh_token(request).is_some() => {
            CallTarget::Refresh
        }
        Some(target) => target,
        None => CallTarget::Unknown,
    }
}

pub(crate) async fn answer(State(shared): State<Arc<Shared>>, Extension(call): Extension<Call>) -> Response {
    let request = &call.request;
    match &call.target {
        CallTarget::Login => catch_panic(|| auth::login(&shared, request)).into_response(),
        CallTarget::Refresh => catch_panic(|| auth::refresh(&shared, request)).into_response(),
        CallTarget::Revoke => auth::revoke(&shared, request),
        CallTarget::Token => auth::token(&shared, request),
        CallTarget::Document => challenge::document(&shared).into_response(),
        CallTarget::Route(route) => api::answer(&shared, request, route),
        CallTarget::Unknown => api::unknown(&shared, request),
    }
}
