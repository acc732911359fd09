//! The life and the claims of tokens, as the test says.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::client::{Setup, setup};

async fn claims_of_new_token(setup: &Setup) -> Value {
    let token = setup.login().await.access;
    assert_eq!(setup.api_status(&token).await, StatusCode::OK);
    let claims = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn claims_are_added_or_replaced() {
    let setup = setup();
    let plain = claims_of_new_token(&setup).await;
    setup.server.set_claim("tenant", json!({ "id": 7 }));
    setup.server.set_claim("aud", json!(["shop", "billing"]));
    setup.server.set_claim("exp", json!("soon"));
    let claims = claims_of_new_token(&setup).await;
    assert_eq!(claims["tenant"], json!({ "id": 7 }));
    assert_eq!(claims["aud"], json!(["shop", "billing"]));
    assert_eq!(claims["exp"], "soon");
    assert_eq!((&claims["sub"], &claims["email"]), (&plain["sub"], &plain["email"]));
    assert!(plain.get("tenant").is_none() && plain["exp"].is_number());
}

#[tokio::test]
async fn the_claim_scope_is_that_of_the_account() {
    let setup = setup();
    setup.server.set_scope(setup.server.email(), "products:read");
    assert_eq!(claims_of_new_token(&setup).await["scope"], "products:read");
}

#[tokio::test]
async fn a_lifetime_that_is_changed_holds_for_the_tokens_issued_after_that() {
    let setup = setup();
    let long = setup.login().await;
    setup.server.set_access_lifetime(Duration::from_secs(5));
    let answer = setup.login_answer().await;
    assert_eq!(answer["expires_in"], 5);
    let short = answer["access_token"].as_str().expect("a token");
    setup.server.advance(Duration::from_secs(6));
    assert_eq!(setup.api_status(short).await, StatusCode::UNAUTHORIZED);
    assert_eq!(setup.api_status(&long.access).await, StatusCode::OK);
}
