//! The Redis store passes the conformance suite.

use jwt_refresh_testkit::conformance::check;

use crate::store;
use crate::support::RedisServer;

#[tokio::test]
async fn handles_with_connections_of_their_own_pass_the_conformance_suite() {
    let server = RedisServer::start().await;
    check(async || store(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_on_many_threads_pass_the_conformance_suite() {
    let server = RedisServer::start().await;
    check(async || store(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_of_one_handle_pass_the_conformance_suite() {
    let server = RedisServer::start().await;
    let store = store(&server);
    check(async || store.clone()).await;
}
