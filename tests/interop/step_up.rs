//! An API that asks for more than the token was got for.

use jwt_refresh::oauth::{Grant, OAuth};
use jwt_refresh::{ClientAuth, Policy, RequestRule, Session};

use crate::browser::{self, RESOURCE};
use crate::scenario::JWT;
use crate::server::Server;
use crate::support::{MINUTE, http_client};

fn session(server: &Server, login: OAuth) -> Session {
    let policy = Policy::default().login_timeout(MINUTE);
    Session::builder(login).policy(policy).requests(RequestRule::for_origin(server.url()).unwrap()).build()
}

async fn call(server: &Server, session: &Session, path: &str) -> u16 {
    let http = http_client();
    let request = http.get(format!("{}{path}", server.url())).build().unwrap();
    session.execute(&http, request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_client_that_lacks_a_scope_asks_for_it_once() {
    let server = Server::start(JWT.software).await;
    let builder = OAuth::builder(server.url(), Grant::client_credentials()).scope("read").resource(RESOURCE);
    let login = builder.client_auth(ClientAuth::basic("catalog", "catalog-secret")).build().unwrap();
    let session = session(&server, login);
    for path in ["/api/read", "/api/write", "/api/write", "/api/read"] {
        assert_eq!(call(&server, &session, path).await, 200, "{path}");
    }
    let stats = server.stats().await;
    assert_eq!((stats.logins, stats.refused, stats.rejected), (2, 0, 0));
}

#[tokio::test]
async fn a_person_is_asked_for_a_scope_and_for_a_stronger_login_once_each_and_the_session_keeps_both() {
    let server = Server::start(JWT.software).await;
    let session = session(&server, browser::login_for(&server.url(), "openid offline_access read"));
    for path in ["/api/read", "/api/write", "/api/pay"] {
        assert_eq!(call(&server, &session, path).await, 200, "{path}");
    }
    let stats = server.stats().await;
    assert_eq!((stats.logins, stats.refused, stats.revoked_grants), (3, 0, 0));
    // The 401 that asks for the stronger login is the only one.
    assert_eq!(stats.rejected, 1);
    session.refresh_now().await.unwrap();
    for path in ["/api/write", "/api/pay"] {
        assert_eq!(call(&server, &session, path).await, 200, "{path}");
    }
    let after = server.stats().await;
    assert_eq!((after.logins, after.refreshes, after.rejected), (3, 1, 1));
}
