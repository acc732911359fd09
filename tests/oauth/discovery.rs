//! The endpoints that a server publishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jwt_refresh::oauth::{Grant, OAuth, Server, TokenExchange, TokenType};
use jwt_refresh::{Authenticator, ClientAuth, ErrorKind, Session, Tokens};
use jwt_refresh_testkit::{Answer, Fault};
use serde_json::json;

use crate::provider::{OPENID, document, for_tokens, issuer, provider, tokens, value};

fn client_credentials(issuer: impl Into<Server>) -> OAuth {
    OAuth::builder(issuer, Grant::client_credentials())
        .client_auth(ClientAuth::in_body("catalog", "S3cret"))
        .build()
        .unwrap()
}

#[tokio::test]
async fn endpoints_are_read_once_for_all_clones_and_logins() {
    let server = provider(|_, number| tokens(number));
    let api = client_credentials(server.url(""));
    let other = api.clone();
    let (first, second) = tokio::join!(api.login(), other.login());
    first.and(second).unwrap();
    api.login().await.unwrap();
    let paths: Vec<_> = server.seen().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(paths, [OPENID, "/token", "/token", "/token"]);
}

#[tokio::test]
async fn a_server_without_openid_connect_is_read_as_rfc_8414_says() {
    let server = crate::server::Server::start(|request, _| match request.path() {
        "/.well-known/oauth-authorization-server/tenant" => {
            let tenant = format!("{}/tenant", issuer(request));
            document(request, &json!({ "issuer": tenant }))
        }
        "/token" => tokens(0),
        _ => Answer::new(404),
    });
    client_credentials(server.url("/tenant")).login().await.unwrap();
    let paths: Vec<_> = server.seen().iter().map(|request| request.path().to_owned()).collect();
    let known = "/.well-known/oauth-authorization-server/tenant";
    assert_eq!(paths, ["/tenant/.well-known/openid-configuration", known, "/token"]);
}

#[tokio::test]
async fn a_document_of_another_issuer_is_named_and_no_credential_is_sent() {
    let server =
        crate::server::Server::start(|request, _| document(request, &json!({ "issuer": "https://evil.example" })));
    let error = client_credentials(server.url("")).login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let shown = error.to_string();
    assert!(shown.starts_with("the discovery document is that of another issuer at http://127.0.0.1:"), "{shown}");
    assert!(shown.contains("RFC 8414 §3.3") && !shown.contains("evil"), "{shown}");
    assert!(server.seen().iter().all(|request| request.method() == "GET"));
}

#[tokio::test]
async fn an_endpoint_that_would_get_credentials_over_plain_http_is_named_and_gets_none() {
    let server = crate::server::Server::start(|request, _| {
        document(request, &json!({ "token_endpoint": "http://api.example/token" }))
    });
    let error = client_credentials(server.url("")).login().await.unwrap_err();
    assert_eq!((error.kind(), error.endpoint()), (ErrorKind::Configuration, Some("http://api.example/token")));
    assert!(error.to_string().contains("plain http"), "{error}");
}

#[tokio::test]
async fn what_is_no_document_is_named() {
    for (answer, kind) in
        [("{}", ErrorKind::BadAnswer), ("<html>", ErrorKind::BadAnswer), (r#"{"issuer":7}"#, ErrorKind::BadAnswer)]
    {
        let server = crate::server::Server::start(move |_, _| Answer::new(200).body("application/json", answer));
        let error = client_credentials(server.url("")).login().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{answer}");
        assert!(error.to_string().contains("discovery"), "{error}");
    }
    let server = crate::server::Server::start(|_, _| Answer::new(404));
    let error = client_credentials(server.url("")).login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains("/.well-known/oauth-authorization-server"), "{error}");
}

#[tokio::test]
async fn a_discovery_that_fails_costs_no_refresh_token() {
    let server = provider(|_, number| tokens(number + 1));
    // It could log in, and would if the refresh token were in doubt.
    let api = OAuth::builder(server.url(""), TokenExchange::new("subject", TokenType::jwt()));
    let session = Session::new(api.client_auth(ClientAuth::public("app")).build().unwrap());
    session.adopt(Tokens::new("a").unwrap().refresh_token("refresh-0")).await.unwrap();
    let faults = [Fault::DropAfterProcessing, Fault::Status(500), Fault::CutBody, Fault::Status(401)];
    for fault in faults {
        server.inject("GET", fault.clone());
        session.refresh_now().await.unwrap_err();
        assert!(for_tokens(&server.seen()).is_empty(), "{fault:?}");
    }
    session.refresh_now().await.unwrap();
    let seen = server.seen();
    assert_eq!(value(for_tokens(&seen)[0], "refresh_token").as_deref(), Some("refresh-0"));
}

#[tokio::test]
async fn endpoints_that_have_moved_are_read_anew() {
    let moved = Arc::new(AtomicBool::new(false));
    let has_moved = Arc::clone(&moved);
    let server = crate::server::Server::start(move |request, number| {
        let place = if has_moved.load(Ordering::Acquire) { "/new" } else { "/token" };
        match request.path() {
            OPENID => document(request, &json!({ "token_endpoint": format!("{}{place}", issuer(request)) })),
            path if path == place => tokens(number),
            _ => Answer::new(404),
        }
    });
    let api = client_credentials(server.url(""));
    api.login().await.unwrap();
    moved.store(true, Ordering::Release);
    assert_eq!(api.login().await.unwrap_err().kind(), ErrorKind::Configuration);
    api.login().await.unwrap();
    assert_eq!(server.seen().last().unwrap().path(), "/new");
}

#[tokio::test]
async fn endpoints_that_are_given_need_no_document() {
    let server = crate::server::Server::start(|_, number| tokens(number));
    client_credentials(Server::endpoints(server.url("/oauth/token"))).login().await.unwrap();
    let seen = server.seen();
    assert_eq!((seen.len(), seen[0].path()), (1, "/oauth/token"));
}

#[test]
fn urls_that_cannot_be_right_are_named_when_the_authenticator_is_built() {
    for server in [
        Server::issuer("id.example"),
        Server::issuer("http://id.example"),
        Server::issuer(""),
        Server::endpoints("https://ada:S3cret@id.example/token"),
        Server::endpoints("https://id.example/token").revocation_url("ftp://id.example/revoke"),
    ] {
        let built = OAuth::builder(server, Grant::client_credentials()).client_auth(ClientAuth::public("app")).build();
        let error = built.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!format!("{error} {error:?}").contains("S3cret"), "{error}");
    }
    let error = OAuth::builder("https://id.example", Grant::client_credentials()).build().unwrap_err();
    assert!(error.to_string().contains("`client_auth`"), "{error}");
}
