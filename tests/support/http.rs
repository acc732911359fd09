//! HTTP clients, calls of the test server's API, and ports.

use std::net::TcpListener;

use jwt_refresh::AccessToken;
use jwt_refresh_testkit::TestServer;

/// An HTTP client that connects to the server itself, whatever proxy the environment names.
pub(crate) fn http_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Calls the API with `token`, and returns the status of the answer.
pub(crate) async fn call_api(server: &TestServer, token: &AccessToken) -> u16 {
    let request = http_client().get(server.url("/api/v1/products/1")).header("authorization", token);
    request.send().await.unwrap().status().as_u16()
}

/// A port of this machine on which nothing listens.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
