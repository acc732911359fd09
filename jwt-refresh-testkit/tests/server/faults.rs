//! What every fault does to the answer and to the state of the server.

use std::time::{Duration, Instant};

use jwt_refresh_testkit::{Endpoint, Fault, Stats, TestServer, Times};
use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};

use crate::client::{Setup, Tokens, setup, setup_with};

const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// Returns a logged-in client. `fault` will be applied to its next refresh.
async fn logged_in_with_fault(fault: Fault) -> (Setup, Tokens) {
    let setup = setup();
    let tokens = setup.login().await;
    setup.server.inject(Endpoint::Refresh, fault, Times::Once);
    (setup, tokens)
}

/// Returns a logged-in client, and the answer to its refresh, which `fault` was applied to.
async fn answer_with_fault(fault: Fault) -> (Setup, Tokens, Response) {
    let (setup, tokens) = logged_in_with_fault(fault).await;
    let answer = setup.try_refresh(&tokens.refresh).await;
    let answer = answer.expect("an answer");
    (setup, tokens, answer)
}

/// Asserts that the server has not processed the refresh.
async fn assert_nothing_changed(setup: &Setup, tokens: &Tokens) {
    let stats = setup.server.stats();
    assert_eq!((stats.refreshes, stats.failed_refreshes), (0, 1));
    assert_eq!(stats.faults, 1);
    assert_eq!(setup.refresh_status(&tokens.refresh).await, StatusCode::OK);
}

/// Asserts that the server has rotated the refresh token.
async fn assert_took_effect(setup: &Setup, tokens: &Tokens) {
    let stats = setup.server.stats();
    assert_eq!((stats.refreshes, stats.failed_refreshes), (1, 0));
    assert_eq!(stats.faults, 1);
    assert_eq!(setup.refresh_status(&tokens.refresh).await, StatusCode::BAD_REQUEST);
    assert_eq!(setup.server.stats().reuses, 1);
}

/// Waits until the server's counters satisfy `done`.
async fn wait_until_counted(server: &TestServer, done: impl Fn(&Stats) -> bool) {
    let wait = async {
        while !done(&server.stats()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("counted in time");
}

#[tokio::test]
async fn drop_connection_closes_the_connection_and_changes_nothing() {
    let (setup, tokens) = logged_in_with_fault(Fault::DropConnection).await;
    let error = setup.try_refresh(&tokens.refresh).await.expect_err("no answer");
    assert!(error.is_request(), "{error:?}");
    assert_nothing_changed(&setup, &tokens).await;
    assert_eq!(
        setup.server.stats().auth_requests,
        3,
        "a login, the refresh with the fault and one more: the client repeated nothing by itself"
    );
}

#[tokio::test]
async fn drop_after_processing_loses_the_answer_and_spends_the_refresh_token() {
    let (setup, tokens) = logged_in_with_fault(Fault::DropAfterProcessing).await;
    let error = setup.try_refresh(&tokens.refresh).await.expect_err("no answer");
    assert!(error.is_request(), "{error:?}");
    assert_took_effect(&setup, &tokens).await;
}

#[tokio::test]
async fn a_dropped_connection_is_closed() {
    use std::io::{Read, Write};

    let server = TestServer::start();
    server.inject(Endpoint::Login, Fault::DropConnection, Times::Once);
    let read = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(server.addr()).expect("a connection");
        let request = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("a request sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an orderly close");
        answer
    });
    assert_eq!(read.await.expect("the reader"), b"");
}

#[tokio::test]
async fn cut_body_loses_half_the_body_and_spends_the_refresh_token() {
    let (setup, tokens, answer) = answer_with_fault(Fault::CutBody).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.content_length().is_some_and(|length| length > 0));
    let error = answer.bytes().await.expect_err("half a body");
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_took_effect(&setup, &tokens).await;
}

#[tokio::test]
async fn status_answers_that_status() {
    for code in [400, 401, 403, 404, 408, 500, 502, 503, 504] {
        let (setup, tokens, answer) = answer_with_fault(Fault::Status(code)).await;
        assert_eq!(answer.status().as_u16(), code);
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body, json!({ "error": "injected_fault" }));
        assert_nothing_changed(&setup, &tokens).await;
    }
}

#[test]
#[should_panic(expected = "Fault::Status(99)")]
fn injecting_an_invalid_status_panics() {
    TestServer::start().inject(Endpoint::Any, Fault::Status(99), Times::Once);
}

#[tokio::test]
async fn too_many_requests_says_when_to_retry() {
    let retry_after = Duration::from_millis(1500);
    let (setup, tokens, answer) = answer_with_fault(Fault::TooManyRequests { retry_after }).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "2");
    assert_nothing_changed(&setup, &tokens).await;
}

