//! Routes of a test's own: what reaches them, and what the server does before they answer.

use std::time::Duration;

use jwt_refresh_testkit::{Answer, Builder, Endpoint, Fault, ReceivedRequest, Route, StartError, TestServer, Times};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::client::{Setup, ok_json, setup, setup_with};

const HOUR: Duration = Duration::from_secs(3600);

type Echo = fn(&ReceivedRequest) -> Value;

/// Returns a builder with a route that tells what it got.
fn echo(route: fn(&str, Echo) -> Route, path: &str) -> Builder {
    TestServer::builder().route(route(path, |request| {
        json!({
            "method": request.method(),
            "path": request.path(),
            "body": String::from_utf8_lossy(request.body()),
            "account": request.account(),
        })
    }))
}

async fn get(setup: &Setup, path: &str) -> Response {
    let token = setup.login().await.access;
    setup.call(Method::GET, path, &token).await
}

#[tokio::test]
async fn every_method_reaches_its_own_route_with_its_body() {
    let answer = |request: &ReceivedRequest| json!([request.method(), request.json::<Value>().ok()]);
    let setup = setup_with(
        TestServer::builder()
            .route(Route::get("/things", answer))
            .route(Route::post("/things", answer))
            .route(Route::put("/things", answer))
            .route(Route::patch("/things", answer))
            .route(Route::delete("/things", answer))
            .route(Route::new("PROPFIND", "/things", answer)),
    );
    let token = setup.login().await.access;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = setup.http.request(method.clone(), setup.server.url("/things")).bearer_auth(&token);
        let answer = ok_json(request.json(&json!({ "n": 1 })).send().await).await;
        assert_eq!(answer, json!([method.as_str(), { "n": 1 }]));
    }
    assert_eq!(setup.server.stats().api_calls, 6);
    assert_eq!(setup.server.account_stats(setup.server.email()).api_calls, 6);
}

#[tokio::test]
async fn a_closure_gets_the_parts_of_the_path_and_of_the_query_decoded() {
    let answer = |request: &ReceivedRequest| {
        json!([request.param("shop"), request.param("file"), request.query("q"), request.query("none")])
    };
    let setup = setup_with(TestServer::builder().route(Route::get("/shops/{shop}/files/{*file}", answer)));
    let answer = get(&setup, "/shops/caf%C3%A9/files/a/b%20c.txt?q=x%26y+z&q=2").await;
    assert_eq!(ok_json(Ok(answer)).await, json!(["café", "a/b c.txt", "x&y z", null]));
}

#[tokio::test]
async fn an_upload_of_several_megabytes_arrives_whole() {
    let setup = setup_with(echo(Route::put, "/files/{name}"));
    let token = setup.login().await.access;
    let file = "0123456789".repeat(500_000);
    let request = setup.http.put(setup.server.url("/files/big")).bearer_auth(token).body(file.clone());
    assert!(ok_json(request.send().await).await["body"] == file.as_str(), "the file was changed on its way");
}

