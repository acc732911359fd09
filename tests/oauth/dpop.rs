//! Tokens that are bound to a key (DPoP, RFC 9449).

use std::sync::Arc;
use std::time::Duration;

use jwt_refresh::oauth::{Grant, OAuth};
use jwt_refresh::prelude::*;
use jwt_refresh::store::MemoryStore;
use jwt_refresh::{ClientAuth, Error, ErrorKind, ExecuteError, Policy, RequestAuth, RequestRule, SessionBuilder};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::browser::{Browser, logged_in};
use crate::dpop_server::DpopServer;
use crate::provider::{for_tokens, provider, refusal, tokens, value};
use crate::server::Server;
use crate::support::{MINUTE, http_client};

pub(crate) fn login(server: &Server) -> OAuth {
    // A grant that logs in by itself and brings a refresh token.
    let login = OAuth::builder(server.url(""), Grant::jwt_bearer("assertion")).client_auth(ClientAuth::public("app"));
    login.dpop().build().unwrap()
}

pub(crate) fn builder(server: &Server) -> SessionBuilder {
    Session::builder(login(server)).requests(RequestRule::for_origin(server.url("")).unwrap())
}

async fn status(session: &Session, server: &Server) -> u16 {
    let http = http_client();
    let request = http.post(server.url("/orders/one%20two?page=2#x")).body("a").build().unwrap();
    session.execute(&http, request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn each_request_has_a_proof_of_its_own_by_the_key_of_the_login() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    for _ in 0..3 {
        assert_eq!(status(&session, &server).await, 200);
    }
    session.refresh_now().await.unwrap();
    assert_eq!(status(&session, &server).await, 200);
    assert_eq!(dpop.log(), ["login", "api", "api", "api", "refresh", "api"]);
    assert_eq!(dpop.keys(), 1);
    session.login().await.unwrap();
    assert_eq!(status(&session, &server).await, 200);
}

/// The login of a client without a person.
fn client_login(server: &Server) -> OAuth {
    let login = OAuth::builder(server.url(""), Grant::client_credentials()).client_auth(ClientAuth::public("app"));
    login.dpop().build().unwrap()
}

#[tokio::test]
async fn a_renewal_by_login_keeps_the_key_and_costs_no_nonce() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let rule = RequestRule::for_origin(server.url("")).unwrap();
    let session = Session::builder(client_login(&server)).requests(rule).build();
    dpop.want_api_nonce("one");
    assert_eq!(status(&session, &server).await, 200);
    assert_eq!(dpop.log(), ["login", "api: nonce", "api"]);
    for _ in 0..2 {
        session.refresh_now().await.unwrap();
        assert_eq!(status(&session, &server).await, 200);
        assert_eq!(dpop.log(), ["login", "api"]);
    }
    assert_eq!(dpop.keys(), 1);
}

#[tokio::test]
async fn each_login_of_a_person_makes_a_key() {
    let server = DpopServer::default();
    let (started, browser) = (server.start(), Browser::default());
    let login = crate::browser::builder(&started, browser.grant(logged_in)).dpop().build().unwrap();
    login.login().await.unwrap();
    login.login().await.unwrap();
    assert_eq!(server.keys(), 2);
}

#[tokio::test]
async fn a_nonce_is_sent_also_after_a_renewal_that_followed_on_a_nonce() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    session.token().await.unwrap();
    dpop.forget_access_tokens();
    dpop.want_api_nonce("one");
    dpop.want_api_nonce_after_refusal("two");
    assert_eq!(status(&session, &server).await, 200);
    assert_eq!(dpop.log(), ["login", "api: nonce", "api: invalid token", "refresh", "api: nonce", "api"]);
}

#[tokio::test]
async fn a_nonce_is_sent_from_when_the_server_asks_for_it_and_is_no_failure() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    dpop.want_nonce("one");
    session.token().await.unwrap();
    session.refresh_now().await.unwrap();
    dpop.want_nonce("two");
    session.refresh_now().await.unwrap();
    assert_eq!(dpop.log(), ["login: nonce", "login", "refresh", "refresh: nonce", "refresh"]);
}

