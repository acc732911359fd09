//! What happens first and last to each request: it is recorded and its route is found, and in the
//! end what it is for answers it. In between is [`intercept`](crate::intercept).

use std::sync::Arc;

use axum::{
    Extension,
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    Endpoint, ReceivedRequest, api, auth, challenge,
    refusal::{self, catch_panic},
    route::Route,
    routes::{Match, RouteTarget},
    shared::Shared,
};

/// What a request is for.
#[derive(Clone)]
pub(crate) enum CallTarget {
    Login,
    Refresh,
    Revoke,
    Token,
    Document,
    /// The API, with the route if there is one.
    Api(Option<Arc<Route>>),
}

impl CallTarget {
    /// Returns the endpoint whose faults and counters are for the request, if there are any.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Login => Some(Endpoint::Login),
            Self::Refresh => Some(Endpoint::Refresh),
            Self::Token => Some(Endpoint::Token),
            Self::Api(_) => Some(Endpoint::Api),
            Self::Revoke | Self::Document => None,
        }
    }

    pub(crate) fn route(&self) -> Option<&Route> {
        match self {
            Self::Api(route) => route.as_deref(),
            _ => None,
        }
    }
}

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

fn target(shared: &Shared, found: Option<RouteTarget>, request: &ReceivedRequest) -> CallTarget {
    match found {
        Some(RouteTarget::Login) => CallTarget::Login,
        Some(RouteTarget::Refresh) => CallTarget::Refresh,
        Some(RouteTarget::LoginAndRefresh) => match shared.token_endpoints.refresh_token(request) {
            Some(_) => CallTarget::Refresh,
            None => CallTarget::Login,
        },
        Some(RouteTarget::Revoke) => CallTarget::Revoke,
        Some(RouteTarget::Token) => CallTarget::Token,
        Some(RouteTarget::Document) => CallTarget::Document,
        Some(RouteTarget::Route(route)) => CallTarget::Api(Some(route)),
        None => CallTarget::Api(None),
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
        CallTarget::Api(Some(route)) => api::answer(&shared, request, route),
        CallTarget::Api(None) => api::unknown(&shared, request),
    }
}
