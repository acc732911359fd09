//! Clients that authenticate by the certificate of their TLS connections (RFC 8705).

use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use jwt_refresh::oauth::{Grant, OAuth, OAuthBuilder, SigningKey};
use jwt_refresh::{Authenticator, ClientAuth, Session};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::provider::{OPENID, document, issuer, tokens, value};
use crate::server::{Seen, Server};

/// A server that has other endpoints for clients with a certificate.
fn server() -> Server {
    Server::start(|request, number| -> Answer {
        if request.path() != OPENID {
            return tokens(number);
        }
        let issuer = issuer(request);
        let aliases = json!({
            "token_endpoint": format!("{issuer}/mtls/token"), "revocation_endpoint": format!("{issuer}/mtls/revoke"),
        });
        document(request, &json!({ "mtls_endpoint_aliases": aliases }))
    })
}

fn builder(server: &Server) -> OAuthBuilder {
    OAuth::builder(server.url(""), Grant::jwt_bearer("assertion"))
}

fn paths(server: &Server) -> Vec<String> {
    let seen = server.seen();
    seen.iter().filter(|request| request.method() == "POST").map(|request| request.path().to_owned()).collect()
}

#[tokio::test]
async fn a_client_with_a_certificate_asks_at_the_endpoints_for_that_and_sends_its_id_alone() {
    let server = server();
    let session = Session::new(builder(&server).tls_client_auth("catalog").build().unwrap());
    session.token().await.unwrap();
    session.refresh_now().await.unwrap();
    session.logout().await.unwrap();
    let seen = server.seen();
    let sent: Vec<_> = seen.iter().filter(|request| request.method() == "POST").collect();
    assert_eq!(
        sent.iter().map(|request| request.path()).collect::<Vec<_>>(),
        ["/mtls/token", "/mtls/token", "/mtls/revoke"]
    );
    for request in sent {
        assert_eq!(value(request, "client_id").as_deref(), Some("catalog"));
        assert_eq!((request.header("authorization"), value(request, "client_secret")), ("", None));
    }
}

#[tokio::test]
async fn other_clients_ask_at_the_usual_endpoints_also_of_such_a_server() {
    let server = server();
    builder(&server).client_auth(ClientAuth::public("app")).build().unwrap().login().await.unwrap();
    assert_eq!(paths(&server), ["/token"]);
}

#[tokio::test]
async fn clients_that_authenticate_otherwise_ask_there_for_tokens_that_are_bound_to_a_certificate() {
    let (pem, _) = crate::private_key::ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let kinds: [fn(OAuthBuilder, String) -> OAuthBuilder; 3] = [
        |builder, _| builder.client_auth(ClientAuth::public("app")),
        |builder, _| builder.client_auth(ClientAuth::basic("app", "S3cret")),
        |builder, pem| builder.private_key_jwt("app", SigningKey::pem(pem)),
    ];
    for kind in kinds {
        let server = server();
        let login = kind(builder(&server), pem.clone()).certificate_bound().build().unwrap();
        let session = Session::new(login);
        session.token().await.unwrap();
        session.refresh_now().await.unwrap();
        session.logout().await.unwrap();
        let seen = server.seen();
        let sent: Vec<_> = seen.iter().filter(|request| request.method() == "POST").collect();
        let paths: Vec<_> = sent.iter().map(|request| request.path()).collect();
        assert_eq!(paths, ["/mtls/token", "/mtls/token", "/mtls/revoke"]);
        let is_named = |request: &&Seen| {
            let id = value(request, "client_id").as_deref() == Some("app");
            id || request.header("authorization").starts_with("Basic ")
        };
        assert!(sent.iter().all(is_named), "{sent:?}");
    }
}

#[tokio::test]
async fn a_server_without_such_endpoints_is_asked_at_the_usual_ones() {
    let server = crate::provider::provider(|_, number| tokens(number));
    builder(&server).tls_client_auth("catalog").build().unwrap().login().await.unwrap();
    assert_eq!(paths(&server), ["/token"]);
}
