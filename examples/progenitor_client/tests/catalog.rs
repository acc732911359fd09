//! What the generated client promises, over real requests.

#[path = "../src/catalog.rs"]
mod catalog;

use jwt_refresh::prelude::*;
use jwt_refresh::{RequestRule, Session};
use jwt_refresh_testkit::TestServer;

async fn session(server: &TestServer) -> Session {
    let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .refresh_url(server.url("/api/auth/refresh"))
        .field("email", server.email())
        .secret_field("password", server.password())
        .build()
        .unwrap();
    let rule = RequestRule::for_origin(server.base_url()).unwrap();
    Session::builder(login).requests(rule).connect().await.unwrap()
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once_and_the_request_sent_again() {
    let server = TestServer::start();
    let client = catalog::Client::new(server.base_url(), session(&server).await);
    assert_eq!(client.get_product(1).await.unwrap().id, 1);
    server.revoke_access_tokens_of(server.email());
    assert_eq!(client.get_product(2).await.unwrap().id, 2);
    assert_eq!(client.get_product(3).await.unwrap().id, 3);
    let stats = server.stats();
    assert_eq!((stats.logins, stats.refreshes), (1, 1));
}

#[tokio::test]
async fn the_error_of_a_client_says_why_there_is_no_token() {
    let server = TestServer::start();
    let session = session(&server).await;
    let client = catalog::Client::new(server.base_url(), session.clone());
    session.logout().await.unwrap();
    let error = client.get_product(1).await.unwrap_err();
    assert!(matches!(&error, progenitor::progenitor_client::Error::Custom(_)), "{error}");
    assert!(error.to_string().contains("logged out"), "{error}");
}
