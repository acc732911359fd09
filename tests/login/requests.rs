//! What is sent: where credentials and tokens stand in a login, a refresh and a revocation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jwt_refresh::{
    Authenticator, ClientAuth, ErrorKind, HttpAuthenticator, HttpRequest, RefreshToken, SecretSource, TokenFields,
};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::server::{Seen, Server};

/// A server that gives out `a1`, `r1`, then `a2`, `r2`, and so on.
fn numbered() -> Server {
    Server::start(|_, before| {
        let number = before + 1;
        Answer::from(
            json!({"access_token": format!("a{number}"), "refresh_token": format!("r{number}"), "expires_in": 60}),
        )
    })
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_login_and_a_refresh_can_be_sent_as_forms_with_more_fields() {
    let server = numbered();
    let login = HttpRequest::post(server.url("/login"))
        .form_field("user", "ada & co")
        .form_field("pass", "{password}")
        .form_field("tenant", "42");
    let refresh = HttpRequest::post(server.url("/refresh"))
        .form_field("grant_type", "refresh_token")
        .form_field("token", "{refresh_token}")
        .form_field("client_id", "web");
    let api = HttpAuthenticator::builder(login).secret("password", "p&=ä{x}").refresh(refresh).build().unwrap();
    let tokens = api.login().await.unwrap();
    let renewed = api.refresh(tokens.refresh().unwrap()).await.unwrap();
    assert_eq!((tokens.access().expose(), renewed.access().expose()), ("a1", "a2"));
    let seen = server.seen();
    assert_eq!(seen[0].form(), pairs(&[("user", "ada & co"), ("pass", "p&=ä{x}"), ("tenant", "42")]));
    assert_eq!(seen[1].form(), pairs(&[("grant_type", "refresh_token"), ("token", "r1"), ("client_id", "web")]));
    assert_eq!(seen[0].header("accept"), "application/json");
}

#[tokio::test]
async fn login_fields_can_be_nested_and_need_not_be_strings() {
    let server = numbered();
    let login = HttpRequest::post(server.url("/login"))
        .json_field("user.name", "ada")
        .json_field("user.password", "{password}")
        .json_field("pin", 1234)
        .json_field("remember", true)
        .json_field("scopes", json!(["read", "{password}"]));
    let api = HttpAuthenticator::builder(login).secret("password", "s\"3").build().unwrap();
    api.login().await.unwrap();
    let expected = json!({
        "user": {"name": "ada", "password": "s\"3"}, "pin": 1234, "remember": true, "scopes": ["read", "s\"3"],
    });
    assert_eq!(server.seen()[0].json(), expected);
}

#[tokio::test]
async fn the_fields_of_the_builder_are_sent_as_they_are_whatever_is_in_them() {
    let server = numbered();
    let api = HttpAuthenticator::builder(server.url("/login"))
        .field("email", "{password}{{")
        .secret_field("password", "{email}")
        .build()
        .unwrap();
    api.login().await.unwrap();
    assert_eq!(server.seen()[0].json(), json!({"email": "{password}{{", "password": "{email}"}));
}

#[tokio::test]
async fn an_authenticator_for_another_account_sends_the_values_of_that_account() {
    let server = numbered();
    let step = HttpRequest::post(server.url("/login")).json_field("tenant", "{tenant}");
    let ada = HttpAuthenticator::builder(server.url("/first"))
        .field("email", "ada")
        .then(step)
        .field("email", "ada")
        .secret_field("password", "hers")
        .secret("tenant", "blue")
        .build()
        .unwrap();
    let bob = ada.with_value("email", "{bob}").unwrap().with_value("password", SecretSource::env("CARGO_PKG_NAME"));
    let bob = bob.unwrap().with_value("tenant", "red").unwrap();
    bob.login().await.unwrap();
    ada.login().await.unwrap();
    let sent: Vec<_> = server.seen().iter().map(Seen::json).collect();
    assert_eq!(sent[0], json!({"email": "{bob}"}));
    assert_eq!(sent[1], json!({"email": "{bob}", "password": "jwt-refresh", "tenant": "red"}));
    assert_eq!(sent[2], json!({"email": "ada"}));
    assert_eq!(sent[3], json!({"email": "ada", "password": "hers", "tenant": "blue"}));
}

#[test]
fn a_value_that_was_not_described_is_refused_and_the_error_says_which_are() {
    let api =
        HttpAuthenticator::builder("https://api.example/login").field("email", "a").secret_field("password", "S3cret");
    let error = api.build().unwrap().with_value("mail", "b").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let shown = error.to_string();
    for part in ["`mail`", "`email`", "`password`"] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[tokio::test]
async fn the_refresh_field_can_have_another_name_and_the_method_can_be_another() {
    let server = numbered();
    let api = HttpAuthenticator::builder(server.url("/login"))
        .refresh(HttpRequest::new("put", server.url("/refresh")).json_field("refresh", "{refresh_token}"))
        .build()
        .unwrap();
    api.refresh(&RefreshToken::from("r0")).await.unwrap();
    let seen = server.seen();
    assert_eq!((seen[0].method(), seen[0].json()), ("PUT", json!({"refresh": "r0"})));
}

#[tokio::test]
async fn a_refresh_can_be_a_get_with_the_token_in_the_authorization_header() {
    let server = numbered();
    let refresh = HttpRequest::get(server.url("/refresh")).header("Authorization", "Bearer {refresh_token}");
    let api = HttpAuthenticator::without_login().refresh(refresh).build().unwrap();
    api.refresh(&RefreshToken::from("r0")).await.unwrap();
    let seen = server.seen();
    assert_eq!((seen[0].method(), seen[0].header("authorization")), ("GET", "Bearer r0"));
    assert_eq!((seen[0].body(), seen[0].header("content-type")), ("", ""));
}

#[tokio::test]
async fn a_value_in_a_url_is_encoded_and_cannot_leave_its_place() {
    let server = numbered();
    let login = HttpRequest::post(server.url("/tenants/{tenant}/login?key={key}&v=1"));
    let api = HttpAuthenticator::builder(login).secret("tenant", "../a b").secret("key", "x&y=#?").build().unwrap();
    api.login().await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].path(), "/tenants/..%2Fa%20b/login");
    assert_eq!((seen[0].query("key"), seen[0].query("v")), ("x&y=#?", "1"));
}

