//! The endpoints that issue and revoke tokens.

use std::sync::Arc;

use axum::{
    Extension, Form, Json,
    extract::{
        State,
        rejection::{FormRejection, JsonRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    accounts::LoginRefusal,
    api::Call,
    clock::Seconds,
    issuer::{Issued, RefreshRefusal},
    refusal,
    shared::Shared,
};

#[derive(Deserialize)]
pub(crate) struct LoginRequest {
    email: String,
    password: String,
}

#[derive(Deserialize)]
pub(crate) struct RefreshRequest {
    refresh_token: String,
}

/// The request of RFC 7009 §2.1.
#[derive(Deserialize)]
pub(crate) struct RevocationRequest {
    token: String,
}

/// The answer of RFC 6749 §5.1.
#[derive(Serialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<Seconds>,
}

pub(crate) async fn login(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    body: Result<Json<LoginRequest>, JsonRejection>,
) -> Response {
    let Ok(Json(login)) = body else {
        return refusal::invalid_request();
    };
    let (bound_to, set_cookie) = shared.binding.as_ref().map(|binding| binding.of_login(&call.request)).unzip();
    match shared.login(&login.email, &login.password, bound_to.flatten()) {
        Ok(issued) => {
            (set_cookie.flatten().map(|cookie| [(header::SET_COOKIE, cookie)]), tokens(&shared, issued)).into_response()
        }
        Err(LoginRefusal::WrongCredentials) => refusal::error(StatusCode::UNAUTHORIZED, "invalid_credentials"),
        Err(LoginRefusal::Banned) => refusal::error(StatusCode::FORBIDDEN, "account_banned"),
    }
}

pub(crate) async fn refresh(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    body: Result<Json<RefreshRequest>, JsonRejection>,
) -> Response {
    let Ok(Json(refresh)) = body else {
        return refusal::invalid_request();
    };
    match shared.refresh(&refresh.refresh_token, shared.bound_value(&call.request).as_deref()) {
        Ok(issued) => tokens(&shared, issued),
        Err(RefreshRefusal::Unknown) => refusal::invalid_grant(),
        Err(RefreshRefusal::Reused) => {
            shared.counters.reuses.add_one();
            refusal::invalid_grant()
        }
    }
}

/// Revokes a token. An unknown token is answered 200 as well, as RFC 7009 §2.2 requires.
pub(crate) async fn revoke(
    State(shared): State<Arc<Shared>>,
    body: Result<Form<RevocationRequest>, FormRejection>,
) -> Response {
    let Ok(Form(revocation)) = body else {
        return refusal::invalid_request();
    };
    if shared.revoke(&revocation.token) {
        shared.counters.revocations.add_one();
    }
    StatusCode::OK.into_response()
}

pub(crate) async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let token = basic_credentials(&headers).and_then(|(key, secret)| shared.issue_for_client(&key, &secret));
    let Some(access_token) = token else {
        let basic = HeaderValue::from_static(r#"Basic realm="token""#);
        return refusal::challenge(StatusCode::UNAUTHORIZED, basic, "invalid_client");
    };
    not_stored(TokenAnswer { access_token, refresh_token: None, token_type: None, expires_in: None })
}

fn tokens(shared: &Shared, issued: Issued) -> Response {
    let lifetime = Seconds(issued.lifetime);
    not_stored(TokenAnswer {
        access_token: issued.access_token,
        refresh_token: issued.refresh_token,
        token_type: Some("Bearer"),
        expires_in: shared.settings.hints.expires_in().then_some(lifetime),
    })
}

/// Marks the answer so that no cache keeps it, since it contains a token (RFC 6749 §5.1).
fn not_stored(answer: TokenAnswer) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
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
