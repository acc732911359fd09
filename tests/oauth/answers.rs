//! What answers without tokens mean for a session.

use std::time::Duration;

use jwt_refresh::oauth::{Grant, OAuth, TokenExchange, TokenType};
use jwt_refresh::{Authenticator, ClientAuth, ErrorKind, RefreshToken, Session};
use jwt_refresh_testkit::{Answer, Fault};
use serde_json::json;

use crate::provider::{for_tokens, provider, refusal, tokens, value};
use crate::server::Server;

fn exchanging(server: &Server) -> OAuth {
    let builder = OAuth::builder(server.url(""), TokenExchange::new("subject", TokenType::jwt()));
    builder.client_auth(ClientAuth::public("app")).build().unwrap()
}

#[tokio::test]
async fn a_refusal_is_judged_by_the_table_of_all_authenticators() {
    for (answer, login, refresh) in [
        (refusal("invalid_grant"), ErrorKind::Denied, ErrorKind::Denied),
        (refusal("temporarily_unavailable"), ErrorKind::Unavailable, ErrorKind::Unavailable),
        (Answer::new(401), ErrorKind::Denied, ErrorKind::Denied),
        (Answer::new(404), ErrorKind::Configuration, ErrorKind::Denied),
        (Answer::new(503), ErrorKind::Unavailable, ErrorKind::Unavailable),
        (Answer::new(400).body("text/html", "<html>"), ErrorKind::BadAnswer, ErrorKind::BadAnswer),
        (Answer::new(302).header("location", "/elsewhere"), ErrorKind::BadAnswer, ErrorKind::BadAnswer),
        (Answer::new(200).json(&json!({ "error": "invalid_grant" })), ErrorKind::Denied, ErrorKind::Denied),
    ] {
        let shown = format!("{answer:?}");
        let server = provider(move |_, _| answer.clone());
        let api = exchanging(&server);
        assert_eq!(api.login().await.unwrap_err().kind(), login, "{shown}");
        let error = api.refresh(&RefreshToken::from("refresh")).await.unwrap_err();
        assert_eq!(error.kind(), refresh, "{shown}");
        assert!(error.endpoint().unwrap().ends_with("/token"), "{error}");
        assert!(!format!("{error} {error:?}").contains("S3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_heard() {
    let server = provider(|_, _| Answer::new(429).header("retry-after", "59"));
    let error = exchanging(&server).login().await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(Duration::from_secs(59))));
}

#[tokio::test]
async fn a_refresh_token_whose_answer_was_lost_is_not_sent_again() {
    for fault in [Fault::DropAfterProcessing, Fault::CutBody, Fault::Status(500), Fault::EmptyBody] {
        let server = provider(|_, number| tokens(number));
        let session = Session::new(exchanging(&server));
        session.token().await.unwrap();
        server.inject("POST", fault.clone());
        session.refresh_now().await.unwrap_err();
        session.refresh_now().await.unwrap();
        let seen = server.seen();
        let sent: Vec<_> = for_tokens(&seen).into_iter().map(|request| value(request, "refresh_token")).collect();
        assert_eq!(sent, [None, Some("refresh-0".to_owned()), None], "{fault:?}");
    }
}

#[tokio::test]
async fn a_refresh_token_that_did_not_reach_the_server_is_sent_again() {
    let server = provider(|_, number| tokens(number));
    let session = Session::new(exchanging(&server));
    session.token().await.unwrap();
    server.inject("POST", Fault::Status(503));
    assert_eq!(session.refresh_now().await.unwrap_err().kind(), ErrorKind::Unavailable);
    session.refresh_now().await.unwrap();
    let seen = server.seen();
    let sent: Vec<_> = for_tokens(&seen).into_iter().map(|request| value(request, "refresh_token")).collect();
    let refresh = Some("refresh-0".to_owned());
    assert_eq!(sent, [None, refresh.clone(), refresh]);
}

#[tokio::test]
async fn a_session_whose_refresh_token_is_refused_logs_in_once() {
    let server = provider(|request, number| match value(request, "refresh_token") {
        Some(_) => refusal("invalid_grant"),
        None => tokens(number),
    });
    let session = Session::new(exchanging(&server));
    session.token().await.unwrap();
    session.refresh_now().await.unwrap();
    assert_eq!(for_tokens(&server.seen()).len(), 3);
}

#[tokio::test]
async fn an_answer_that_the_standard_does_not_allow_is_named() {
    for (answer, what) in [
        (json!({ "access_token": "S3cret" }), "`token_type` is missing"),
        (json!({ "access_token": "S3cret", "token_type": "mac" }), "`token_type` is not `Bearer`"),
        (json!({ "token_type": "Bearer" }), "`access_token` is missing"),
    ] {
        let server = provider(move |_, _| Answer::new(200).json(&answer));
        let error = exchanging(&server).login().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadAnswer);
        assert!(error.to_string().contains(what), "{error}");
        assert!(!format!("{error} {error:?}").contains("S3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_named_and_nothing_is_sent() {
    let server = provider(|_, number| tokens(number));
    let secret = jwt_refresh::SecretSource::env("OAUTH_TEST_WITHOUT_VALUE");
    let api = OAuth::builder(server.url(""), Grant::client_credentials());
    let error = api.client_auth(ClientAuth::basic("catalog", secret)).build().unwrap().login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SecretUnavailable);
    assert!(error.to_string().contains("`client_secret`"), "{error}");
    assert!(for_tokens(&server.seen()).is_empty());
}