#[tokio::test]
async fn service_unavailable_says_when_to_retry() {
    let retry_after = Duration::from_secs(7);
    let (setup, tokens, answer) = answer_with_fault(Fault::ServiceUnavailable { retry_after }).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "7");
    assert_nothing_changed(&setup, &tokens).await;
}

#[tokio::test]
async fn invalid_grant_has_the_status_and_body_of_a_real_one() {
    let (setup, tokens, answer) = answer_with_fault(Fault::InvalidGrant).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body, json!({ "error": "invalid_grant" }));
    assert_nothing_changed(&setup, &tokens).await;
}

#[tokio::test]
async fn redirect_has_the_given_location() {
    let elsewhere = "http://127.0.0.1:9/stolen";
    let (setup, tokens, answer) = answer_with_fault(Fault::Redirect(elsewhere.to_owned())).await;
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(answer.headers()[header::LOCATION], elsewhere);
    assert_nothing_changed(&setup, &tokens).await;
}

#[tokio::test]
async fn garbage_html_and_empty_bodies_have_status_200_and_no_json() {
    for fault in [Fault::Garbage, Fault::HtmlPage, Fault::EmptyBody] {
        let (setup, tokens, answer) = answer_with_fault(fault).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.json::<Value>().await.is_err());
        assert_nothing_changed(&setup, &tokens).await;
    }
}

#[tokio::test]
async fn an_answer_has_the_status_the_type_and_the_body_that_were_given() {
    let (setup, tokens, answer) =
        answer_with_fault(Fault::Answer { status: 403, content_type: "text/html", body: "<h1>no" }).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/html");
    assert_eq!(answer.text().await.expect("text"), "<h1>no");
    assert_nothing_changed(&setup, &tokens).await;
}

#[tokio::test]
async fn a_wrong_field_replaces_the_right_one_in_an_answer_that_took_effect() {
    let (setup, tokens, answer) = answer_with_fault(Fault::WrongField("expires_in", "-1")).await;
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["expires_in"], -1);
    assert!(body["access_token"].is_string());
    assert_took_effect(&setup, &tokens).await;
}

#[tokio::test]
async fn body_is_sent_as_given() {
    let given = r#"{"data":{"access":"x","ttl_ms":1000}}"#;
    let (setup, tokens, answer) = answer_with_fault(Fault::Body(given.to_owned())).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.text().await.expect("text"), given);
    assert_nothing_changed(&setup, &tokens).await;
}

#[tokio::test]
async fn missing_field_removes_the_field_and_spends_the_refresh_token() {
    let (setup, tokens, answer) = answer_with_fault(Fault::MissingField("access_token")).await;
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body.get("access_token"), None);
    assert!(body.get("refresh_token").is_some());
    assert_took_effect(&setup, &tokens).await;
}

#[tokio::test]
async fn huge_body_has_the_given_size_and_no_content_length() {
    let size = 3_000_001;
    let (setup, tokens, answer) = answer_with_fault(Fault::HugeBody(size)).await;
    assert_eq!(answer.content_length(), None);
    let body = answer.bytes().await.expect("all of it");
    assert_eq!(body.len() as u64, size);
    let json: Value = serde_json::from_slice(&body).expect("JSON");
    assert!(json["access_token"].is_string());
    assert_nothing_changed(&setup, &tokens).await;
}

