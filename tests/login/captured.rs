//! Tokens that another program or a browser got.

use std::time::{Duration, SystemTime};

use jwt_refresh::{Authenticator, ErrorKind, HttpAuthenticator, HttpRequest, ManualClock, Session, TokenFields};
use jwt_refresh_testkit::Answer;
use serde_json::{Value, json};

use crate::server::Server;

const ORIGIN: &str = "https://api.example";

fn nested() -> HttpAuthenticator {
    HttpAuthenticator::builder(format!("{ORIGIN}/login"))
        .refresh_url(format!("{ORIGIN}/refresh"))
        .answer(TokenFields::default().access_token("data.access").refresh_token("data.refresh"))
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_session_starts_from_a_login_answer_that_was_caught_elsewhere() {
    let server = Server::start(|_, _| Answer::from(json!({"data": {"access": "a2"}})));
    let api = HttpAuthenticator::without_login()
        .refresh_url(server.url("/refresh"))
        .answer(TokenFields::default().access_token("data.access").refresh_token("data.refresh"))
        .build()
        .unwrap();
    let captured = br#"{"data": {"access": "a1", "refresh": "r1"}, "expires_in": 60}"#;
    let tokens = api.tokens_from_json(captured).unwrap();
    let clock = ManualClock::new();
    let session = Session::builder(api).clock(&clock).tokens(tokens).build();
    assert_eq!(session.token().await.unwrap().expose(), "a1");
    clock.advance(Duration::from_secs(61));
    assert_eq!(session.token().await.unwrap().expose(), "a2");
    assert_eq!(server.seen()[0].json(), json!({"refresh_token": "r1"}));
}

#[test]
fn a_captured_answer_of_another_shape_says_which_it_is() {
    let error = nested().tokens_from_json(br#"{"access_token": "S3cret"}"#).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("`data.access`") && shown.contains("{access_token: string}"), "{shown}");
    assert!(error.kind() == ErrorKind::BadAnswer && !shown.contains("S3cret"), "{shown}");
}

/// An entry of a HAR file.
fn entry(started: &str, url: &str, request_headers: &Value, answer: &Value, headers: &Value) -> Value {
    json!({
        "startedDateTime": started,
        "request": {"method": "POST", "url": url, "headers": request_headers},
        "response": {"status": 200, "headers": headers, "content": {"mimeType": "application/json", "text": answer.to_string()}},
    })
}

fn har(entries: &[Value]) -> Vec<u8> {
    json!({"log": {"version": "1.2", "entries": entries}}).to_string().into_bytes()
}

fn header(name: &str, value: &str) -> Value {
    json!([{"name": ":status", "value": "200"}, {"name": name, "value": value}])
}

#[test]
fn the_latest_tokens_of_a_har_file_are_found_and_live_from_when_they_were_issued() {
    let none = json!([]);
    let tokens = |number: u32| json!({"data": {"access": format!("a{number}"), "refresh": format!("r{number}")}, "expires_in": 60});
    let har = har(&[
        entry("2026-01-01T10:00:02.5Z", &format!("{ORIGIN}/refresh"), &none, &tokens(2), &header("x", "y")),
        entry("2026-01-01T10:00:00Z", &format!("{ORIGIN}/login"), &none, &tokens(1), &none),
        entry(
            "2026-01-01T10:00:03Z",
            &format!("{ORIGIN}/me"),
            &header("Authorization", "Bearer a2"),
            &json!({"id": 1}),
            &none,
        ),
        entry("2026-01-01T10:00:04Z", "https://other.example/login", &none, &tokens(9), &none),
    ]);
    let found = nested().tokens_from_har(&har).unwrap();
    assert_eq!((found.access().expose(), found.refresh().unwrap().expose()), ("a2", "r2"));
    let issued = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_261_602_500);
    assert_eq!((found.lifetime(), found.expiry()), (None, Some(issued + Duration::from_secs(60))));
}

#[test]
fn a_har_file_without_the_login_has_the_access_token_that_was_sent() {
    let none = json!([]);
    let bearer = header("authorization", "bearer sent");
    let found = har(&[entry("2026-01-01T10:00:00Z", &format!("{ORIGIN}/me"), &bearer, &json!({}), &none)]);
    let tokens = nested().tokens_from_har(&found).unwrap();
    assert_eq!((tokens.access().expose(), tokens.refresh()), ("sent", None));
}

#[tokio::test]
async fn cookies_and_csrf_tokens_of_a_har_file_are_sent_by_the_refresh() {
    let server = Server::start(|_, _| Answer::from(json!({"access_token": "a2"})));
    let login = HttpRequest::post(server.url("/login")).capture("csrf", "cookie:csrf");
    let refresh = HttpRequest::post(server.url("/refresh")).cookie("rt", "{refresh_token}").header("x-csrf", "{csrf}");
    let api = HttpAuthenticator::builder(login)
        .refresh(refresh)
        .answer(TokenFields::default().refresh_token("cookie:rt"))
        .build()
        .unwrap();
    // The login was before the recording: the refresh token is only in a request.
    let har = har(&[entry(
        "2026-01-01T10:00:00Z",
        &server.url("/refresh"),
        &header("cookie", "other=1; rt=r1"),
        &json!({"access_token": "a1"}),
        &header("set-cookie", "x=y\ncsrf=c1; Path=/"),
    )]);
    let tokens = api.tokens_from_har(&har).unwrap();
    api.refresh(tokens.refresh().unwrap()).await.unwrap();
    let seen = server.seen();
    assert_eq!((seen[0].header("cookie"), seen[0].header("x-csrf")), ("rt=r1", "c1"));
}

#[test]
fn a_har_file_without_tokens_says_what_it_has_instead_and_shows_no_value() {
    let none = json!([]);
    let elsewhere = har(&[entry(
        "2026-01-01T10:00:00Z",
        "https://other.example/x?k=S3cret",
        &none,
        &json!({"access_token": "S3cret"}),
        &none,
    )]);
    let here =
        har(&[entry("2026-01-01T10:00:00Z", &format!("{ORIGIN}/login"), &none, &json!({"jwt": "S3cret"}), &none)]);
    for (har, part) in [
        (elsewhere.as_slice(), "no request to https://api.example; it has requests to https://other.example"),
        (&here, "the latest answer is {jwt: string}"),
        (br#"{"access_token": "S3cret"}"#, "not a HAR file but {access_token: string}"),
        (b"S3cret", "not a HAR file but 6 bytes of text"),
    ] {
        let error = nested().tokens_from_har(har).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(error.kind() == ErrorKind::BadAnswer && shown.contains(part) && !shown.contains("S3cret"), "{shown}");
    }
}
