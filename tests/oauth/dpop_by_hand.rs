//! Requests by hand with tokens that are bound to a key (DPoP, RFC 9449).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jwt_refresh::Observed;
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::Answer;
use serde_json::Value;

use crate::dpop::builder;
use crate::dpop_server::DpopServer;
use crate::server::Server;
use crate::support::{BoxError, http_client};

#[tokio::test]
async fn a_request_that_gets_its_token_by_hand_has_a_proof_too() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let session = builder(&server).build();
    let token = session.token().await.unwrap();
    let http = http_client();
    let url = server.url("/orders");
    let request = http.put(&url).bearer(&token).query(&[("page", "2")]).body("a");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let request = http::Request::delete(&url).bearer(&token).body("").unwrap();
    assert_eq!(http.execute(request.try_into().unwrap()).await.unwrap().status(), 200);
    assert_eq!(dpop.log(), ["login", "api", "api"]);
    // What cannot make proofs is refused.
    let plain = http.get(&url).header("authorization", token.header()).send().await.unwrap();
    assert_eq!((plain.status().as_u16(), dpop.log()), (401, vec!["api: no proof".to_owned()]));
}

/// Calls an API by methods whose requests get their token by hand.
struct Orders {
    http: reqwest::Client,
    url: String,
    session: Session,
}

#[refresh_token]
impl Orders {
    #[refresh_token(token, retry)]
    async fn response(&self) -> Result<reqwest::Response, BoxError> {
        Ok(self.http.get(&self.url).bearer(&token).send().await?)
    }

    #[refresh_token(token)]
    async fn observed(&self) -> Result<reqwest::Response, BoxError> {
        Ok(self.http.get(&self.url).bearer(&token).send().await?.observed(&token).error_for_status()?)
    }
}

#[tokio::test]
async fn a_method_that_returns_the_response_runs_again_with_the_nonce_and_without_a_refresh() {
    let dpop = DpopServer::default();
    let server = dpop.start();
    let orders = Orders { http: http_client(), url: server.url("/orders"), session: builder(&server).build() };
    dpop.want_api_nonce("one");
    for _ in 0..2 {
        assert_eq!(orders.response().await.unwrap().status(), 200);
    }
    assert_eq!(dpop.log(), ["login", "api: nonce", "api", "api"]);
    dpop.want_api_nonce("two");
    orders.observed().await.unwrap_err();
    assert_eq!(orders.observed().await.unwrap().status(), 200);
    assert_eq!(dpop.log(), ["api: nonce", "api"]);
    dpop.want_ever_newer_api_nonces();
    assert_eq!(orders.response().await.unwrap().status(), 401);
    assert_eq!(dpop.log(), ["api: nonce", "api: nonce"]);
}

/// An API that takes each token whose proof has this nonce.
fn api_that_wants(nonce: &'static str) -> Server {
    Server::start(move |request, _| {
        let claims = request.header("dpop").split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let refused = || Answer::new(401).header("www-authenticate", r#"DPoP error="use_dpop_nonce""#);
        match request.path() {
            path if path.starts_with("/to/") => Answer::new(307).header("location", &format!("http://{}", &path[4..])),
            _ if claims["nonce"] == nonce => Answer::new(200),
            _ => refused().header("dpop-nonce", nonce),
        }
    })
}

#[tokio::test]
async fn a_nonce_is_kept_for_the_api_that_gave_it_whatever_was_sent_meanwhile() {
    let login = DpopServer::default().start();
    let token = builder(&login).build().token().await.unwrap();
    let (apis, http) = ([api_that_wants("one"), api_that_wants("two")], http_client());
    for expected in [401, 200] {
        let requests = apis.each_ref().map(|api| http.get(api.url("/orders")).bearer(&token));
        for request in requests {
            assert_eq!(request.send().await.unwrap().observed(&token).status(), expected);
        }
    }
}

#[tokio::test]
async fn a_nonce_that_comes_after_a_redirect_is_kept_for_the_api_that_gave_it() {
    let login = DpopServer::default().start();
    let token = builder(&login).build().token().await.unwrap();
    let (one, two, http) = (api_that_wants("one"), api_that_wants("two"), http_client());
    let call = async |url: String| http.get(url).bearer(&token).send().await.unwrap().observed(&token).status();
    let moved = one.url(&two.url("/orders").replace("http://", "/to/"));
    assert_eq!(call(moved).await, 401);
    assert_eq!(call(two.url("/orders")).await, 200);
}