#[tokio::test]
async fn slow_body_sends_the_headers_at_once_and_the_body_over_time() {
    let time = Duration::from_millis(300);
    let (setup, tokens, answer) = answer_with_fault(Fault::SlowBody(time)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let headers_came = Instant::now();
    let body: Value = answer.json().await.expect("JSON");
    assert!(headers_came.elapsed() > time / 2, "the body came at once");
    assert!(body["access_token"].is_string());
    assert_took_effect(&setup, &tokens).await;
}

#[tokio::test]
async fn hang_answers_as_usual_after_the_delay() {
    let time = Duration::from_millis(100);
    let (setup, tokens) = logged_in_with_fault(Fault::Hang(time)).await;
    let start = Instant::now();
    setup.refresh(&tokens.refresh).await;
    assert!(start.elapsed() >= time);
}

#[tokio::test]
async fn hang_changes_nothing_if_the_client_closes_the_connection() {
    let (setup, tokens) = logged_in_with_fault(Fault::Hang(FOREVER)).await;
    tokio::select! {
        _ = setup.try_refresh(&tokens.refresh) => panic!("an answer before the end of time"),
        () = wait_until_counted(&setup.server, |stats| stats.faults == 1) => {}
    }
    assert_eq!(setup.server.stats().refreshes, 0);
    assert_eq!(setup.refresh_status(&tokens.refresh).await, StatusCode::OK);
}

#[tokio::test]
async fn hang_after_processing_spends_the_refresh_token_at_once() {
    let (setup, tokens) = logged_in_with_fault(Fault::HangAfterProcessing(FOREVER)).await;
    tokio::select! {
        _ = setup.try_refresh(&tokens.refresh) => panic!("an answer before the end of time"),
        () = wait_until_counted(&setup.server, |stats| stats.refreshes == 1) => {}
    }
    assert_took_effect(&setup, &tokens).await;
}

#[tokio::test]
async fn faults_are_applied_in_order_and_as_often_as_asked() {
    let setup = setup();
    let inject = |fault, times| setup.server.inject(Endpoint::Login, fault, times);
    inject(Fault::Status(501), Times::Once);
    inject(Fault::Status(502), Times::Count(2));
    inject(Fault::Status(503), Times::Count(0));
    inject(Fault::Status(504), Times::Always);

    let mut statuses = Vec::new();
    for _ in 0..5 {
        let answer = setup.try_login().await.expect("an answer");
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses, [501, 502, 502, 504, 504]);

    setup.server.clear_faults();
    setup.login().await;
    let stats = setup.server.stats();
    assert_eq!((stats.logins, stats.failed_logins), (1, 5));
    assert_eq!(stats.faults, 5);
}

#[tokio::test]
async fn a_fault_is_applied_to_its_endpoint_only() {
    let setup = setup();
    let tokens = setup.login().await;
    setup.server.inject(Endpoint::Api, Fault::Status(500), Times::Once);
    setup.server.inject(Endpoint::Token, Fault::Status(500), Times::Once);

    assert_eq!(setup.refresh_status(&tokens.refresh).await, StatusCode::OK);
    setup.login().await;
    assert_eq!(setup.api_status(&tokens.access).await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(setup.api_status(&tokens.access).await, StatusCode::OK);
    let stats = setup.server.stats();
    assert_eq!((stats.api_calls, stats.rejected), (1, 0));
}

#[tokio::test]
async fn faults_of_the_api_hold_for_methods_and_paths_that_it_does_not_have() {
    let setup = setup();
    setup.server.inject(Endpoint::Api, Fault::Status(502), Times::Always);
    for (method, path) in [("POST", "/api/v1/products/7"), ("GET", "/api/v1/x"), ("PUT", "/elsewhere")] {
        let answer = setup.call(method.parse().expect("a method"), path, "any").await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{method} {path}");
    }
    assert_eq!(setup.server.stats().faults, 3);
}

#[tokio::test]
async fn any_applies_to_every_endpoint() {
    let setup = setup();
    let tokens = setup.login().await;
    setup.server.inject(Endpoint::Any, Fault::Status(500), Times::Always);

    let login = setup.try_login().await.expect("an answer").status();
    let token = setup.post("/api/token", json!(null)).await;
    let token = token.expect("an answer").status();
    let refresh = setup.refresh_status(&tokens.refresh).await;
    let api = setup.api_status(&tokens.access).await;
    assert_eq!([login, token, refresh, api], [StatusCode::INTERNAL_SERVER_ERROR; 4]);
    assert_eq!(setup.server.stats().faults, 4);
}

#[tokio::test]
async fn every_auth_request_is_counted_as_succeeded_or_failed() {
    let setup = setup();
    let before = setup.server.stats();
    let tokens = setup.login().await;
    for fault in [Fault::DropConnection, Fault::DropAfterProcessing, Fault::Garbage] {
        setup.server.inject(Endpoint::Refresh, fault, Times::Once);
        let _ = setup.try_refresh(&tokens.refresh).await;
    }
    setup.refresh_status("unknown").await;

    let stats = setup.server.stats().since(&before);
    assert_eq!((stats.logins, stats.failed_logins), (1, 0));
    assert_eq!((stats.refreshes, stats.failed_refreshes), (1, 3));
    assert_eq!(stats.auth_requests, 5);
}

#[tokio::test]
async fn latency_delays_the_answers_of_auth_endpoints_only() {
    let latency = Duration::from_millis(100);
    let setup = setup_with(TestServer::builder().latency(latency));
    let start = Instant::now();
    setup.login().await;
    assert!(start.elapsed() >= latency);

    let setup = setup_with(TestServer::builder().latency(FOREVER));
    assert_eq!(setup.api_status("x").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn latency_comes_after_the_request_took_effect() {
    let setup = setup_with(TestServer::builder().latency(FOREVER));
    tokio::select! {
        _ = setup.try_login() => panic!("an answer before the end of time"),
        () = wait_until_counted(&setup.server, |stats| stats.logins == 1) => {}
    }
}
