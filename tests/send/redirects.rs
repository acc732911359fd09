//! A redirect to another host takes no token along. That host says so itself.

use jwt_refresh::{ErrorKind, ExecuteError, RequestAuth, RequestRule, Session};
use jwt_refresh_testkit::{Answer, Route, TestServer};
use reqwest::header::HeaderName;

use crate::api_requests;
use crate::clients::clients;
use crate::support::{World, http_client};

/// A host that answers every request with `status`.
fn elsewhere(status: u16) -> TestServer {
    TestServer::builder().route(Route::get("/here", move |_| Answer::new(status)).public()).start()
}

/// A server that redirects `/away` to the other host, and `/near` to where it wants a token.
fn redirecting(to: &TestServer) -> World {
    let there = to.url("/here");
    let away = Route::get("/away", move |_| Answer::new(302).header("location", &there)).public();
    let near = Route::get("/near", |_| Answer::new(302).header("location", "/landed")).public();
    let landed = Route::get("/landed", |_| Answer::new(200));
    World::with(TestServer::builder().route(away).route(near).route(landed).start())
}

/// What the last request at a host had in a header.
fn seen(host: &TestServer, header: &str) -> Option<String> {
    host.requests().last().unwrap().header(header).map(str::to_owned)
}

#[tokio::test]
async fn a_redirect_to_another_host_carries_no_token() {
    for (name, client) in clients::<Session>() {
        let other = elsewhere(204);
        let world = redirecting(&other);
        let client = client(world.logged_in().await, world.rule());
        assert_eq!(client.get(world.server.url("/away")).await.unwrap(), 204, "{name}");
        assert!(seen(&world.server, "authorization").is_some(), "{name}");
        assert_eq!(seen(&other, "authorization"), None, "{name}");
        // ureq takes the token along to no redirect.
        let landed = if name == "blocking ureq" { 401 } else { 200 };
        assert_eq!(client.get(world.server.url("/near")).await.unwrap(), landed, "{name}");
        assert_eq!(world.server.stats().refreshes, 0, "{name}");
    }
}

#[tokio::test]
async fn a_401_of_the_host_that_a_redirect_leads_to_does_not_renew_the_token() {
    for (name, client) in clients::<Session>().into_iter().filter(|(name, _)| *name != "attribute") {
        let other = elsewhere(401);
        let world = redirecting(&other);
        let client = client(world.logged_in().await, world.rule());
        assert_eq!(client.get(world.server.url("/away")).await.unwrap(), 401, "{name}");
        assert_eq!((other.requests().len(), world.server.stats().refreshes), (1, 0), "{name}");
    }
}

fn key_rule(world: &World) -> RequestRule {
    world.rule().header(HeaderName::from_static("x-key")).scheme("").unwrap()
}

#[tokio::test]
async fn a_token_in_another_header_is_not_sent_by_a_client_that_would_take_it_elsewhere() {
    let other = elsewhere(204);
    let world = redirecting(&other);
    let auth = RequestAuth::new(world.logged_in().await, key_rule(&world));
    let http = http_client();
    let request = http.get(world.server.url("/away")).build().unwrap();
    let ExecuteError::Auth(error) = auth.execute(&http, request).await.unwrap_err() else { panic!("an error of ours") };
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("redirect_policy()"), "{error}");
    assert_eq!((api_requests(&world.server).len(), other.requests().len()), (0, 0));
}

#[tokio::test]
async fn with_the_policy_of_its_rule_a_client_takes_another_header_to_its_origin_only() {
    let other = elsewhere(204);
    let world = redirecting(&other);
    let mut rule = key_rule(&world);
    let http = reqwest::Client::builder().no_proxy().redirect(rule.redirect_policy()).build().unwrap();
    let auth = RequestAuth::new(world.logged_in().await, rule);
    let get = async |path: &str| {
        let request = http.get(world.server.url(path)).build().unwrap();
        auth.execute(&http, request).await.unwrap().status().as_u16()
    };
    assert_eq!(get("/away").await, 302, "the redirect is handed on");
    assert_eq!(other.requests().len(), 0);
    // There the server wants the token in `Authorization`.
    assert_eq!(get("/near").await, 401);
    assert_eq!(world.server.requests().last().unwrap().path(), "/landed");
    assert!(seen(&world.server, "x-key").is_some_and(|key| !key.starts_with("Bearer")));
}
