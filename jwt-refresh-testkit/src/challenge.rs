//! The document that describes this server to a client.

use axum::Json;
use serde_json::{Value, json};

use crate::{clock::Seconds, shared::Shared, token_endpoints::TokenEndpoint};

pub(crate) fn document(shared: &Shared) -> Json<Value> {
    let settings = &shared.settings;
    let credentials = &shared.credentials;
    let mut document = endpoints();
    document["login"] =
        token_endpoint(shared, &shared.token_endpoints.login, &json!({ "email": "string", "password": "string" }));
    document["refresh"] =
        token_endpoint(shared, &shared.token_endpoints.refresh, &json!({ "refresh_token": "string" }));
    document["refresh"]["rotates"] = json!(settings.rotation.grace().is_some());
    document["api"]["endpoints"] = json!(shared.routes.names());
    document["title"] = json!("JWT with refresh");
    document["task"] = json!(
        "Call the API for longer than an access token lives, without a failed call and without a needless login."
    );
    document["lifetimes"] = json!({
        "unit": "seconds",
        "access_token": Seconds(shared.auth_state().issuer.access_lifetime()),
        "refresh_token": Seconds(settings.refresh_lifetime),
    });
    document["credentials"] = json!({
        "email": credentials.email,
        "password": credentials.password,
        "key": credentials.key,
        "secret": credentials.secret,
    });
    Json(document)
}

/// Describes the login or the refresh. What the test has given another shape is left out.
fn token_endpoint<R: ?Sized>(shared: &Shared, endpoint: &TokenEndpoint<R>, body: &Value) -> Value {
    let mut described = json!({ "method": endpoint.method, "path": endpoint.path });
    if endpoint.is_standard() {
        described["body"] = body.clone();
    }
    if shared.token_endpoints.answer.is_none() {
        described["answer"] = json!(["access_token", "refresh_token", "token_type", "expires_in"]);
    }
    described
}

/// Returns the part of the document that describes the endpoints that are always the same.
fn endpoints() -> Value {
    json!({
        "revoke": {
            "method": "POST",
            "path": "/api/auth/revoke",
            "form": { "token": "string" },
        },
        "token": {
            "method": "POST",
            "path": "/api/token",
            "authorization": "Basic base64(key:secret)",
            "answer": ["access_token"],
        },
        "api": {
            "authorization": "Bearer access_token",
        },
    })
}