#[tokio::test]
async fn an_answer_has_the_status_headers_and_body_of_the_closure() {
    let answers = TestServer::builder()
        .route(Route::post("/made", |_| Answer::new(201).header("Location", "/made/1").json(&json!({ "id": 1 }))))
        .route(Route::get("/table", |_| Answer::new(200).body("text/csv", "a,b\n")))
        .route(Route::delete("/made/{id}", |_| Answer::new(204)));
    let setup = setup_with(answers);
    let token = setup.login().await.access;

    let made = setup.call(Method::POST, "/made", &token).await;
    assert_eq!((made.status(), &made.headers()[header::LOCATION]), (StatusCode::CREATED, &"/made/1".parse().unwrap()));
    assert_eq!(made.json::<Value>().await.expect("JSON"), json!({ "id": 1 }));
    let table = setup.call(Method::GET, "/table", &token).await;
    assert_eq!(table.headers()[header::CONTENT_TYPE], "text/csv");
    assert_eq!(table.text().await.expect("text"), "a,b\n");
    assert_eq!(setup.call(Method::DELETE, "/made/1", &token).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_closure_keeps_state_of_its_own() {
    let mut calls = 0;
    let setup = setup_with(TestServer::builder().route(Route::get("/count", move |_| {
        calls += 1;
        json!(calls)
    })));
    for expected in 1..=3 {
        assert_eq!(ok_json(Ok(get(&setup, "/count").await)).await, expected);
    }
}

#[tokio::test]
async fn a_closure_that_panics_is_answered_500_with_what_it_said_and_the_server_goes_on() {
    let mut calls = 0;
    let setup = setup_with(TestServer::builder().route(Route::get("/odd", move |_| {
        calls += 1;
        assert!(calls != 1, "not on the first call");
        json!(calls)
    })));
    let answer = get(&setup, "/odd").await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let error: Value = answer.json().await.expect("JSON");
    assert_eq!(error, json!({ "error": "closure_panicked", "error_description": "not on the first call" }));
    assert_eq!(ok_json(Ok(get(&setup, "/odd").await)).await, 2);
}

#[tokio::test]
async fn a_route_needs_a_token_unless_it_is_public() {
    let builder = echo(Route::get, "/mine").route(Route::get("/open", |_| json!("open")).public());
    let setup = setup_with(builder);
    let bare = async |path| setup.http.get(setup.server.url(path)).send().await.expect("an answer");
    assert_eq!(bare("/mine").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bare("/open").await.status(), StatusCode::OK);
    assert_eq!(setup.call(Method::GET, "/mine", "bad").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(setup.call(Method::GET, "/open", "bad").await.status(), StatusCode::OK);
    assert_eq!(ok_json(Ok(get(&setup, "/mine").await)).await["account"], setup.server.email());
    let stats = setup.server.stats();
    assert_eq!((stats.api_calls, stats.rejected), (3, 2));
}

#[tokio::test]
async fn limits_expiry_and_revocation_hold_for_own_routes() {
    let setup = setup_with(echo(Route::post, "/mine").access_lifetime(HOUR).rate_limit(2, 24 * HOUR));
    let token = setup.login().await.access;
    let post = async |token: &str| setup.call(Method::POST, "/mine", token).await.status().as_u16();
    assert_eq!([post(&token).await, post(&token).await, post(&token).await], [200, 200, 429]);
    setup.server.use_up_quota(setup.server.email(), HOUR / 2);
    assert_eq!(post(&token).await, 403);
    setup.server.advance(HOUR);
    assert_eq!(post(&token).await, 401, "it has expired");
    let stats = setup.server.account_stats(setup.server.email());
    assert_eq!((stats.api_calls, stats.limited, stats.over_quota, stats.rejected), (2, 1, 1, 1));
}

#[tokio::test]
async fn a_token_without_a_scope_of_the_route_gets_insufficient_scope() {
    let delete = Route::delete("/orders/{id}", |_| Answer::new(204)).scope("orders:write orders:delete").scope("admin");
    let setup = setup_with(TestServer::builder().route(delete));
    let email = setup.server.email();
    let tokens = setup.login().await;
    let delete = async |token: &str| setup.call(Method::DELETE, "/orders/1", token).await;
    assert_eq!(delete(&tokens.access).await.status(), StatusCode::NO_CONTENT, "by default tokens have all scopes");

    setup.server.set_scope(email, "orders:write admin");
    assert_eq!(delete(&tokens.access).await.status(), StatusCode::NO_CONTENT, "a token keeps its scopes");
    let tokens = setup.refresh(&tokens.refresh).await;
    let answer = delete(&tokens.access).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let challenge = r#"Bearer error="insufficient_scope", scope="orders:write orders:delete admin""#;
    assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], challenge);
    assert_eq!(answer.json::<Value>().await.expect("JSON"), json!({ "error": "insufficient_scope" }));
    assert_eq!((setup.server.stats().forbidden, setup.server.account_stats(email).forbidden), (1, 1));
}

#[tokio::test]
async fn scopes_are_those_of_the_account() {
    let route = Route::get("/orders", |_| json!([])).scope("orders:read");
    let setup = setup_with(TestServer::builder().route(route).account("bob@example.com", "hunter2"));
    setup.server.set_scope("bob@example.com", "");
    assert_eq!(get(&setup, "/orders").await.status(), StatusCode::OK);
    let bob = setup.post("/api/auth/login", json!({ "email": "bob@example.com", "password": "hunter2" })).await;
    let bob = ok_json(bob).await["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(setup.call(Method::GET, "/orders", &bob).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn faults_of_the_api_hold_for_every_route_and_for_paths_without_one() {
    let builder = echo(Route::post, "/mine").route(Route::get("/open", |_| json!(1)).public());
    let setup = setup_with(builder);
    setup.server.inject(Endpoint::Api, Fault::Status(502), Times::Always);
    let requests = [("POST", "/mine"), ("GET", "/open"), ("GET", "/mine"), ("POST", "/nowhere"), ("GET", "/api/v1/x")];
    for (method, path) in requests {
        let answer = setup.call(method.parse().expect("a method"), path, "any").await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{method} {path}");
    }
    assert_eq!(setup.server.stats().faults, 5);
    setup.login().await;
}

#[tokio::test]
async fn a_fault_of_a_route_is_applied_to_that_route_only() {
    let builder = echo(Route::get, "/orders/{id}").route(Route::delete("/orders/{id}", |_| Answer::new(204))).inject(
        Endpoint::Route("DELETE", "/orders/{id}"),
        Fault::Status(503),
        Times::Once,
    );
    let setup = setup_with(builder);
    let token = setup.login().await.access;
    let status = async |method: Method| setup.call(method, "/orders/7", &token).await.status().as_u16();
    assert_eq!(
        [status(Method::GET).await, status(Method::DELETE).await, status(Method::DELETE).await],
        [200, 503, 204]
    );

    setup.server.inject(Endpoint::Route("GET", "/orders/{id}"), Fault::DropAfterProcessing, Times::Once);
    let lost = setup.http.get(setup.server.url("/orders/7")).bearer_auth(&token).send().await;
    assert!(lost.is_err());
    assert_eq!(setup.server.stats().api_calls, 3, "it took effect");
}

#[tokio::test]
async fn the_most_exact_route_answers_and_parts_may_be_called_differently_for_each_method() {
    let builder = TestServer::builder()
        .route(Route::get("/orders/{id}", |request| json!(["one", request.param("id")])))
        .route(Route::get("/orders/latest", |_| json!("latest")))
        .route(Route::patch("/orders/{number}", |request| json!(["patched", request.param("number")])));
    let setup = setup_with(builder);
    let token = setup.login().await.access;
    let json = async |method, path| ok_json(Ok(setup.call(method, path, &token).await)).await;
    assert_eq!(json(Method::GET, "/orders/latest").await, json!("latest"));
    assert_eq!(json(Method::GET, "/orders/latest2").await, json!(["one", "latest2"]));
    assert_eq!(json(Method::PATCH, "/orders/latest").await, json!(["patched", "latest"]));
}

#[tokio::test]
async fn the_endpoints_for_tokens_are_no_part_of_a_route_that_fits_their_paths() {
    let builder = TestServer::builder().route(Route::post("/{*all}", |request| json!(request.param("all")))).inject(
        Endpoint::Route("POST", "/{*all}"),
        Fault::Status(502),
        Times::Once,
    );
    let setup = setup_with(builder);
    let token = setup.login().await.access;
    let post = async || setup.call(Method::POST, "/api/auth", &token).await;
    assert_eq!(post().await.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(ok_json(Ok(post().await)).await, "api/auth");
}

#[tokio::test]
async fn a_request_without_a_route_is_told_so() {
    let setup = setup_with(echo(Route::get, "/mine").route(Route::post("/mine", |_| json!(0))));
    let token = setup.login().await.access;
    for path in ["/min", "/api/v1/products/1"] {
        let answer = setup.call(Method::GET, path, &token).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        let error: Value = answer.json().await.expect("JSON");
        assert_eq!(error["error_description"], format!("the test server has no route GET {path}"));
    }
    let answer = setup.call(Method::DELETE, "/mine", &token).await;
    assert_eq!(
        (answer.status(), &answer.headers()[header::ALLOW]),
        (StatusCode::METHOD_NOT_ALLOWED, &"GET, POST".parse().unwrap())
    );
    let head = setup.call(Method::HEAD, "/mine", &token).await;
    assert_eq!(head.status(), StatusCode::OK, "GET answers HEAD");
    assert_eq!(setup.server.stats().api_calls, 1);
}

#[tokio::test]
async fn the_kits_own_api_knows_methods_that_it_does_not_have() {
    let setup = setup();
    let token = setup.login().await.access;
    assert_eq!(setup.call(Method::POST, "/api/v1/products/7", &token).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(setup.call(Method::GET, "/api/v1/products/lamp", &token).await.status(), StatusCode::BAD_REQUEST);
}

fn refusal(builder: Builder) -> String {
    builder.try_start().expect_err("a server that must not start").to_string()
}

#[test]
fn two_routes_for_the_same_requests_are_an_error_that_names_them() {
    let twice = echo(Route::get, "/orders/{id}").route(Route::get("/orders/{id}", |_| json!(0)));
    assert_eq!(refusal(twice), "the route GET /orders/{id} is given twice");
    let renamed = echo(Route::get, "/orders/{id}").route(Route::get("/orders/{number}", |_| json!(0)));
    assert_eq!(
        refusal(renamed),
        "the route GET /orders/{number} is for the same requests as GET /orders/{id}, which the server has already"
    );
}

#[test]
fn a_fault_for_a_route_that_is_not_there_is_an_error_that_names_it() {
    let fault = |method, path| {
        let builder = echo(Route::get, "/orders/{id}").route(Route::post("/orders", |_| json!(0)));
        builder.inject(Endpoint::Route(method, path), Fault::EmptyBody, Times::Once)
    };
    assert_eq!(
        refusal(fault("PUT", "/orders")),
        "there is a fault for PUT /orders, and no such route: the server has GET /orders/{id}, POST /orders"
    );
    assert!(refusal(fault("GET", "/orders/7")).starts_with("there is a fault for GET /orders/7"));
    assert!(fault("GET", "/orders/{id}").try_start().is_ok());
}

#[test]
#[should_panic(
    expected = "there is a fault for GET /orders, and no such route: the server has GET /api/v1/products/{id}"
)]
fn injecting_a_fault_for_a_route_that_is_not_there_panics() {
    TestServer::start().inject(Endpoint::Route("GET", "/orders"), Fault::EmptyBody, Times::Once);
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let first = TestServer::start();
    let port = first.addr().port();
    let error = TestServer::builder().port(port).try_start().expect_err("the port is taken");
    assert_eq!(error.to_string(), format!("port {port} of 127.0.0.1 is in use"));
    assert!(matches!(error, StartError::Listen { addr, .. } if addr == first.addr()));
}

#[test]
#[should_panic(expected = "the test server does not start: the route GET /a is given twice")]
fn start_panics_with_the_text_of_the_error() {
    echo(Route::get, "/a").route(Route::get("/a", |_| json!(0))).start();
}

#[tokio::test]
async fn a_path_is_compared_as_it_is_sent() {
    let setup = setup_with(echo(Route::get, "/a%20b").route(Route::get("/a//b", |_| json!("two slashes"))));
    assert_eq!(get(&setup, "/a b").await.status(), StatusCode::OK);
    assert_eq!(get(&setup, "/a%20b").await.status(), StatusCode::OK);
    assert_eq!(get(&setup, "/a//b").await.text().await.unwrap(), "\"two slashes\"");
    for other in ["/a/b", "/a%20b/", "/a+b"] {
        assert_eq!(get(&setup, other).await.status(), StatusCode::NOT_FOUND, "{other}");
    }
}

#[tokio::test]
async fn a_server_can_be_started_again_on_the_port_that_another_has_left() {
    let setup = setup_with(echo(Route::get, "/mine"));
    assert_eq!(get(&setup, "/mine").await.status(), StatusCode::OK);
    let port = setup.server.addr().port();
    drop(setup);
    let setup = setup_with(echo(Route::get, "/mine").port(port));
    assert_eq!(setup.server.addr().port(), port);
    assert_eq!(get(&setup, "/mine").await.status(), StatusCode::OK);
}

#[test]
fn a_route_that_cannot_be_is_an_error_that_says_why() {
    let never = |_: &ReceivedRequest| json!(0);
    for (route, error) in [
        (Route::get("orders", never), "the route GET orders cannot be: a path starts with a slash"),
        (Route::new("get", "/", never), "the route get / cannot be: \"get\" is not a method; methods are in capitals"),
        (
            Route::get("/orders/:id", never),
            "the route GET /orders/:id cannot be: a part that varies is written `{name}`",
        ),
        (Route::get("/x?page=1", never), "a path has no query; the closure reads it with `request.query`"),
        (
            Route::get("/{*a}/b", never),
            "the route GET /{*a}/b cannot be: `{*name}` stands for all that follows, so it ends the path",
        ),
        (Route::get("/a/{x", never), "the route GET /a/{x cannot be: a brace has no partner, or no name inside"),
        (Route::get("/a/x}", never), "a brace has no partner, or no name inside"),
        (Route::get("/a/{}", never), "a part that varies is written `{name}`, a brace `{{` or `}}`"),
        (Route::get("/{a}-{b}", never), "a segment has one `{name}`, and nothing after it"),
        (Route::get("/{a}.json", never), "a segment has one `{name}`, and nothing after it"),
        (Route::get("/a b", never), "the route GET /a b cannot be: a client does not send ' ' in a path as it is"),
        (Route::get("/größe", never), "a client does not send 'ö' in a path as it is; write it percent-encoded"),
        (Route::get("/a/../b", never), "a client resolves `.` and `..` before it sends a path"),
        (Route::post("/api/auth/login", never), "is for the same requests as the login, POST /api/auth/login"),
        (Route::get("/a", never).scope("a  b"), "\"\" is not a scope"),
        (Route::get("/a", never).scope("a\"b"), "\"a\\\"b\" is not a scope"),
    ] {
        let said = refusal(TestServer::builder().route(route));
        assert!(said.contains(error), "{said}");
    }
}

#[test]
#[should_panic(expected = "\"a  b\" is not a list of scopes")]
fn setting_scopes_that_cannot_be_panics() {
    let server = TestServer::start();
    server.set_scope(server.email(), "a  b");
}