#[tokio::test]
async fn an_api_that_asks_for_a_nonce_is_sent_it_without_a_refresh() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    assert_eq!(status(&session, &server).await, 200);
    for nonce in ["one", "two"] {
        dpop.want_api_nonce(nonce);
        assert_eq!(status(&session, &server).await, 200);
        assert_eq!(status(&session, &server).await, 200);
    }
    assert_eq!(dpop.log(), ["login", "api", "api: nonce", "api", "api", "api: nonce", "api", "api"]);
    // The key stays, and what it knows of the API.
    session.refresh_now().await.unwrap();
    assert_eq!(status(&session, &server).await, 200);
    assert_eq!(dpop.log(), ["refresh", "api"]);
}

#[tokio::test]
async fn a_nonce_in_an_answer_that_serves_the_request_is_in_the_next_proof() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    dpop.hand_out_api_nonces();
    let session = builder(&server).build();
    for _ in 0..4 {
        assert_eq!(status(&session, &server).await, 200);
    }
    assert_eq!(dpop.log(), ["login", "api", "api", "api", "api"]);
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_refreshed_also_after_a_nonce() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    session.token().await.unwrap();
    dpop.forget_access_tokens();
    assert_eq!(status(&session, &server).await, 200);
    assert_eq!(dpop.log(), ["login", "api: invalid token", "refresh", "api"]);
    dpop.forget_access_tokens();
    dpop.want_api_nonce("one");
    assert_eq!(status(&session, &server).await, 200);
    assert_eq!(dpop.log(), ["api: nonce", "api: invalid token", "refresh", "api"]);
}

#[tokio::test]
async fn an_api_that_takes_no_nonce_ends_in_an_error_that_says_so() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    dpop.want_ever_newer_api_nonces();
    let http = http_client();
    let request = http.get(server.url("/orders")).build().unwrap();
    let ExecuteError::Auth(error) = session.execute(&http, request).await.unwrap_err() else {
        panic!("an answer came")
    };
    assert_eq!((error.kind(), error.code()), (ErrorKind::BadAnswer, Some("use_dpop_nonce")), "{error}");
    assert_eq!(dpop.log(), ["login", "api: nonce", "api: nonce"]);
}

