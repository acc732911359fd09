//! The grants of OAuth 2.0 that the server speaks.

use jwt_refresh::oauth::{Grant, OAuth, OAuthBuilder, SigningKey};
use jwt_refresh::{Authenticator, ClientAuth, ErrorKind, RefreshToken, Session, Tokens};

use crate::browser::{self, RESOURCE, SCOPE};
use crate::scenario::JWT;
use crate::server::Server;
use crate::support::{MINUTE, http_client};

fn client_credentials(server: &Server) -> OAuthBuilder {
    OAuth::builder(server.url(), Grant::client_credentials()).scope("read").resource(RESOURCE)
}

fn device(server: &Server) -> OAuth {
    let grant = Grant::device_code(|code| {
        let mut url = url::Url::parse(code.verification_uri()).unwrap();
        url.set_path("/enter");
        url.query_pairs_mut().append_pair("user_code", code.user_code());
        tokio::spawn(async move { http_client().get(url).send().await.unwrap().error_for_status().unwrap() });
    });
    let builder = OAuth::builder(server.url(), grant).client_auth(ClientAuth::public("tv"));
    builder.scope(SCOPE).resource(RESOURCE).build().unwrap()
}

/// Logs in. A person who cannot says so by a panic, which the login does not hear of.
async fn logged_in(api: &OAuth) -> Tokens {
    tokio::time::timeout(MINUTE, api.login()).await.expect("a login within a minute").unwrap()
}

async fn assert_taken(server: &Server, tokens: &Tokens) {
    assert_eq!(JWT.call(&server.url(), tokens.access()).await, 200);
}

#[tokio::test]
async fn a_client_authenticates_in_each_way() {
    let server = Server::start(JWT.software).await;
    let pem = http_client().get(format!("{}/client-key", server.url())).send().await.unwrap().text().await.unwrap();
    for builder in [
        client_credentials(&server).client_auth(ClientAuth::basic("catalog", "catalog-secret")),
        client_credentials(&server).client_auth(ClientAuth::in_body("catalog-post", "catalog-secret")),
        client_credentials(&server).private_key_jwt("signer", SigningKey::pem(pem).id("client")),
    ] {
        let shown = format!("{builder:?}");
        let tokens = builder.build().unwrap().login().await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_taken(&server, &tokens).await;
    }
    let wrong = client_credentials(&server).client_auth(ClientAuth::basic("catalog", "wr0ng")).build().unwrap();
    let error = wrong.login().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, Some("invalid_client")));
    assert_eq!((server.stats().await.logins, server.stats().await.refused), (3, 1));
}

#[tokio::test]
async fn a_person_logs_in_and_the_session_refreshes_until_it_logs_out() {
    let server = Server::start(JWT.software).await;
    for (number, api) in [browser::login(&server.url()), device(&server)].into_iter().enumerate() {
        let tokens = logged_in(&api).await;
        assert_taken(&server, &tokens).await;
        let session = Session::new(api.clone());
        session.adopt(tokens).await.unwrap();
        for _ in 0..3 {
            session.refresh_now().await.unwrap();
        }
        assert_eq!(JWT.call(&server.url(), &session.token().await.unwrap()).await, 200);
        let number = u64::try_from(number).unwrap();
        let stats = server.stats().await;
        assert_eq!((stats.logins, stats.refreshes, stats.refused), (number + 1, 3 * (number + 1), 0), "{api:?}");
        session.logout().await.unwrap();
    }
}

#[tokio::test]
async fn a_logout_ends_the_grant() {
    let server = Server::start(JWT.software).await;
    let api = browser::login(&server.url());
    let tokens = logged_in(&api).await;
    let refresh: RefreshToken = tokens.refresh().unwrap().clone();
    let session = Session::new(api.clone());
    session.adopt(tokens).await.unwrap();
    session.logout().await.unwrap();
    assert_eq!(api.refresh(&refresh).await.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn a_session_whose_grant_was_ended_opens_the_browser_again() {
    let server = Server::start(JWT.software).await;
    let api = browser::login(&server.url());
    let tokens = logged_in(&api).await;
    let session = Session::new(api.clone());
    session.adopt(api.refresh(tokens.refresh().unwrap()).await.unwrap()).await.unwrap();
    // Somebody uses the old one: the server takes that for theft.
    api.refresh(tokens.refresh().unwrap()).await.unwrap_err();
    session.refresh_now().await.unwrap();
    assert_eq!(JWT.call(&server.url(), &session.token().await.unwrap()).await, 200);
    assert_eq!(server.stats().await.logins, 2);
}
