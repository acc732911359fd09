//! The presets, against the test kit or a server that does as RFC 6749 says.

use std::time::Duration;

use jwt_refresh::{Authenticator, ClientAuth, ErrorKind, HttpAuthenticator, ManualClock, RefreshToken, Session};
use jwt_refresh_testkit::{Answer, TestServer};
use serde_json::json;

use crate::server::Server;

fn token_endpoint() -> Server {
    Server::start(|_, _| Answer::from(json!({"access_token": "a", "refresh_token": "r", "expires_in": 60})))
}

fn named<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn the_grants_of_rfc_6749_are_sent_as_it_says() {
    let server = token_endpoint();
    let url = server.url("/token");
    let client = HttpAuthenticator::client_credentials(&url, ClientAuth::basic("id", "s")).field("scope", "read write");
    client.build().unwrap().login().await.unwrap();
    let password = HttpAuthenticator::password_grant(&url, "ada", "pw").client_auth(ClientAuth::public("web"));
    let password = password.build().unwrap();
    password.login().await.unwrap();
    password.refresh(&RefreshToken::from("r1")).await.unwrap();
    let refresh = HttpAuthenticator::refresh_grant(&url).build().unwrap();
    refresh.refresh(&RefreshToken::from("r2")).await.unwrap();
    assert_eq!(refresh.login().await.unwrap_err().kind(), ErrorKind::LoginUnavailable);
    let seen = server.seen();
    for (request, fields) in seen.iter().zip([
        &[("grant_type", "client_credentials"), ("scope", "read write")][..],
        &[("grant_type", "password"), ("username", "ada"), ("password", "pw"), ("client_id", "web")],
        &[("grant_type", "refresh_token"), ("refresh_token", "r1"), ("client_id", "web")],
        &[("grant_type", "refresh_token"), ("refresh_token", "r2")],
    ]) {
        let form = request.form();
        assert_eq!(form.len(), fields.len(), "{form:?}");
        for (name, value) in fields {
            assert_eq!(named(&form, name), Some(*value));
        }
    }
    assert_eq!(seen.len(), 4);
    assert!(seen[0].header("authorization").starts_with("Basic "));
}

#[tokio::test]
async fn email_and_password_are_a_login_and_a_refresh_in_json() {
    let server = TestServer::start();
    let api = HttpAuthenticator::email_and_password(
        server.url("/api/auth/login"),
        server.url("/api/auth/refresh"),
        server.email(),
        server.password(),
    );
    let api = api.build().unwrap();
    let tokens = api.login().await.unwrap();
    api.refresh(tokens.refresh().unwrap()).await.unwrap();
    assert_eq!((server.stats().logins, server.stats().refreshes), (1, 1));
}

#[tokio::test]
async fn a_key_and_its_secret_get_a_token_that_is_used_for_not_quite_an_hour() {
    let server = TestServer::start();
    let api =
        HttpAuthenticator::key_and_secret(server.url("/api/token"), server.key(), server.secret()).build().unwrap();
    let clock = ManualClock::new();
    let session = Session::builder(api).clock(&clock).connect().await.unwrap();
    for (advance, fetched) in [(3000, 1), (501, 2)] {
        clock.advance(Duration::from_secs(advance));
        server.advance(Duration::from_secs(advance));
        session.token().await.unwrap();
        assert_eq!(server.stats().client_tokens, fetched);
    }
    let wrong = HttpAuthenticator::key_and_secret(server.url("/api/token"), server.key(), "not it").build().unwrap();
    assert_eq!(wrong.login().await.unwrap_err().kind(), ErrorKind::Denied);
}
