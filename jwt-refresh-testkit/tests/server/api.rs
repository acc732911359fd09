//! The endpoints that require an access token.

use std::time::Duration;

use jwt_refresh_testkit::TestServer;
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::client::{ok_json, setup, setup_with};

#[tokio::test]
async fn products_can_be_read_and_renamed() {
    let setup = setup();
    let token = setup.login().await.access;
    let path = "/api/v1/products/7";
    let before = ok_json(Ok(setup.call(Method::GET, path, &token).await)).await;
    assert_eq!(before, json!({ "id": 7, "name": "Product 7", "price_cents": 1458 }));

    for (body, name) in [(json!("Teapot"), "Teapot"), (json!({ "name": "Kettle" }), "Kettle")] {
        let url = setup.server.url(path);
        let request = setup.http.patch(url).bearer_auth(&token).json(&body);
        let renamed = ok_json(request.send().await).await;
        assert_eq!(renamed["name"], name);
        let read = ok_json(Ok(setup.call(Method::GET, path, &token).await)).await;
        assert_eq!(read, renamed);
    }
    assert_eq!(setup.server.stats().api_calls, 5);
}

#[tokio::test]
async fn pricing_is_served_in_five_pages_of_ten() {
    let setup = setup();
    let token = setup.login().await.access;
    let mut ids = Vec::new();
    let mut next = Some(1);
    while let Some(page) = next {
        let path = format!("/api/v1/inventory/pricing?page={page}");
        let answer = ok_json(Ok(setup.call(Method::GET, &path, &token).await)).await;
        let items = answer["items"].as_array().expect("items");
        ids.extend(items.iter().filter_map(|item| item["id"].as_u64()));
        next = answer["next"].as_u64();
    }
    assert_eq!(ids, (1..=50).collect::<Vec<_>>());
    assert_eq!(setup.server.stats().api_calls, 5);
}

#[tokio::test]
async fn pricing_starts_at_page_one_and_is_empty_beyond_the_last() {
    let setup = setup();
    let token = setup.login().await.access;
    let get = async |path| ok_json(Ok(setup.call(Method::GET, path, &token).await)).await;

    assert_eq!(get("/api/v1/inventory/pricing").await, get("/api/v1/inventory/pricing?page=1").await);
    let beyond = get("/api/v1/inventory/pricing?page=6").await;
    assert_eq!(beyond, json!({ "page": 6, "items": [], "next": null }));
}

#[tokio::test]
async fn the_daily_report_is_served() {
    let setup = setup();
    let token = setup.login().await.access;
    let report = setup.call(Method::GET, "/api/v1/reports/daily", &token).await;
    assert_eq!(ok_json(Ok(report)).await["orders"], 42);
}

#[tokio::test]
async fn deleting_needs_a_scope_that_no_token_has() {
    let setup = setup();
    let token = setup.login().await.access;
    let answer = setup.call(Method::DELETE, "/api/v1/products/7", &token).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        answer.headers()[header::WWW_AUTHENTICATE],
        r#"Bearer error="insufficient_scope", scope="products:delete""#
    );
    let error: Value = answer.json().await.expect("JSON");
    assert_eq!(error, json!({ "error": "insufficient_scope" }));

    let stats = setup.server.stats();
    assert_eq!((stats.forbidden, stats.api_calls, stats.rejected), (1, 0, 0));
}

#[tokio::test]
async fn a_call_without_credentials_gets_a_challenge_without_an_error_code() {
    let setup = setup();
    let url = setup.server.url("/api/v1/products/1");
    let bare = setup.http.get(&url).send().await.expect("an answer");
    let basic = setup.http.get(&url).basic_auth("a", Some("b")).send().await;
    for answer in [bare, basic.expect("an answer")] {
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], r#"Bearer realm="api""#);
    }
    assert_eq!(setup.server.stats().rejected, 2);
}

#[tokio::test]
async fn a_call_with_a_bad_token_gets_the_challenge_invalid_token() {
    let setup = setup();
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let answer = setup.call(method, "/api/v1/products/1", "bad").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], r#"Bearer error="invalid_token""#);
    }
    assert_eq!(setup.server.stats().rejected, 3);
}

#[tokio::test]
async fn two_authorization_headers_are_a_bad_request() {
    let setup = setup();
    let token = setup.login().await.access;
    let url = setup.server.url("/api/v1/products/1");
    let request = setup.http.get(url).bearer_auth(&token).bearer_auth(&token);
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_refresh_token_is_not_accepted_as_an_access_token() {
    let setup = setup();
    let tokens = setup.login().await;
    assert_eq!(setup.api_status(&tokens.refresh).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_access_token_is_rejected_once_it_has_expired() {
    let setup = setup_with(TestServer::builder().access_lifetime(Duration::from_secs(100)));
    let tokens = setup.login().await;
    setup.server.advance(Duration::from_secs(90));
    assert_eq!(setup.api_status(&tokens.access).await, StatusCode::OK);
    setup.server.advance(Duration::from_secs(10));
    assert_eq!(setup.api_status(&tokens.access).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn reject_access_tokens_rejects_new_tokens_too() {
    let setup = setup();
    setup.server.reject_access_tokens(true);
    let tokens = setup.login().await;
    assert_eq!(setup.api_status(&tokens.access).await, StatusCode::UNAUTHORIZED);
    setup.server.reject_access_tokens(false);
    assert_eq!(setup.api_status(&tokens.access).await, StatusCode::OK);
}

#[tokio::test]
async fn the_challenge_document_describes_how_to_log_in() {
    let setup = setup();
    let url = setup.server.url("/challenges/api/auth/jwt-with-refresh");
    let document = ok_json(setup.http.get(url).send().await).await;

    let credentials = &document["credentials"];
    let body = json!({ "email": credentials["email"], "password": credentials["password"] });
    let path = document["login"]["path"].as_str().expect("a path");
    let answer = ok_json(setup.post(path, body).await).await;
    for field in document["login"]["answer"].as_array().expect("fields") {
        let field = field.as_str().expect("a name");
        assert!(answer.get(field).is_some(), "{field} is missing");
    }
    assert_eq!(document["lifetimes"]["access_token"], answer["expires_in"]);
}
