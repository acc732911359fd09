//! Tokens that are bound to how their login came.

use jwt_refresh_testkit::{TestServer, TokenBinding};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::json;

use crate::client::{Setup, Tokens, ok_json, setup_with};

fn setup(binding: TokenBinding) -> Setup {
    setup_with(TestServer::builder().bind_tokens(binding))
}

fn login(setup: &Setup, http: &Client) -> RequestBuilder {
    let credentials = json!({"email": setup.server.email(), "password": setup.server.password()});
    http.post(setup.server.url("/api/auth/login")).json(&credentials)
}

async fn statuses(
    setup: &Setup,
    http: &Client,
    tokens: &Tokens,
    change: fn(RequestBuilder) -> RequestBuilder,
) -> [u16; 2] {
    let call = http.get(setup.server.url("/api/v1/products/1")).bearer_auth(&tokens.access);
    let refresh = http.post(setup.server.url("/api/auth/refresh")).json(&json!({"refresh_token": tokens.refresh}));
    let status = async |request: RequestBuilder| change(request).send().await.expect("an answer").status().as_u16();
    [status(call).await, status(refresh).await]
}

#[tokio::test]
async fn tokens_bound_to_a_header_are_refused_with_another_one_and_not_spent() {
    let setup = setup(TokenBinding::Header("user-agent".to_owned()));
    let answer = login(&setup, &setup.http).header("user-agent", "a").send().await;
    let tokens = Tokens::from(&ok_json(answer).await);
    for other in [|request: RequestBuilder| request, |request: RequestBuilder| request.header("user-agent", "b")] {
        assert_eq!(statuses(&setup, &setup.http, &tokens, other).await, [401, 400]);
    }
    assert_eq!(statuses(&setup, &setup.http, &tokens, |request| request.header("user-agent", "a")).await, [200, 200]);
    assert_eq!(setup.server.stats().reuses, 0);
}

#[tokio::test]
async fn a_login_without_the_cookie_is_given_one_to_which_its_tokens_are_bound() {
    let setup = setup(TokenBinding::Cookie("device".to_owned()));
    let answer = login(&setup, &setup.http).send().await.expect("an answer");
    let cookie = answer.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned();
    let tokens = Tokens::from(&ok_json(Ok(answer)).await);
    assert_eq!(statuses(&setup, &setup.http, &tokens, |request| request).await, [401, 400]);
    let call = setup.http.get(setup.server.url("/api/v1/products/1")).bearer_auth(&tokens.access);
    assert_eq!(
        call.header("cookie", format!("a=b; {cookie}")).send().await.expect("an answer").status(),
        StatusCode::OK
    );

    let answer = login(&setup, &setup.http).header("cookie", "device=d7").send().await.expect("an answer");
    assert!(!answer.headers().contains_key("set-cookie"));
    let tokens = Tokens::from(&ok_json(Ok(answer)).await);
    assert_eq!(
        statuses(&setup, &setup.http, &tokens, |request| request.header("cookie", "device=d7")).await,
        [200, 200]
    );
}

#[cfg(target_os = "linux")] // which has all of 127.0.0.0/8
#[tokio::test]
async fn tokens_bound_to_the_address_are_refused_from_another_one() {
    let setup = setup(TokenBinding::Address);
    let elsewhere = Client::builder().local_address(std::net::IpAddr::from([127, 0, 0, 2])).build().expect("a client");
    let tokens = Tokens::from(&ok_json(login(&setup, &elsewhere).send().await).await);
    assert_eq!(statuses(&setup, &setup.http, &tokens, |request| request).await, [401, 400]);
    assert_eq!(statuses(&setup, &elsewhere, &tokens, |request| request).await, [200, 200]);
    let peers: Vec<_> = setup.server.requests().iter().map(|request| request.peer().to_string()).collect();
    assert_eq!(peers, ["127.0.0.2", "127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"]);
}
