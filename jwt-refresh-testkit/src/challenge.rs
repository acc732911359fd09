//! The document that describes this server to a client.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{clock::Seconds, shared::Shared};

pub(crate) async fn document(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let settings = &shared.settings;
    let credentials = &shared.credentials;
    let mut document = endpoints(settings.rotation.grace().is_some());
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

/// Returns the part of the document that describes the endpoints.
fn endpoints(rotates: bool) -> Value {
    json!({
        "login": {
            "method": "POST",
            "path": "/api/auth/login",
            "body": { "email": "string", "password": "string" },
            "answer": ["access_token", "refresh_token", "token_type", "expires_in"],
        },
        "refresh": {
            "method": "POST",
            "path": "/api/auth/refresh",
            "body": { "refresh_token": "string" },
            "answer": ["access_token", "refresh_token", "token_type", "expires_in"],
            "rotates": rotates,
        },
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
