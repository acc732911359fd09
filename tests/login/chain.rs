//! Several ways to log in, of which the first that works is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jwt_refresh::{
    Authenticator, Chain, ErrorKind, HttpAuthenticator, ManualClock, RefreshToken, SecretSource, Session, Tokens,
};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::server::Server;

/// A server that knows the password `right`, and answers 503 while it is out of order.
fn server() -> (Server, Arc<AtomicUsize>) {
    let outage = Arc::new(AtomicUsize::new(0));
    let down = Arc::clone(&outage);
    let server = Server::start(move |request, before| {
        if down.load(Ordering::SeqCst) > 0 {
            return Answer::new(503);
        }
        match request.path() {
            "/refresh" => Answer::from(json!({"access_token": "renewed", "expires_in": 60})),
            _ if request.json()["password"] == "right" => {
                Answer::from(json!({"access_token": format!("a{before}"), "refresh_token": "r", "expires_in": 60}))
            }
            _ => Answer::new(401),
        }
    });
    (server, outage)
}

fn with(server: &Server, user: &str, password: impl Into<SecretSource>) -> HttpAuthenticator {
    HttpAuthenticator::builder(server.url("/login"))
        .refresh_url(server.url("/refresh"))
        .field("user", user)
        .secret_field("password", password)
        .build()
        .unwrap()
}

fn logins(server: &Server) -> Vec<String> {
    let seen = server.seen().into_iter().filter(|request| request.path() == "/login");
    seen.map(|request| request.json()["user"].as_str().unwrap().to_owned()).collect()
}

fn unset() -> SecretSource {
    SecretSource::env("JWT_REFRESH_TEST_UNSET")
}

#[tokio::test]
async fn the_first_that_can_log_in_is_used_and_then_always_that_one() {
    let (server, _) = server();
    let chain = Chain::new(with(&server, "unset", unset()))
        .or(with(&server, "wrong", "wrong"))
        .or(with(&server, "second", "right"))
        .or(with(&server, "third", "right"));
    chain.login().await.unwrap();
    assert_eq!(logins(&server), ["wrong", "second"]);
    chain.login().await.unwrap();
    assert_eq!(logins(&server), ["second"]);
    chain.refresh(&RefreshToken::from("r")).await.unwrap();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_failure_that_may_pass_does_not_choose_another_account() {
    let (server, outage) = server();
    let chain = Chain::new(with(&server, "first", "right")).or(with(&server, "second", "right"));
    outage.store(1, Ordering::SeqCst);
    assert_eq!(chain.login().await.unwrap_err().kind(), ErrorKind::Unavailable);
    outage.store(0, Ordering::SeqCst);
    chain.login().await.unwrap();
    assert_eq!(logins(&server), ["first", "first"]);
}

#[tokio::test]
async fn if_none_can_log_in_the_error_says_why_of_each_and_a_denial_is_final() {
    let (server, _) = server();
    let chain = Chain::new(with(&server, "unset", unset())).or(with(&server, "wrong", "wrong"));
    let session = Session::new(chain);
    for _ in 0..2 {
        let error = session.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
        let shown = error.to_string();
        for part in ["/login (status 401)", "none of the 2 authenticators", "`JWT_REFRESH_TEST_UNSET`"] {
            assert!(shown.contains(part), "{shown}");
        }
        assert!(shown.starts_with("the login was denied at http://127.0.0.1:"), "{shown}");
    }
    assert_eq!(logins(&server), ["wrong"], "no password is sent again by itself");
    let error =
        Chain::new(with(&server, "unset", unset())).or(with(&server, "unset", unset())).login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SecretUnavailable);
}

