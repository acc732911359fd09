//! HTTP clients, and calls of the test server's API.

use std::time::SystemTime;

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

/// Whether the API takes `token`, or it has expired on the way, as one that lives for seconds may
/// on a busy machine.
pub(crate) async fn is_served(server: &TestServer, token: &AccessToken) -> bool {
    let status = call_api(server, token).await;
    status == 200 || token.expires_at().is_some_and(|until| until <= SystemTime::now())
}
