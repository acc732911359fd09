//! A machine whose clock is off. Servers check the times in what it signs against their own.

use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_refresh::oauth::{Grant, OAuth, SigningKey};
use jwt_refresh::prelude::*;
use jwt_refresh::{Authenticator, ClientAuth, ErrorKind, ExecuteError};
use serde_json::Value;

use crate::browser::{Browser, logged_in};
use crate::dpop::builder;
use crate::dpop_server::DpopServer;
use crate::provider::{for_tokens, provider, refusal, tokens, value};
use crate::server::Server;
use crate::support::{BoxError, http_client};

/// Longer than any server allows, on either side.
const OFF: [i64; 2] = [400, -400];

async fn call(session: &Session, server: &Server) -> Result<u16, ExecuteError> {
    let http = http_client();
    let request = http.post(server.url("/orders")).body("a").build().unwrap();
    Ok(session.execute(&http, request).await?.status().as_u16())
}

#[tokio::test]
async fn a_proof_that_is_refused_is_made_anew_by_the_time_of_the_server() {
    for seconds in OFF {
        let dpop = DpopServer::default();
        dpop.set_clock_ahead(seconds);
        let server = dpop.start();
        let session = builder(&server).build();
        for _ in 0..2 {
            assert_eq!(call(&session, &server).await.unwrap(), 200, "{seconds}");
        }
        session.refresh_now().await.unwrap();
        assert_eq!(call(&session, &server).await.unwrap(), 200, "{seconds}");
        assert_eq!(dpop.log(), ["login: iat", "login", "api: iat", "api", "api", "refresh", "api"], "{seconds}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_right_later_is_followed() {
    let dpop = DpopServer::default();
    dpop.set_clock_ahead(400);
    let server = dpop.start();
    let session = builder(&server).build();
    assert_eq!(call(&session, &server).await.unwrap(), 200);
    dpop.log();
    dpop.set_clock_ahead(0);
    assert_eq!(call(&session, &server).await.unwrap(), 200);
    session.refresh_now().await.unwrap();
    assert_eq!(call(&session, &server).await.unwrap(), 200);
    assert_eq!(dpop.log(), ["api: iat", "api", "refresh: iat", "refresh", "api"]);
}

#[tokio::test]
async fn a_nonce_may_be_asked_for_beside_the_time() {
    let dpop = DpopServer::default();
    dpop.set_clock_ahead(-400);
    let server = dpop.start();
    let session = builder(&server).build();
    session.token().await.unwrap();
    dpop.want_api_nonce("one");
    assert_eq!(call(&session, &server).await.unwrap(), 200);
    assert_eq!(dpop.log(), ["login: iat", "login", "api: iat", "api: nonce", "api"]);
}

fn signing_key() -> SigningKey {
    SigningKey::pem(crate::private_key::ec(&ECDSA_P256_SHA256_FIXED_SIGNING).0)
}

struct Orders {
    http: reqwest::Client,
    url: String,
    session: Session,
}

impl Orders {
    #[refresh_token(token, retry)]
    async fn get(&self) -> Result<reqwest::Response, BoxError> {
        Ok(self.http.get(&self.url).bearer(&token).send().await?)
    }
}

#[tokio::test]
async fn a_method_that_returns_the_response_runs_again_with_a_proof_by_the_time_of_the_api() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    session.token().await.unwrap();
    dpop.set_clock_ahead(400);
    let orders = Orders { http: http_client(), url: server.url("/orders"), session };
    assert_eq!(orders.get().await.unwrap().status(), 200);
    assert_eq!(orders.get().await.unwrap().status(), 200);
    assert_eq!(dpop.log(), ["login", "api: iat", "api", "api"]);
}

#[tokio::test]
async fn what_is_refused_for_another_reason_is_sent_twice_at_most_whatever_the_time_of_the_api() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    session.token().await.unwrap();
    dpop.log();
    dpop.set_clock_ahead(400);
    let http = http_client();
    for _ in 0..2 {
        // reqwest takes the proof for the first URL along.
        let request = http.get(server.url("/moved")).build().unwrap();
        let Err(ExecuteError::Auth(error)) = session.execute(&http, request).await else { panic!("refused") };
        assert_eq!((error.kind(), error.code()), (ErrorKind::BadAnswer, Some("invalid_dpop_proof")));
        assert!(dpop.log().len() <= 2);
    }
    assert_eq!(call(&session, &server).await.unwrap(), 200);
}

#[tokio::test]
async fn a_person_whose_machine_has_another_time_logs_in_once() {
    for seconds in OFF {
        let (dpop, browser) = (DpopServer::default(), Browser::default());
        dpop.set_clock_ahead(seconds);
        let server = dpop.start();
        let login = crate::browser::builder(&server, browser.grant(logged_in)).dpop().build().unwrap();
        login.login().await.unwrap();
        assert_eq!(dpop.log(), ["login: iat", "login"]);
        assert_eq!(browser.opened().len(), 1);
    }
}

#[tokio::test]
async fn the_jwt_by_which_a_client_authenticates_is_made_anew_by_the_time_of_the_server() {
    for seconds in OFF {
        let now = move || {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().strict_add_signed(seconds)
        };
        let server = provider(move |request, number| {
            let assertion = value(request, "client_assertion").unwrap();
            let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
            let claims: Value = serde_json::from_slice(&claims).unwrap();
            let (iat, exp) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
            let answer = if iat > now() + 30 || exp < now() { refusal("invalid_client") } else { tokens(number) };
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs(now());
            answer.header("date", &httpdate::fmt_http_date(date))
        });
        let login = OAuth::builder(server.url(""), Grant::jwt_bearer("assertion"));
        let session = Session::new(login.private_key_jwt("catalog", signing_key()).build().unwrap());
        session.token().await.unwrap();
        session.refresh_now().await.unwrap();
        assert_eq!(for_tokens(&server.seen()).len(), 3, "{seconds}");
    }
}

#[tokio::test]
async fn a_client_that_is_refused_for_another_reason_is_refused_at_once() {
    let server = provider(|_, _| refusal("invalid_client"));
    let login = OAuth::builder(server.url(""), Grant::client_credentials());
    let login = login.private_key_jwt("catalog", signing_key()).build().unwrap();
    assert_eq!(login.login().await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(for_tokens(&server.seen()).len(), 1);
    // A date that cannot be right.
    let server = provider(|_, _| refusal("invalid_client").header("date", "Thu, 01 Jan 1970 00:00:00 GMT"));
    let login = OAuth::builder(server.url(""), Grant::client_credentials()).client_auth(ClientAuth::public("app"));
    assert_eq!(login.build().unwrap().login().await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(for_tokens(&server.seen()).len(), 1, "nothing in it has a time");
}
