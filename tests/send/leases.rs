//! Requests with a lease of a pool.

use jwt_refresh::pool::Pool;
use jwt_refresh::{RequestAuth, TokenProvider};
use jwt_refresh_testkit::TestServer;
use reqwest::Request;

use crate::support::{HOUR, World, account, http_client, until, with_accounts};
use crate::{Cost, PRODUCT, cost};

/// A pool of one account that may have one call at a time.
async fn pool_of_one() -> (World, RequestAuth<Pool>) {
    let world = World::with(with_accounts(TestServer::builder().access_lifetime(HOUR), 1).start());
    let pool = Pool::builder().clock(&world.clock).account(account(&world.server, 0).concurrency(1)).build().unwrap();
    until("the account serves", async || pool.status().active == 1).await;
    let auth = RequestAuth::new(pool, world.rule());
    (world, auth)
}

fn request(world: &World) -> Request {
    Request::new(reqwest::Method::GET, world.server.url(PRODUCT).parse().unwrap())
}

fn is_leased(auth: &RequestAuth<Pool>) -> bool {
    TokenProvider::ready(auth.provider()).is_none()
}

#[tokio::test]
async fn a_lease_is_held_until_the_body_of_the_answer_is_dropped() {
    let (world, auth) = pool_of_one().await;
    let response = auth.execute(&http_client(), request(&world)).await.unwrap();
    assert_eq!(response.url().as_str(), world.server.url(PRODUCT));
    assert!(response.remote_addr().is_some() && response.content_length().is_some());
    assert!(is_leased(&auth));
    let body = response.bytes().await.unwrap();
    assert!(!body.is_empty() && !is_leased(&auth));

    let body: reqwest::Body = auth.execute(&http_client(), request(&world)).await.unwrap().into();
    assert!(is_leased(&auth), "the head is gone, and the body is not");
    drop(body);
    assert!(!is_leased(&auth));
}

#[tokio::test]
async fn a_rejected_lease_is_reported_and_frees_its_slot_for_the_retry() {
    let (world, auth) = pool_of_one().await;
    world.server.rotate_signing_key();
    assert_eq!(auth.execute(&http_client(), request(&world)).await.unwrap().status(), 200);
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 1, logins: 1, refreshes: 1 });
    assert!(!is_leased(&auth));
}

#[tokio::test]
async fn a_request_that_is_dropped_gives_its_lease_back() {
    let (world, auth) = pool_of_one().await;
    drop(auth.execute(&http_client(), request(&world)));
    let http = http_client();
    let unreachable = http.get(world.server.url(PRODUCT)).timeout(std::time::Duration::ZERO).build().unwrap();
    auth.execute(&http, unreachable).await.unwrap_err();
    assert!(!is_leased(&auth));
}

#[cfg(feature = "blocking")]
#[tokio::test]
async fn a_blocking_answer_holds_its_lease() {
    let (world, auth) = pool_of_one().await;
    let (url, of_task) = (world.server.url(PRODUCT), auth.clone());
    let work = move || {
        let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        let response = of_task.blocking_execute(&http, http.get(url).build().unwrap()).unwrap();
        assert!(is_leased(&of_task));
        drop(response);
    };
    tokio::task::spawn_blocking(work).await.unwrap();
    assert!(!is_leased(&auth));
}
