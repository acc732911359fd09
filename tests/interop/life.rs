//! A login and what follows it: renewals, reuse, dead refresh tokens, wrong passwords, restarts.

use jwt_refresh::store::MemoryStore;
use jwt_refresh::{Authenticator, ErrorKind, RefreshToken, Session, Tokens};

use crate::scenario::{CLIENT, JWT, OPAQUE, REFRESHING, SLIDING, Scenario, simplejwt};
use crate::server::{Rotation, Server};

const BLACKLISTING: Scenario = simplejwt(Rotation::ReplacedAndBlacklisted);

#[tokio::test]
async fn a_description_logs_in_and_refreshes_and_the_api_takes_both_tokens() {
    for scenario in REFRESHING {
        let server = Server::start(scenario.software).await;
        let api = scenario.authenticator(&server);
        let tokens = api.login().await.unwrap();
        let renewed = api.refresh(tokens.refresh().unwrap()).await.unwrap();
        for tokens in [tokens, renewed] {
            assert_eq!(scenario.call(&server.url(), tokens.access()).await, 200, "{scenario:?}");
        }
        let stats = server.stats().await;
        assert_eq!((stats.logins, stats.refreshes, stats.refused), (1, 1, 0), "{scenario:?}");
    }
}

#[tokio::test]
async fn client_credentials_are_renewed_by_a_login() {
    let server = Server::start(CLIENT.software).await;
    let session = CLIENT.session(&server, &MemoryStore::new()).await;
    let first = session.token().await.unwrap();
    session.refresh_now().await.unwrap();
    let second = session.token().await.unwrap();
    assert_ne!(first.expose(), second.expose());
    assert_eq!(CLIENT.call(&server.url(), &second).await, 200);
    assert_eq!((server.stats().await.logins, server.stats().await.refreshes), (2, 0));
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_is_refused_where_it_was_replaced() {
    for (scenario, is_refused, ends_grant) in [
        (OPAQUE, true, true),
        (JWT, true, true),
        (BLACKLISTING, true, false),
        (simplejwt(Rotation::Replaced), false, false),
        (simplejwt(Rotation::Kept), false, false),
    ] {
        let server = Server::start(scenario.software).await;
        let api = scenario.authenticator(&server);
        let tokens = api.login().await.unwrap();
        let used = tokens.refresh().unwrap();
        let renewed = api.refresh(used).await.unwrap();
        let again = api.refresh(used).await;
        assert_eq!(again.err().map(|error| error.kind()), is_refused.then_some(ErrorKind::Denied), "{scenario:?}");
        let next = api.refresh(renewed.refresh().unwrap_or(used)).await;
        assert_eq!(next.err().map(|error| error.kind()), ends_grant.then_some(ErrorKind::Denied), "{scenario:?}");
    }
}

#[tokio::test]
async fn a_session_whose_grant_was_ended_logs_in_again() {
    for scenario in [OPAQUE, JWT] {
        let server = Server::start(scenario.software).await;
        let api = scenario.authenticator(&server);
        let tokens = api.login().await.unwrap();
        let session = Session::builder(scenario.authenticator(&server)).build();
        session.adopt(api.refresh(tokens.refresh().unwrap()).await.unwrap()).await.unwrap();
        // Somebody uses the old one: the server takes that for theft.
        api.refresh(tokens.refresh().unwrap()).await.unwrap_err();
        session.refresh_now().await.unwrap();
        assert_eq!(scenario.call(&server.url(), &session.token().await.unwrap()).await, 200);
        let stats = server.stats().await;
        assert_eq!((stats.logins, stats.refreshes, stats.revoked_grants), (2, 1, 1), "{stats:?}");
    }
}

#[tokio::test]
async fn a_session_with_a_dead_refresh_token_logs_in_again_and_sends_it_once() {
    for scenario in REFRESHING {
        let server = Server::start(scenario.software).await;
        let session = Session::builder(scenario.authenticator(&server)).build();
        session.adopt(Tokens::new("dead").unwrap().refresh_token("dead")).await.unwrap();
        session.refresh_now().await.unwrap();
        assert_eq!(scenario.call(&server.url(), &session.token().await.unwrap()).await, 200);
        let stats = server.stats().await;
        assert_eq!((stats.logins, stats.refreshes, stats.refused), (1, 0, 1), "{scenario:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_once_and_not_sent_again() {
    for scenario in REFRESHING {
        let server = Server::start(scenario.software).await;
        let api = scenario.described(&server).secret("password", "wr0ng").build().unwrap();
        let session = Session::builder(api).build();
        for _ in 0..3 {
            let error = session.token().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired, "{error}");
            assert!(!format!("{error} {error:?}").contains("wr0ng"), "{error}");
        }
        let stats = server.stats().await;
        assert_eq!((stats.logins, stats.refused), (0, 1), "{scenario:?}");
    }
}

#[tokio::test]
async fn a_wrong_client_secret_is_refused_and_told_from_a_wrong_password() {
    for scenario in [OPAQUE, JWT, CLIENT] {
        let server = Server::start(scenario.software).await;
        let wrong = if scenario.file == JWT.file {
            jwt_refresh::ClientAuth::in_body("catalog-post", "wr0ng")
        } else {
            jwt_refresh::ClientAuth::basic("catalog", "wr0ng")
        };
        let error = scenario.described(&server).client_auth(wrong).build().unwrap().login().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, Some("invalid_client")), "{error}");
        assert!(!format!("{error} {error:?}").contains("wr0ng"), "{error}");
    }
}

