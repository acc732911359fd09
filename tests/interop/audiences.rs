//! Two access tokens of one login, for two APIs.

use jwt_refresh::{AccessParameters, RequestAuth, RequestRule, Session};

use crate::browser::{self, FILES};
use crate::scenario::JWT;
use crate::server::Server;
use crate::support::http_client;

#[tokio::test]
async fn each_api_gets_a_token_of_its_own_from_one_login() {
    let server = Server::start(JWT.software).await;
    let session = Session::new(browser::login(&server.url()));
    let files = session.access_for(AccessParameters::for_resource(FILES).and_scope("read"));
    let (http, rule) = (http_client(), RequestRule::for_origin(server.url()).unwrap());
    for round in 0..3 {
        assert_eq!(JWT.call(&server.url(), &session.token().await.unwrap()).await, 200);
        let request = http.get(format!("{}/api/files", server.url())).build().unwrap();
        let auth = RequestAuth::new(files.clone(), rule.clone());
        assert_eq!(auth.execute(&http, request).await.unwrap().status(), 200);
        let token = files.token().await.unwrap();
        assert_eq!(token.jwt().unwrap().claims().get("scope").unwrap(), "read");
        let stats = server.stats().await;
        assert_eq!((stats.logins, stats.refreshes, stats.rejected), (1, 1 + round, 0));
        session.refresh_now().await.unwrap();
    }
    // Neither is taken by the other's API.
    let crossed = http.get(format!("{}/api/files", server.url())).bearer_auth(session.token().await.unwrap().expose());
    assert_eq!(crossed.send().await.unwrap().status(), 401);
    let stats = server.stats().await;
    assert_eq!((stats.refused, stats.revoked_grants), (0, 0));
}

#[tokio::test]
async fn a_resource_that_the_login_is_not_for_is_refused_and_the_session_goes_on() {
    let server = Server::start(JWT.software).await;
    let session = Session::new(browser::login(&server.url()));
    let error = session.access_for(AccessParameters::for_resource("urn:test:other")).token().await.unwrap_err();
    assert_eq!(error.code(), Some("invalid_target"), "{error}");
    assert_eq!(JWT.call(&server.url(), &session.token().await.unwrap()).await, 200);
    // This server spends a refresh token although it refuses the request, so there is a login.
    session.refresh_now().await.unwrap();
    assert_eq!(JWT.call(&server.url(), &session.token().await.unwrap()).await, 200);
    assert_eq!(server.stats().await.logins, 2);
}
