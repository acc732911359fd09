//! The requests that the server received, as a test sees them.

use jwt_refresh_testkit::{Endpoint, Fault, Route, TestServer, Times};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{setup, setup_with};

#[tokio::test]
async fn requests_can_be_looked_at_with_method_path_headers_and_body() {
    let setup = setup_with(TestServer::builder().route(Route::post("/orders/{id}", |_| json!(null))));
    let tokens = setup.login().await;
    let request = setup.http.post(setup.server.url("/orders/7?dry=yes")).bearer_auth(&tokens.access);
    request.header("X-Trace", "abc").json(&json!({ "n": 2 })).send().await.expect("an answer");

    let requests = setup.server.requests();
    let paths: Vec<_> = requests.iter().map(|request| (request.method(), request.path())).collect();
    assert_eq!(paths, [("POST", "/api/auth/login"), ("POST", "/orders/7")]);
    let [login, order] = &requests[..] else { panic!("two requests") };
    assert_eq!(login.json::<Value>().expect("JSON")["email"], setup.server.email());
    assert_eq!(login.account(), None);
    assert_eq!((order.param("id"), order.query("dry")), ("7", Some("yes")));
    assert_eq!(order.header("x-trace"), Some("abc"));
    assert_eq!(order.header("authorization"), Some(format!("Bearer {}", tokens.access).as_str()));
    assert_eq!(order.body(), br#"{"n":2}"#);
    assert_eq!(order.account(), Some(setup.server.email()));
}

#[tokio::test]
async fn requests_are_kept_even_if_they_are_refused_or_a_fault_is_applied_or_there_is_no_route() {
    let setup = setup();
    setup.call(Method::GET, "/api/v1/products/1", "bad").await;
    setup.server.inject(Endpoint::Login, Fault::DropConnection, Times::Once);
    assert!(setup.try_login().await.is_err());
    setup.call(Method::PUT, "/nowhere", "bad").await;
    let paths: Vec<_> = setup.server.requests().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(paths, ["/api/v1/products/1", "/api/auth/login", "/nowhere"]);
}

#[tokio::test]
async fn debug_output_of_a_request_contains_no_secret() {
    let setup = setup();
    let tokens = setup.login().await;
    let url = setup.server.url("/api/v1/products/1?api_key=s3cret1");
    let request = setup.http.patch(url).bearer_auth(&tokens.access);
    let request = request.header("Cookie", "s3cret2").header("X-Api-Key", "s3cret3").json("s3cret4");
    request.send().await.expect("an answer");

    let shown = format!("{:?}", setup.server.requests());
    for secret in ["s3cret", &tokens.access, setup.server.password()] {
        assert!(!shown.contains(secret), "{shown}");
    }
    for visible in ["PATCH", "/api/v1/products/1", "api_key", "x-api-key", "application/json", "9 bytes", "[redacted]"]
    {
        assert!(shown.contains(visible), "{visible} is missing in {shown}");
    }
}

#[tokio::test]
#[should_panic(expected = "no {id} in the route of POST /api/auth/login")]
async fn asking_for_a_part_of_the_path_that_the_route_does_not_have_panics() {
    let setup = setup();
    setup.login().await;
    setup.server.requests()[0].param("id");
}
