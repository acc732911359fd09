//! Logins, tokens for a key and secret, bans, and changed passwords.

use std::time::Duration;

use jwt_refresh_testkit::TestServer;
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::client::{Setup, ok_json, setup, setup_with, text};

async fn login_status(setup: &Setup, email: &str, password: &str) -> StatusCode {
    let body = json!({ "email": email, "password": password });
    let answer = setup.post("/api/auth/login", body).await;
    answer.expect("an answer").status()
}

async fn try_token(setup: &Setup, key: &str, secret: &str) -> reqwest::Result<reqwest::Response> {
    let url = setup.server.url("/api/token");
    let request = setup.http.post(url).basic_auth(key, Some(secret));
    request.send().await
}

#[tokio::test]
async fn a_login_returns_both_tokens_and_their_lifetime() {
    let setup = setup();
    let answer = setup.try_login().await.expect("an answer");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");

    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], json!(60));
    assert_eq!(setup.api_status(&text(&answer, "access_token")).await, StatusCode::OK);
    let refresh = text(&answer, "refresh_token");
    assert_eq!(setup.refresh_status(&refresh).await, StatusCode::OK);
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_counted() {
    let setup = setup();
    let body = json!({ "email": setup.server.email(), "password": "wrong" });
    let answer = setup.post("/api/auth/login", body).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let error: Value = answer.json().await.expect("JSON");
    assert_eq!(error, json!({ "error": "invalid_credentials" }));

    assert_eq!(login_status(&setup, "nobody@example.com", setup.server.password()).await, StatusCode::UNAUTHORIZED);
    let stats = setup.server.stats();
    assert_eq!((stats.logins, stats.failed_logins), (0, 2));
    assert_eq!(stats.auth_requests, 2);
}

#[tokio::test]
async fn a_malformed_login_is_a_bad_request() {
    let setup = setup();
    let field_missing = setup.post("/api/auth/login", json!({ "email": "x" })).await;
    let url = setup.server.url("/api/auth/login");
    let not_json = setup.http.post(url).body("email=x&password=y").send().await;
    for answer in [field_missing, not_json] {
        assert_eq!(answer.expect("an answer").status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(setup.server.stats().failed_logins, 2);
}

#[tokio::test]
async fn added_accounts_log_in_beside_the_default_one() {
    let setup = setup_with(TestServer::builder().account("bob@example.com", "hunter2"));
    assert_eq!(login_status(&setup, "bob@example.com", "hunter2").await, StatusCode::OK);
    setup.login().await;
    assert_eq!(setup.server.stats().logins, 2);
}

#[tokio::test]
async fn a_changed_password_replaces_the_old_one_and_tokens_stay_valid() {
    let setup = setup();
    let tokens = setup.login().await;
    let email = setup.server.email();
    setup.server.set_password(email, "new");

    assert_eq!(login_status(&setup, email, setup.server.password()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(login_status(&setup, email, "new").await, StatusCode::OK);
    assert_eq!(setup.api_status(&tokens.access).await, StatusCode::OK);
    assert_eq!(setup.refresh_status(&tokens.refresh).await, StatusCode::OK);
}

#[tokio::test]
async fn a_banned_account_can_do_nothing_until_the_ban_is_lifted() {
    let setup = setup_with(TestServer::builder().account("bob@example.com", "hunter2"));
    let tokens = setup.login().await;
    let email = setup.server.email();
    setup.server.ban(email);

    let login = setup.try_login().await.expect("an answer");
    assert_eq!(login.status(), StatusCode::FORBIDDEN);
    assert_eq!(setup.api_status(&tokens.access).await, StatusCode::UNAUTHORIZED);
    assert_eq!(setup.refresh_status(&tokens.refresh).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        login_status(&setup, "bob@example.com", "hunter2").await,
        StatusCode::OK,
        "other accounts are not touched"
    );

    setup.server.unban(email);
    assert_eq!(setup.api_status(&tokens.access).await, StatusCode::OK);
    assert_eq!(setup.refresh_status(&tokens.refresh).await, StatusCode::OK);
}

#[tokio::test]
async fn a_key_and_secret_get_only_an_opaque_token() {
    let setup = setup();
    let answer = try_token(&setup, setup.server.key(), setup.server.secret()).await;
    let answer = ok_json(answer).await;

    let token = text(&answer, "access_token");
    assert_eq!(answer, json!({ "access_token": token }));
    assert!(!token.contains('.'), "{token} looks like a JWT");
    assert_eq!(setup.api_status(&token).await, StatusCode::OK);
    assert_eq!(setup.server.stats().client_tokens, 1);
}

#[tokio::test]
async fn a_key_and_secret_token_lives_for_an_hour() {
    let setup = setup();
    let answer = try_token(&setup, setup.server.key(), setup.server.secret()).await;
    let token = text(&ok_json(answer).await, "access_token");

    setup.server.advance(Duration::from_secs(3590));
    assert_eq!(setup.api_status(&token).await, StatusCode::OK);
    setup.server.advance(Duration::from_secs(10));
    assert_eq!(setup.api_status(&token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_with_a_basic_challenge() {
    let setup = setup_with(TestServer::builder().client("other-key", "other-secret"));
    let answer = try_token(&setup, "other-key", setup.server.secret()).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], r#"Basic realm="token""#);
    assert_eq!(setup.server.stats().failed_client_tokens, 1);

    let right = try_token(&setup, "other-key", "other-secret").await;
    ok_json(right).await;
}
