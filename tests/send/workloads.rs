//! The same workloads through each client.

use jwt_refresh::RequestAuth;
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::{Answer, Endpoint, Fault, Route, TestServer, Times};

use crate::clients::{Client, clients};
use crate::support::{PAST_EXPIRY, World, http_client, until};
use crate::{Cost, PRODUCT, api_requests, cost};

/// Runs a workload through each client, on a server and a session of its own, and compares what it
/// cost.
async fn compare(expected: Cost, workload: impl AsyncFn(&World, &Session, &dyn Client)) {
    compare_some(&|_| true, expected, workload).await;
}

/// Does the same with the clients whose names are meant.
pub(crate) async fn compare_some(
    is_meant: &dyn Fn(&str) -> bool,
    expected: Cost,
    workload: impl AsyncFn(&World, &Session, &dyn Client),
) {
    for (name, client) in clients::<Session>().into_iter().filter(|(name, _)| is_meant(name)) {
        let world = World::new();
        let session = world.logged_in().await;
        workload(&world, &session, &*client(session.clone(), world.rule())).await;
        assert_eq!(cost(&world.server), expected, "{name}");
    }
}

pub(crate) async fn get(world: &World, client: &dyn Client) -> u16 {
    client.get(world.server.url(PRODUCT)).await.unwrap()
}

#[tokio::test]
async fn a_token_that_has_expired_is_renewed_before_the_request_is_sent() {
    compare(Cost { calls: 2, rejected: 0, logins: 1, refreshes: 1 }, async |world, _, client| {
        assert_eq!(get(world, client).await, 200);
        world.pass(PAST_EXPIRY);
        assert_eq!(get(world, client).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_rejected_once_is_renewed_and_the_request_sent_again() {
    compare(Cost { calls: 1, rejected: 1, logins: 1, refreshes: 1 }, async |world, _, client| {
        world.server.rotate_signing_key();
        assert_eq!(get(world, client).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_request_whose_tokens_are_all_rejected_is_sent_twice_and_answered_401() {
    compare(Cost { calls: 0, rejected: 2, logins: 1, refreshes: 1 }, async |world, _, client| {
        world.server.reject_access_tokens(true);
        assert_eq!(get(world, client).await, 401);
    })
    .await;
}

#[tokio::test]
async fn endless_rejections_cost_as_few_refreshes_as_with_the_attribute() {
    let mut refreshes = Vec::new();
    for (_, client) in clients::<Session>() {
        let world = World::new();
        let client = client(world.logged_in().await, world.rule());
        world.server.reject_access_tokens(true);
        for _ in 0..100 {
            // From the fifth rejection of a new token on, the session says that it stops renewing.
            let _ = client.get(world.server.url(PRODUCT)).await;
        }
        refreshes.push(cost(&world.server));
    }
    assert!(refreshes[0].refreshes < 10, "{refreshes:?}");
    assert!(refreshes.iter().all(|others| others.refreshes == refreshes[0].refreshes), "{refreshes:?}");
}

#[tokio::test]
async fn a_request_that_is_not_answered_says_nothing_about_the_token() {
    compare(Cost { calls: 1, rejected: 0, logins: 1, refreshes: 0 }, async |world, _, client| {
        world.server.inject(Endpoint::Api, Fault::DropConnection, Times::Once);
        client.get(world.server.url(PRODUCT)).await.unwrap_err();
        assert_eq!(get(world, client).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_stream_is_sent_once_and_its_401_handed_on_while_the_token_is_renewed_for_the_next() {
    let world = World::new();
    let session = world.logged_in().await;
    let auth = RequestAuth::new(session.clone(), world.rule());
    let http = http_client();
    world.server.rotate_signing_key();
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("a"), Ok("b")]);
    let request = http.get(world.server.url(PRODUCT)).body(reqwest::Body::wrap_stream(pieces)).build().unwrap();
    assert_eq!(auth.execute(&http, request).await.unwrap().status(), 401);
    until("the token is renewed", async || session.stats().refreshes == 1).await;
    let request = http.get(world.server.url(PRODUCT)).body("a body").build().unwrap();
    assert_eq!(auth.execute(&http, request).await.unwrap().status(), 200);
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 1, logins: 1, refreshes: 1 });
}

#[tokio::test]
async fn a_body_that_can_be_copied_arrives_whole_after_a_rejection() {
    let world = World::with(TestServer::builder().route(Route::post("/orders", |_| Answer::new(201))).start());
    let session = world.logged_in().await;
    let http = http_client();
    world.server.rotate_signing_key();
    let request = http.post(world.server.url("/orders")).body("a body").build().unwrap();
    assert_eq!(session.execute(&http, request).await.unwrap().status(), 201);
    let bodies: Vec<_> = api_requests(&world.server).iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [b"a body", b"a body"]);
}

#[cfg(feature = "reqwest-middleware")]
#[tokio::test]
async fn a_stream_through_the_middleware_is_sent_once_and_its_401_handed_on() {
    let world = World::new();
    let session = world.logged_in().await;
    let client = crate::clients::middleware(RequestAuth::new(session.clone(), world.rule()));
    world.server.rotate_signing_key();
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("a"), Ok("b")]);
    let request = client.get(world.server.url(PRODUCT)).body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(request.send().await.unwrap().status(), 401);
    until("the token is renewed", async || session.stats().refreshes == 1).await;
    assert_eq!(client.get(world.server.url(PRODUCT)).body("a body").send().await.unwrap().status(), 200);
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 1, logins: 1, refreshes: 1 });
}

#[cfg(feature = "blocking")]
#[test]
fn a_stream_of_the_blocking_client_is_sent_once_and_its_401_handed_on() {
    use reqwest::blocking::{Body, Client};

    let world = World::new();
    let session = world.session().blocking_connect().unwrap();
    let auth = RequestAuth::new(session.clone(), world.rule());
    let http = Client::builder().no_proxy().build().unwrap();
    world.server.rotate_signing_key();
    let post = |body: Body| {
        let request = http.get(world.server.url(PRODUCT)).body(body).build().unwrap();
        auth.blocking_execute(&http, request).unwrap().status().as_u16()
    };
    assert_eq!(post(Body::new(&b"a stream"[..])), 401);
    crate::support::until_blocking("the token is renewed", || session.stats().refreshes == 1);
    world.server.rotate_signing_key();
    assert_eq!(post(Body::from("a body")), 200);
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 2, logins: 1, refreshes: 2 });
}
