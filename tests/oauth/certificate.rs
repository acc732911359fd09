//! Clients that authenticate by the certificate of their TLS connections (RFC 8705).

use jwt_refresh::oauth::{Grant, OAuth, OAuthBuilder};
use jwt_refresh::{Authenticator, ClientAuth, Session};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::provider::{OPENID, document, issuer, tokens, value};
use crate::server::Server;

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
async fn a_server_without_such_endpoints_is_asked_at_the_usual_ones() {
    let server = crate::provider::provider(|_, number| tokens(number));
    builder(&server).tls_client_auth("catalog").build().unwrap().login().await.unwrap();
    assert_eq!(paths(&server), ["/token"]);
}