async fn refused(session: &Session, server: &Server, path: &str) -> Error {
    let http = http_client();
    match session.execute(&http, http.get(server.url(path)).build().unwrap()).await {
        Err(ExecuteError::Auth(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_proof_that_the_api_does_not_take_is_named_and_refreshes_nothing() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    session.token().await.unwrap();
    dpop.log();
    // reqwest takes the proof for the first URL along.
    for _ in 0..2 {
        let error = refused(&session, &server, "/moved").await;
        assert_eq!((error.kind(), error.code()), (ErrorKind::BadAnswer, Some("invalid_dpop_proof")));
        assert!(error.to_string().contains("redirect"), "{error}");
    }
    assert_eq!(dpop.log(), ["api: htu", "api: htu"]);
}

#[tokio::test]
async fn an_api_that_asks_for_a_nonce_and_gives_none_is_named() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    dpop.want_api_nonce("one");
    dpop.hide_nonces();
    let error = refused(&session, &server, "/orders").await;
    assert!(error.to_string().contains("gives none"), "{error}");
    assert_eq!(dpop.log(), ["login", "api: nonce"]);
}

#[tokio::test]
async fn a_server_that_takes_no_nonce_or_proof_does_not_cost_the_refresh_token() {
    for (code, what) in [("use_dpop_nonce", "one DPoP nonce after the other"), ("invalid_dpop_proof", "no DPoP proof")]
    {
        let mut refused = 0;
        let dpop = json!({ "access_token": "a", "refresh_token": "r", "token_type": "DPoP", "expires_in": 60 });
        let server = provider(move |request, _| {
            let is_refresh = value(request, "refresh_token").is_some();
            if is_refresh && refused < 2 {
                refused += 1;
                return refusal(code).header("dpop-nonce", &format!("nonce-{refused}"));
            }
            Answer::new(200).json(&dpop)
        });
        let policy = Policy::default();
        let session = Session::builder(login(&server)).policy(policy).build();
        session.token().await.unwrap();
        let mut error = session.refresh_now().await.unwrap_err();
        if code == "invalid_dpop_proof" {
            error = session.refresh_now().await.unwrap_err();
        }
        assert_eq!((error.kind(), error.code()), (ErrorKind::BadAnswer, Some(code)));
        assert!(error.to_string().contains(what), "{error}");
        session.refresh_now().await.unwrap();
        let logins = server
            .seen()
            .into_iter()
            .filter(|request| request.path() == "/token" && value(request, "refresh_token").is_none());
        assert_eq!(logins.count(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_server_that_binds_no_token_is_named() {
    let server = provider(|_, number| tokens(number));
    let error = login(&server).login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("bound to no key"), "{error}");
    assert_eq!(for_tokens(&server.seen()).len(), 1);
}

#[tokio::test]
async fn a_server_that_binds_no_token_at_a_refresh_does_not_cost_the_refresh_token() {
    let server = provider(|_, number| tokens(number));
    let store = Arc::new(MemoryStore::new());
    let plain = OAuth::builder(server.url(""), Grant::jwt_bearer("assertion")).client_auth(ClientAuth::public("app"));
    let before = Session::builder(plain.build().unwrap()).store(Arc::clone(&store), "ada").build();
    before.token().await.unwrap();
    before.flush().await;
    drop(before);
    let session = builder(&server).store(store, "ada").build();
    session.token().await.unwrap();
    for _ in 0..2 {
        let error = session.refresh_now().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadAnswer, "{error}");
        assert!(error.to_string().contains("the refresh brought a token that is bound to no key"), "{error}");
    }
    let seen = server.seen();
    let sent: Vec<_> = for_tokens(&seen).into_iter().map(|request| value(request, "refresh_token")).collect();
    assert_eq!(sent, [None, Some("refresh-0".to_owned()), Some("refresh-1".to_owned())]);
}

#[tokio::test]
async fn a_person_is_not_asked_again_and_again_if_the_server_binds_no_token_or_takes_no_proof() {
    for answer in
        [|number| tokens(number), |_| refusal("invalid_dpop_proof"), |_| Answer::new(200).body("text/plain", "?")]
    {
        let server = provider(move |_, number| answer(number));
        let browser = Browser::default();
        let login = crate::browser::builder(&server, browser.grant(logged_in)).dpop().build().unwrap();
        let policy = Policy::default().login_timeout(MINUTE).backoff(Duration::ZERO, Duration::ZERO);
        let session = Session::builder(login).policy(policy).build();
        for _ in 0..2 {
            let error = session.token().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired, "{error}");
        }
        assert_eq!(browser.opened().len(), 1);
    }
}

#[tokio::test]
async fn a_session_with_a_store_keeps_the_nonces_when_it_refreshes() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    dpop.want_api_nonce("one");
    let session = builder(&server).store(MemoryStore::new(), "ada").build();
    assert_eq!(status(&session, &server).await, 200);
    for _ in 0..2 {
        session.refresh_now().await.unwrap();
        assert_eq!(status(&session, &server).await, 200);
    }
    assert_eq!(dpop.log(), ["login", "api: nonce", "api", "refresh", "api", "refresh", "api"]);
}

#[tokio::test]
async fn another_session_on_the_store_goes_on_with_the_key() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let store = Arc::new(MemoryStore::new());
    let session = builder(&server).store(Arc::clone(&store), "ada").build();
    assert_eq!(status(&session, &server).await, 200);
    session.flush().await;
    drop(session);
    let session = builder(&server).store(store, "ada").build();
    assert_eq!(status(&session, &server).await, 200);
    session.refresh_now().await.unwrap();
    assert_eq!(status(&session, &server).await, 200);
    assert_eq!(dpop.log(), ["login", "api", "api", "refresh", "api"]);
    assert_eq!(dpop.keys(), 1);
}

#[tokio::test]
async fn another_access_token_of_the_login_is_bound_to_the_same_key_also_in_the_store() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let store = Arc::new(MemoryStore::new());
    let (http, rule) = (http_client(), RequestRule::for_origin(server.url("")).unwrap());
    let call = async |session: &Session| {
        let auth = RequestAuth::new(session.audience("files"), rule.clone());
        auth.execute(&http, http.get(server.url("/files")).build().unwrap()).await.unwrap().status()
    };
    let first = builder(&server).store(Arc::clone(&store), "ada").build();
    assert_eq!(status(&first, &server).await, 200);
    assert_eq!(call(&first).await, 200);
    assert_eq!(dpop.log(), ["login", "api", "refresh", "api"]);
    first.flush().await;
    drop(first);
    let second = builder(&server).store(store, "ada").build();
    assert_eq!(call(&second).await, 200);
    second.refresh_now().await.unwrap();
    assert_eq!((call(&second).await.as_u16(), status(&second, &server).await), (200, 200));
    assert_eq!(dpop.log(), ["api", "refresh", "api", "api"]);
    assert_eq!(dpop.keys(), 1);
}

