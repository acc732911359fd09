//! The API: checks the access token, and asks the route.

use std::sync::Arc;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{ReceivedRequest, accounts::Subject, refusal, route::Route, shared::Shared, usage::Denial};

/// Answers a request for a route, if its access token allows it.
pub(crate) fn answer(shared: &Shared, request: &ReceivedRequest, route: &Route) -> Response {
    let Some(scopes) = route.access() else { return route.answer(request) };
    match admit(shared, request) {
        Err(refused) => refused.into_response(),
        Ok(admitted) => {
            let lacks_scope = admitted.lacks_one_of(scopes);
            let answer = if lacks_scope { insufficient_scope(scopes) } else { route.answer(request) };
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
pub(crate) fn unknown(shared: &Shared, request: &ReceivedRequest) -> Response {
    let allowed = shared.routes.methods_of(request.path());
    let what = format!("the test server has no route {} {}", request.method(), request.path());
    if allowed.is_empty() {
        return refusal::explained(StatusCode::NOT_FOUND, "not_found", &what);
    }
    let allow = [(header::ALLOW, allowed.join(", "))];
    (allow, refusal::explained(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &what)).into_response()
}

/// Returns the token of `Authorization: Bearer …` (RFC 6750 §2.1).
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
