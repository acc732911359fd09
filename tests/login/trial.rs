//! A trial of a description: what it found, and nothing that is secret.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_refresh::{ErrorKind, HttpAuthenticator, LoginTrial, TokenFields};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::server::{Seen, Server};

async fn tried(server: &Server, fields: TokenFields) -> (LoginTrial, String) {
    let api = HttpAuthenticator::builder(server.url("/login"))
        .refresh_url(server.url("/refresh"))
        .secret_field("password", "S3cret-password")
        .answer(fields);
    let trial = LoginTrial::run(api.build().unwrap()).await.unwrap();
    let shown = trial.to_string();
    assert!(!format!("{shown} {trial:?}").contains("S3cret"), "{shown} {trial:?}");
    (trial, shown)
}

fn assert_says(shown: &str, parts: &[&str]) {
    for part in parts {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[tokio::test]
async fn a_trial_says_which_fields_lifetime_and_rotation_it_found_and_what_happens_at_expiry() {
    let server = Server::start(|_, before| {
        let token = format!("S3cret-{before}");
        Answer::from(
            json!({"access_token": token, "refresh_token": token, "expires_in": 60, "refresh_expires_in": 7200}),
        )
    });
    let (trial, shown) = tried(&server, TokenFields::default()).await;
    assert_says(
        &shown,
        &[
            "answer: {access_token: string, expires_in: number, refresh_expires_in: number, refresh_token: string}",
            "access token: opaque; it lives for 60 s (the answer states 60 s as a lifetime)",
            "refresh token: there is one, and it lives for 2 h",
            "rotation: a refresh replaces the refresh token",
            "by a refresh, and by a login if the refresh token is refused",
            "in the background after about 54 s, and callers wait for it after 57 s",
        ],
    );
    let paths: Vec<String> = server.seen().into_iter().map(|seen| seen.path().to_owned()).collect();
    assert_eq!(paths, ["/login", "/refresh"], "one login and one refresh");
    assert!(trial.refresh_error().is_none());
}

#[tokio::test]
async fn a_trial_tells_a_jwt_by_its_exp_and_a_refresh_token_that_is_kept() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let exp = now.as_secs() + 3 * 86_400 + 60;
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"name":"S3cret","exp":{exp}}}"#));
    let server = Server::start(move |request: &Seen, _| match request.path() {
        "/login" => Answer::from(json!({"access_token": format!("e30.{claims}.S3cret"), "refresh_token": "S3cret"})),
        _ => Answer::from(json!({"access_token": "S3cret"})),
    });
    let (_, shown) = tried(&server, TokenFields::default()).await;
    assert_says(
        &shown,
        &[
            "access token: a JWT; it lives for 3 days (the answer states `exp` in the JWT)",
            "access token: opaque; nothing says how long it lives",
            "rotation: a refresh keeps the refresh token",
        ],
    );
}

#[tokio::test]
async fn a_trial_without_a_refresh_token_says_that_a_session_logs_in_when_an_api_answers_401() {
    let server = Server::start(|_, _| Answer::from(json!({"access_token": "S3cret"})));
    let (_, shown) = tried(&server, TokenFields::default()).await;
    assert_says(
        &shown,
        &[
            "refresh: not tried, because the login brought no refresh token",
            "uses the token until an API answers 401, and then renews it by a login",
        ],
    );
}

#[tokio::test]
async fn a_trial_whose_refresh_fails_says_why_and_one_whose_login_fails_is_an_error() {
    let server = Server::start(|request: &Seen, _| match request.path() {
        "/login" => Answer::from(json!({"access_token": "S3cret", "refresh_token": "S3cret"})),
        _ => Answer::new(401),
    });
    let (trial, shown) = tried(&server, TokenFields::default()).await;
    assert_eq!(trial.refresh_error().unwrap().kind(), ErrorKind::Denied);
    assert_says(&shown, &["refresh: failed: the refresh was denied", "by a login, as long as the refresh fails"]);

    let server = Server::start(|_, _| -> Answer { Answer::new(401) });
    let api = HttpAuthenticator::builder(server.url("/login")).build().unwrap();
    assert_eq!(LoginTrial::run(api).await.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn a_trial_notices_a_lifetime_in_the_wrong_unit() {
    let server = Server::start(|_, _| Answer::from(json!({"access_token": "S3cret", "expires_in": 0})));
    let (_, shown) = tried(&server, TokenFields::default().lives_for(Duration::from_secs(60))).await;
    assert_says(&shown, &["it has already expired", "check the unit"]);
}

#[tokio::test]
async fn a_trial_does_not_send_the_password_again_where_a_refresh_would_be_a_login() {
    let server = Server::start(|_, _| Answer::from(json!({"access_token": "S3cret", "refresh_token": "S3cret"})));
    let api = HttpAuthenticator::builder(server.url("/login")).secret_field("password", "S3cret-password");
    let trial = LoginTrial::run(api.build().unwrap()).await.unwrap();
    assert_says(&trial.to_string(), &["refresh: not tried, because it would be a login", "renews it by a login"]);
    assert!(trial.refresh_error().is_none());
    assert_eq!(server.seen().len(), 1);
}
