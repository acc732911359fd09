//! The Redis store keeps the promises that every store makes.

use jwt_refresh_testkit::conformance;

use crate::server::Server;
use crate::store;

#[tokio::test]
async fn handles_on_one_redis_keep_every_promise() {
    let server = Server::start().await;
    conformance::check(async || store(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_on_one_redis_keep_every_promise_from_many_threads() {
    let server = Server::start().await;
    conformance::check(async || store(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_of_one_handle_keep_every_promise() {
    let server = Server::start().await;
    let store = store(&server);
    conformance::check(async || store.clone()).await;
}
