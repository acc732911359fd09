//! The API: finds the route of a request, checks the access token, and asks the route.

use std::sync::Arc;

use axum::{
    Extension,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{ReceivedRequest, accounts::Subject, refusal, route::Route, shared::Shared, usage::Denial};

/// A request, and the route that it is for, if there is one.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) request: ReceivedRequest,
    pub(crate) route: Option<Arc<Route>>,
}

/// The first that happens to each request: it is read to its end, its route is found, and it is
/// kept for the test.
pub(crate) async fn receive(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    // The client has given up, so it does not see this answer.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return refusal::invalid_request() };
    let matched = shared.routes.find(head.method.as_str(), head.uri.path());
    let (route, params) = matched.map(|found| (found.route, found.params)).unzip();
    let account = bearer_token(&head.headers).and_then(|token| shared.account_of(token));
    let received = ReceivedRequest::new(&head, body.clone(), account, params.unwrap_or_default());
    shared.request_log().push(received.clone());
    head.extensions.insert(Call { request: received, route });
    next.run(Request::from_parts(head, Body::from(body))).await
}

/// Answers a request for the API, or for nothing that the server has.
pub(crate) async fn answer(State(shared): State<Arc<Shared>>, Extension(call): Extension<Call>) -> Response {
    let Some(route) = &call.route else { return unknown(&shared, &call.request) };
    let Some(scopes) = route.access() else { return route.answer(&call.request) };
    match admit(&shared, &call.request) {
        Err(refused) => refused.into_response(),
        Ok(admitted) => {
            let lacks_scope = admitted.lacks_one_of(scopes);
            let answer = if lacks_scope { insufficient_scope(scopes) } else { route.answer(&call.request) };
            if let Some(caller) = admitted.caller {
                shared.count_answer(&caller, answer.status());
            }
            answer
        }
    }
}

/// What a valid access token says.
pub(crate) struct Admitted {
    /// `None` if the token was issued for a key and secret.
    pub(crate) caller: Option<Arc<Subject>>,
    pub(crate) scope: Arc<str>,
}

impl Admitted {
    fn lacks_one_of(&self, scopes: &[String]) -> bool {
        scopes.iter().any(|needed| self.scope.split(' ').all(|scope| scope != needed))
    }
}

/// Why a request does not reach its route.
enum Refused {
    SeveralTokens,
    NoToken,
    Denied(Denial),
}

/// Checks the access token and its account's limits.
fn admit(shared: &Shared, request: &ReceivedRequest) -> Result<Admitted, Refused> {
    let headers = request.headers();
    // A client that appends the header for a retry where it should replace it sends two. This finds
    // the mistake.
    if headers.get_all(header::AUTHORIZATION).iter().count() > 1 {
        return Err(Refused::SeveralTokens);
    }
    let token = bearer_token(headers).ok_or(Refused::NoToken)?;
    shared.admit(token, shared.bound_value(request).as_deref()).map_err(Refused::Denied)
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let challenge =
            |bearer, code| refusal::challenge(StatusCode::UNAUTHORIZED, HeaderValue::from_static(bearer), code);
        match self {
            Self::SeveralTokens => refusal::invalid_request(),
            // RFC 6750 §3.1: the answer to a request without credentials contains no error code.
            Self::NoToken => challenge(r#"Bearer realm="api""#, "missing_token"),
            Self::Denied(Denial::InvalidToken) => challenge(r#"Bearer error="invalid_token""#, "invalid_token"),
            Self::Denied(Denial::RateLimited { retry_after }) => {
                refusal::retry_later(StatusCode::TOO_MANY_REQUESTS, "rate_limited", retry_after)
            }
            Self::Denied(Denial::QuotaUsedUp { resets_in }) => {
                refusal::retry_later(StatusCode::FORBIDDEN, "quota_exceeded", resets_in)
            }
        }
    }
}

fn insufficient_scope(scopes: &[String]) -> Response {
    let bearer = format!(r#"Bearer error="insufficient_scope", scope="{}""#, scopes.join(" "));
    let bearer = HeaderValue::try_from(bearer).expect("scopes are ASCII without quotes, which the builder has checked");
    refusal::challenge(StatusCode::FORBIDDEN, bearer, "insufficient_scope")
}

/// Answers a request that no route is for.
fn unknown(shared: &Shared, request: &ReceivedRequest) -> Response {
    let allowed = shared.routes.methods_of(request.path());
    let what = format!("the test server has no route {} {}", request.method(), request.path());
    if allowed.is_empty() {
        return refusal::explained(StatusCode::NOT_FOUND, "not_found", &what);
    }
    let allow = [(header::ALLOW, allowed.join(", "))];
    (allow, refusal::explained(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &what)).into_response()
}

/// Returns the token of `Authorization: Bearer …` (RFC 6750 §2.1).
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