#[tokio::test]
async fn a_program_that_is_restarted_refreshes_with_the_token_in_its_store() {
    for scenario in REFRESHING {
        let (server, store) = (Server::start(scenario.software).await, MemoryStore::new());
        let first = scenario.session(&server, &store).await;
        first.refresh_now().await.unwrap();
        first.flush().await;
        drop(first);
        let second = scenario.session(&server, &store).await;
        second.refresh_now().await.unwrap();
        assert_eq!(scenario.call(&server.url(), &second.token().await.unwrap()).await, 200);
        let stats = server.stats().await;
        assert_eq!((stats.logins, stats.refreshes, stats.refused), (1, 2, 0), "{scenario:?}");
    }
}

#[tokio::test]
async fn a_session_outlives_a_restart_of_its_server() {
    // The first one forgets all tokens when it ends, and the second one knows them.
    for (scenario, logins, refreshes) in [(OPAQUE, 1, 0), (BLACKLISTING, 0, 1)] {
        let mut server = Server::start(scenario.software).await;
        let session = scenario.session(&server, &MemoryStore::new()).await;
        let token = session.token().await.unwrap();
        server.stop();
        let error = session.refresh_now().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(session.token().await.unwrap().expose(), token.expose(), "the token that lives is served");
        server.run().await;
        crate::support::until("the session has renewed", async || session.refresh_now().await.is_ok()).await;
        assert_eq!(scenario.call(&server.url(), &session.token().await.unwrap()).await, 200);
        let stats = server.stats().await;
        assert_eq!((stats.logins, stats.refreshes), (logins, refreshes), "{scenario:?}");
    }
}

#[tokio::test]
async fn a_logout_revokes_the_refresh_token() {
    for scenario in [OPAQUE, JWT, BLACKLISTING] {
        let server = Server::start(scenario.software).await;
        let api = scenario.authenticator(&server);
        let tokens = api.login().await.unwrap();
        let refresh: RefreshToken = tokens.refresh().unwrap().clone();
        let session = Session::builder(scenario.authenticator(&server)).build();
        session.adopt(tokens).await.unwrap();
        session.logout().await.unwrap();
        assert_eq!(api.refresh(&refresh).await.unwrap_err().kind(), ErrorKind::Denied, "{scenario:?}");
    }
}

#[tokio::test]
async fn a_sliding_token_renews_itself() {
    let server = Server::start(SLIDING.software).await;
    let session = SLIDING.session(&server, &MemoryStore::new()).await;
    for refreshes in 1..=3 {
        session.refresh_now().await.unwrap();
        assert_eq!(SLIDING.call(&server.url(), &session.token().await.unwrap()).await, 200);
        assert_eq!((server.stats().await.logins, server.stats().await.refreshes), (1, refreshes));
    }
}