#[tokio::test]
async fn a_refresh_token_of_a_store_is_sent_by_the_first_that_has_its_secrets_and_once_only() {
    let (server, _) = server();
    let without_login = || HttpAuthenticator::without_login();
    let refresh = |key: SecretSource, path: &str| {
        let request = jwt_refresh::HttpRequest::post(server.url(path))
            .header("x-key", "{key}")
            .json_field("t", "{refresh_token}");
        without_login().refresh(request).secret("key", key).build().unwrap()
    };
    let chain = Chain::new(refresh(unset(), "/unset")).or(refresh("k".into(), "/refresh"));
    chain.refresh(&RefreshToken::from("r")).await.unwrap();
    assert_eq!(server.seen().len(), 1);
    // `/denied` knows no such password, so it answers 401.
    let chain = Chain::new(refresh("k".into(), "/denied")).or(refresh("k".into(), "/refresh"));
    assert_eq!(chain.refresh(&RefreshToken::from("r")).await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(server.seen().len(), 1, "a refused refresh token is sent to no other");
}

#[tokio::test]
async fn a_session_of_a_chain_is_bound_to_the_server_of_its_members_if_they_have_one() {
    let (server, _) = server();
    let (other, _) = self::server();
    let chain = Chain::new(with(&server, "a", "right")).or(with(&server, "b", "right"));
    assert_eq!(chain.server_id(), Some(server.url("")));
    assert_eq!(chain.or(with(&other, "c", "right")).server_id(), None);
    let clock = ManualClock::new();
    let chain = Chain::new(with(&server, "unset", unset())).or(with(&server, "b", "right"));
    let session = Session::builder(chain).clock(&clock).connect().await.unwrap();
    clock.advance(Duration::from_secs(61));
    assert_eq!(session.token().await.unwrap().expose(), "renewed");
}

/// A server that denies `first`, and answers 503 to `second` while it is out of order.
fn denying() -> (Server, Arc<AtomicUsize>) {
    let outage = Arc::new(AtomicUsize::new(1));
    let down = Arc::clone(&outage);
    let server = Server::start(move |request, _| match &request.json()["user"] {
        user if user == "second" && down.load(Ordering::SeqCst) == 0 => {
            Answer::from(json!({"access_token": "a", "expires_in": 60}))
        }
        user if user == "second" => Answer::new(503),
        _ => Answer::new(401),
    });
    (server, outage)
}

#[tokio::test]
async fn a_password_that_was_denied_is_not_sent_again_while_another_member_waits_for_an_outage_to_end() {
    let (server, outage) = denying();
    let clock = ManualClock::new();
    let chain = Chain::new(with(&server, "first", "wrong")).or(with(&server, "second", "right"));
    let session = Session::builder(chain).clock(&clock).build();
    for _ in 0..3 {
        assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Unavailable);
        clock.advance(Duration::from_secs(600));
    }
    outage.store(0, Ordering::SeqCst);
    session.token().await.unwrap();
    assert_eq!(logins(&server), ["first", "second", "second", "second", "second"]);
}

#[tokio::test]
async fn a_refresh_that_is_a_login_does_not_send_a_denied_password_again() {
    let (server, _) = denying();
    let plain = |user: &str| HttpAuthenticator::builder(server.url("/login")).field("user", user).build().unwrap();
    let chain = Chain::new(plain("first")).or(plain("second"));
    for _ in 0..2 {
        assert_eq!(chain.refresh(&RefreshToken::from("r")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(chain.login().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(logins(&server), ["first", "second", "second", "second"]);
}

#[tokio::test]
async fn after_all_were_denied_the_next_login_tries_each_again() {
    let (server, _) = denying();
    let chain = Chain::new(with(&server, "first", "wrong")).or(with(&server, "third", "wrong"));
    for _ in 0..2 {
        assert_eq!(chain.login().await.unwrap_err().kind(), ErrorKind::Denied);
        assert_eq!(logins(&server), ["first", "third"], "who asks for a login may have changed a password");
    }
}

#[tokio::test]
async fn a_refresh_token_that_was_not_sent_for_want_of_a_secret_is_kept_whatever_a_login_of_the_next_brings() {
    for status in [401, 503] {
        let server = Server::start(move |request, _| match request.path() {
            "/refresh" => Answer::from(json!({"access_token": "renewed", "expires_in": 60})),
            _ => Answer::new(status),
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let refresh = jwt_refresh::HttpRequest::post(server.url("/refresh"))
            .header("x-key", "{key}")
            .json_field("t", "{refresh_token}");
        let first = HttpAuthenticator::without_login().refresh(refresh).secret("key", SecretSource::file(&path));
        let second = HttpAuthenticator::builder(server.url("/login")).field("user", "second");
        let chain = Chain::new(first.build().unwrap()).or(second.build().unwrap());
        let clock = ManualClock::new();
        let tokens = Tokens::new("old").unwrap().refresh_token("r").expires_in(Duration::from_secs(60));
        let session = Session::builder(chain).clock(&clock).tokens(tokens).build();
        clock.advance(Duration::from_secs(61));
        assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::SecretUnavailable, "{status}");
        std::fs::write(&path, "k").unwrap();
        clock.advance(Duration::from_secs(600));
        assert_eq!(session.token().await.unwrap().expose(), "renewed", "{status}");
        let refreshes: Vec<_> = server.seen().into_iter().filter(|seen| seen.path() == "/refresh").collect();
        assert_eq!((refreshes.len(), refreshes[0].json()), (1, json!({"t": "r"})), "{status}");
    }
}