#[tokio::test]
async fn every_client_sends_proofs_and_nonces() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    session.token().await.unwrap();
    let auth = RequestAuth::new(session.clone(), RequestRule::for_origin(server.url("")).unwrap());
    let url = server.url("/orders?page=2");
    let expect = |client: &str| assert_eq!(dpop.log(), ["api: nonce", "api"], "{client}");
    dpop.log();

    #[cfg(feature = "reqwest-middleware")]
    {
        dpop.want_api_nonce("middleware");
        let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(auth.clone()).build();
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
        expect("middleware");
    }
    #[cfg(feature = "tower")]
    {
        use hyper_util::client::legacy::Client;
        use hyper_util::rt::TokioExecutor;
        use tower::{ServiceBuilder, ServiceExt};

        dpop.want_api_nonce("tower");
        let client =
            ServiceBuilder::new().layer(auth.clone()).service(Client::builder(TokioExecutor::new()).build_http());
        let request = http::Request::get(&url).body(http_body_util::Full::new(bytes::Bytes::new())).unwrap();
        assert_eq!(client.oneshot(request).await.unwrap().status(), 200);
        expect("tower");
    }
    #[cfg(feature = "blocking")]
    {
        dpop.want_api_nonce("blocking");
        let (auth, url) = (auth.clone(), url.clone());
        let call = move || {
            let client = reqwest::blocking::Client::new();
            auth.blocking_execute(&client, client.get(&url).build().unwrap()).unwrap().status()
        };
        assert_eq!(tokio::task::spawn_blocking(call).await.unwrap(), 200);
        expect("blocking");
    }
    #[cfg(feature = "ureq")]
    {
        dpop.want_api_nonce("ureq");
        let (runs, target) = (auth.clone(), url.clone());
        let call = move || runs.run(&ureq::agent(), http::Request::get(&target).body(()).unwrap()).unwrap().status();
        assert_eq!(tokio::task::spawn_blocking(call).await.unwrap(), 200);
        expect("ureq");
    }
    drop((auth, url));
}

#[cfg(feature = "ureq")]
#[tokio::test]
async fn a_client_that_sends_a_request_once_has_the_nonce_in_the_next_one() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    dpop.want_api_nonce("one");
    let rule = RequestRule::for_origin(server.url("")).unwrap();
    let auth = RequestAuth::new(builder(&server).build(), rule).ureq_middleware().http_status_as_error(false);
    let url = server.url("/orders");
    let call = move || {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).middleware(auth).build().new_agent();
        [0; 2].map(|_| agent.get(&url).call().unwrap().status().as_u16())
    };
    assert_eq!(tokio::task::spawn_blocking(call).await.unwrap(), [401, 200]);
    assert_eq!(dpop.log(), ["login", "api: nonce", "api"]);
}

#[tokio::test]
async fn the_key_is_shown_nowhere() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let api = login(&server);
    let tokens = api.login().await.unwrap();
    let shown = format!("{api:?} {tokens:?} {:?}", tokens.refresh());
    assert!(!shown.contains("access-1") && !shown.contains("refresh-1") && !shown.contains("PrivateKey"), "{shown}");
    let store = Arc::new(MemoryStore::new());
    let session = builder(&server).store(Arc::clone(&store), "ada").build();
    session.adopt(tokens).await.unwrap();
    let entry = jwt_refresh::store::TokenStore::load(&*store, "ada").await.unwrap().unwrap();
    let entry: serde_json::Value = serde_json::from_slice(&entry.data).unwrap();
    let key = entry["dpop_key"].as_str().unwrap();
    assert_eq!(entry["access"][0]["dpop_key"], key, "the entry has it, which is sealed as a whole");
    assert!(!format!("{shown} {session:?}").contains(key));
}
