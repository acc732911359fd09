//! The endpoints that issue and revoke tokens.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::{
    ReceivedRequest, accounts::LoginRefusal, issuer::RefreshRefusal, refusal, shared::Shared,
    token_endpoints::not_stored,
};

pub(crate) fn login(shared: &Shared, request: &ReceivedRequest) -> Response {
    let Some((email, password)) = shared.token_endpoints.credentials(request) else {
        return refusal::invalid_request();
    };
    let (bound_to, set_cookie) = shared.binding.as_ref().map(|binding| binding.of_login(request)).unzip();
    match shared.login(&email, &password, bound_to.flatten()) {
        Ok(issued) => {
            let set_cookie = set_cookie.flatten().map(|cookie| (header::SET_COOKIE, cookie));
            let answer = shared.token_endpoints.answer(&issued, shared.settings.hints);
            (AppendHeaders(set_cookie), answer).into_response()
        }
        Err(LoginRefusal::WrongCredentials) => refusal::error(StatusCode::UNAUTHORIZED, "invalid_credentials"),
        Err(LoginRefusal::Banned) => refusal::error(StatusCode::FORBIDDEN, "account_banned"),
    }
}

pub(crate) fn refresh(shared: &Shared, request: &ReceivedRequest) -> Response {
    let Some(refresh_token) = shared.token_endpoints.refresh_token(request) else {
        return refusal::invalid_request();
    };
    match shared.refresh(&refresh_token, shared.bound_value(request).as_deref()) {
        Ok(issued) => shared.token_endpoints.answer(&issued, shared.settings.hints).into_response(),
        Err(RefreshRefusal::Unknown) => refusal::invalid_grant(),
        Err(RefreshRefusal::Reused) => {
            shared.counters.reuses.add_one();
            refusal::invalid_grant()
        }
    }
}

/// Revokes a token (RFC 7009 §2.1). An unknown token is answered 200 as well, as §2.2 requires.
pub(crate) fn revoke(shared: &Shared, request: &ReceivedRequest) -> Response {
    let Some(token) = request.sent_form_field("token") else {
        return refusal::invalid_request();
    };
    if shared.revoke(&token) {
        shared.counters.revocations.add_one();
    }
    StatusCode::OK.into_response()
}

pub(crate) fn token(shared: &Shared, request: &ReceivedRequest) -> Response {
    let credentials = basic_credentials(request.headers());
    let token = credentials.and_then(|(key, secret)| shared.issue_for_client(&key, &secret));
    let Some(access_token) = token else {
        let basic = HeaderValue::from_static(r#"Basic realm="token""#);
        return refusal::challenge(StatusCode::UNAUTHORIZED, basic, "invalid_client");
    };
    not_stored().json(&json!({ "access_token": access_token })).into_response()
}

/// Returns the key and secret of HTTP Basic authentication (RFC 7617).
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (key, secret) = decoded.split_once(':')?;
    Some((key.to_owned(), secret.to_owned()))
}