fn basic_of(header: &str) -> String {
    String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_client_authenticates_by_basic_in_the_body_or_by_its_id_alone_in_every_request() {
    for (client, basic, in_body) in [
        (ClientAuth::basic("web app", "s:3%"), Some("web+app:s%3A3%25"), vec![]),
        (ClientAuth::in_body("web app", "s:3%"), None, vec![("client_id", "web app"), ("client_secret", "s:3%")]),
        (ClientAuth::public("web app"), None, vec![("client_id", "web app")]),
    ] {
        let server = numbered();
        let api = HttpAuthenticator::password_grant(server.url("/token"), "ada", "pw")
            .revocation_url(server.url("/revoke"))
            .client_auth(client)
            .build()
            .unwrap();
        let tokens = api.login().await.unwrap();
        api.refresh(tokens.refresh().unwrap()).await.unwrap();
        api.revoke(tokens.refresh().unwrap()).await.unwrap();
        let seen = server.seen();
        assert_eq!(seen.len(), 3);
        for request in seen {
            let header = request.header("authorization");
            assert_eq!(basic.map(str::to_owned), Some(header).filter(|header| !header.is_empty()).map(basic_of));
            let mut sent = request.form();
            sent.retain(|(name, _)| name.starts_with("client_"));
            assert_eq!(sent, pairs(&in_body));
        }
    }
}

#[tokio::test]
async fn the_client_can_stand_in_a_json_body_too() {
    let server = numbered();
    let api = HttpAuthenticator::builder(server.url("/login")).client_auth(ClientAuth::in_body("id", "s")).build();
    api.unwrap().login().await.unwrap();
    assert_eq!(server.seen()[0].json(), json!({"client_id": "id", "client_secret": "s"}));
}

#[tokio::test]
async fn revocation_can_be_any_request_by_either_token() {
    for by_access_token in [false, true] {
        let server = numbered();
        let login = HttpAuthenticator::builder(server.url("/login")).refresh_url(server.url("/refresh"));
        let revocation = if by_access_token {
            HttpRequest::new("DELETE", server.url("/session")).header("authorization", "Bearer {access_token}")
        } else {
            HttpRequest::post(server.url("/logout")).json_field("data.refresh", "{refresh_token}")
        };
        let api = login.revoke(revocation).build().unwrap();
        let tokens = api.login().await.unwrap();
        let renewed = api.refresh(tokens.refresh().unwrap()).await.unwrap();
        api.revoke(renewed.refresh().unwrap()).await.unwrap();
        let seen = server.seen();
        assert_eq!(seen[1].json(), json!({"refresh_token": "r1"}));
        if by_access_token {
            assert_eq!((seen[2].method(), seen[2].header("authorization")), ("DELETE", "Bearer a2"));
        } else {
            assert_eq!(seen[2].json(), json!({"data": {"refresh": "r2"}}));
        }
    }
}

#[tokio::test]
async fn a_revocation_that_is_refused_is_an_error() {
    let server = Server::start(|_, _| Answer::new(400));
    let api = HttpAuthenticator::without_login()
        .refresh_url(server.url("/refresh"))
        .revocation_url(server.url("/revoke"))
        .build()
        .unwrap();
    assert!(api.revoke(&RefreshToken::from("r")).await.unwrap_err().to_string().contains("/revoke"));
}

#[tokio::test]
async fn a_refresh_can_send_the_access_token_beside_the_refresh_token() {
    let server = numbered();
    let refresh = HttpRequest::post(server.url("/refresh"))
        .json_field("accessToken", "{access_token}")
        .json_field("refreshToken", "{refresh_token}");
    let api = HttpAuthenticator::builder(server.url("/login")).refresh(refresh).build().unwrap();
    let mut tokens = api.login().await.unwrap();
    for number in 1..4 {
        tokens = api.refresh(tokens.refresh().unwrap()).await.unwrap();
        let expected = json!({"accessToken": format!("a{number}"), "refreshToken": format!("r{number}")});
        assert_eq!(server.seen().pop().unwrap().json(), expected);
    }
}

#[tokio::test]
async fn where_the_access_token_renews_itself_the_session_slides_along() {
    let server = Server::start(|request, before| {
        let is_login = request.path() == "/login";
        assert!(is_login || request.json() == json!({"token": format!("a{before}")}), "{request:?}");
        Answer::from(json!({"token": format!("a{}", before + 1)}))
    });
    let api = HttpAuthenticator::builder(server.url("/login"))
        .refresh(HttpRequest::post(server.url("/slide")).json_field("token", "{access_token}"))
        .answer(TokenFields::default().access_token("token").lives_for(std::time::Duration::from_secs(60)))
        .build()
        .unwrap();
    let clock = jwt_refresh::ManualClock::new();
    let session = jwt_refresh::Session::builder(api).clock(&clock).connect().await.unwrap();
    for number in 1..4 {
        assert_eq!(session.token().await.unwrap().expose(), format!("a{number}"));
        clock.advance(std::time::Duration::from_secs(61));
    }
    assert_eq!(server.seen().iter().filter(|request| request.path() == "/login").count(), 1);
}

#[tokio::test]
async fn the_client_is_in_no_body_of_a_get() {
    let server = numbered();
    let login = HttpRequest::post(server.url("/token")).form_field("grant_type", "password");
    let api = HttpAuthenticator::builder(HttpRequest::get(server.url("/challenge")))
        .then(login)
        .client_auth(ClientAuth::in_body("id", "s"))
        .build()
        .unwrap();
    api.login().await.unwrap();
    let seen = server.seen();
    assert_eq!((seen[0].method(), seen[0].body()), ("GET", ""));
    assert_eq!(seen[1].form(), pairs(&[("grant_type", "password"), ("client_id", "id"), ("client_secret", "s")]));
}

#[tokio::test]
async fn a_probe_sends_nothing_of_the_url_that_may_be_a_credential() {
    let server = numbered();
    let url = server.url("/login?key=S3cret").replace("http://", "http://ada:S3cret@");
    let api = HttpAuthenticator::builder(url).build().unwrap();
    api.probe().await.unwrap().unwrap();
    let seen = server.seen();
    assert_eq!((seen[0].method(), seen[0].path()), ("HEAD", "/login"));
    assert_eq!(seen[0].header("authorization"), "");
}
