//! Logins and refreshes of another shape than the kit's own.

use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::dangerous::insecure_decode_claims;
use jwt_refresh_testkit::{
    Answer, Builder, Endpoint, Fault, Hints, ReceivedRequest, RefreshAnswer, Rotation, Route, TestServer, Times,
    TokenBinding, TokenPair,
};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::client::{Setup, ok_json, setup_with, text};

fn user_and_pass(request: &ReceivedRequest) -> Option<(String, String)> {
    Some((request.field("user.name")?, request.field("user.pass")?))
}

/// A server with one path for both, told apart by the method.
fn session_api() -> Builder {
    TestServer::builder()
        .login("POST", "/v2/{tenant}/session", user_and_pass)
        .refresh("PUT", "/v2/{tenant}/session", |request| request.field("refreshToken"))
        .token_answer(|tokens| json!({ "data": { "token": tokens.access_token, "renew": tokens.refresh_token } }))
}

async fn send(setup: &Setup, method: Method, path: &str, body: Value) -> Response {
    setup.http.request(method, setup.server.url(path)).json(&body).send().await.expect("an answer")
}

fn named(setup: &Setup, password: &str) -> Value {
    json!({ "user": { "name": setup.server.email(), "pass": password } })
}

async fn session_login(setup: &Setup) -> Value {
    let body = named(setup, setup.server.password());
    ok_json(Ok(send(setup, Method::POST, "/v2/acme/session", body).await)).await["data"].take()
}

#[tokio::test]
async fn login_and_refresh_are_where_the_test_puts_them_and_nowhere_else() {
    let setup = setup_with(session_api());
    let first = session_login(&setup).await;
    let refresh = json!({ "refreshToken": first["renew"] });
    let second = ok_json(Ok(send(&setup, Method::PUT, "/v2/acme/session", refresh.clone()).await)).await;
    assert_eq!(setup.api_status(&text(&second["data"], "token")).await, StatusCode::OK);
    let reused = send(&setup, Method::PUT, "/v2/acme/session", refresh).await;
    assert_eq!(reused.status(), StatusCode::BAD_REQUEST);

    let stats = setup.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.failed_refreshes, stats.reuses), (1, 1, 1, 1));
    assert_eq!(setup.try_login().await.expect("an answer").status(), StatusCode::NOT_FOUND);
    assert_eq!(setup.server.requests()[0].param("tenant"), "acme");
}

#[tokio::test]
async fn a_login_of_another_shape_is_refused_as_the_kits_own_is() {
    let setup = setup_with(session_api());
    let wrong = send(&setup, Method::POST, "/v2/acme/session", named(&setup, "wrong")).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    for (method, body) in [(Method::POST, json!({ "user": "ada" })), (Method::PUT, json!({ "refreshToken": 7 }))] {
        let answer = send(&setup, method, "/v2/acme/session", body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert_eq!(ok_body(answer).await, json!({ "error": "invalid_request" }));
    }
    let stats = setup.server.stats();
    assert_eq!((stats.failed_logins, stats.failed_refreshes), (2, 1));
}

async fn ok_body(answer: Response) -> Value {
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn faults_reach_a_login_and_a_refresh_of_another_shape() {
    let setup = setup_with(session_api().inject(Endpoint::Login, Fault::Status(503), Times::Once));
    let body = named(&setup, setup.server.password());
    assert_eq!(send(&setup, Method::POST, "/v2/acme/session", body).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let tokens = session_login(&setup).await;

    setup.server.inject(Endpoint::Refresh, Fault::MissingField("data.renew"), Times::Once);
    let answer = send(&setup, Method::PUT, "/v2/acme/session", json!({ "refreshToken": tokens["renew"] })).await;
    let answer = ok_json(Ok(answer)).await;
    assert_eq!(answer["data"].as_object().expect("an object").keys().collect::<Vec<_>>(), ["token"]);
    assert_eq!(setup.server.stats().faults, 2);
}

#[tokio::test]
async fn a_wrong_field_is_found_by_its_name_by_names_joined_by_dots_or_not_at_all() {
    let server = TestServer::builder().token_answer(|_| json!({ "a.b": 1, "a": { "b": 2, "c": [0] } }));
    let setup = setup_with(server);
    for (field, expected) in [
        ("a.b", json!({ "a.b": null, "a": { "b": 2, "c": [0] } })),
        ("a.c", json!({ "a.b": 1, "a": { "b": 2, "c": null } })),
        ("a.new", json!({ "a.b": 1, "a": { "b": 2, "c": [0], "new": null } })),
        ("a.c.0", json!({ "a.b": 1, "a": { "b": 2, "c": [0] } })),
        ("x.y", json!({ "a.b": 1, "a": { "b": 2, "c": [0] } })),
    ] {
        setup.server.inject(Endpoint::Login, Fault::WrongField(field, "null"), Times::Once);
        assert_eq!(setup.login_answer().await, expected, "{field}");
    }
}

#[tokio::test]
async fn one_endpoint_can_be_both_login_and_refresh_and_each_has_its_own_faults_and_counters() {
    let builder = TestServer::builder()
        .login("POST", "/oauth/token", |request| Some((request.field("username")?, request.field("password")?)))
        .refresh("POST", "/oauth/token", |request| request.field("refresh_token"))
        .inject(Endpoint::Refresh, Fault::Status(502), Times::Once);
    let setup = setup_with(builder);
    let form = async |fields: &[(&str, &str)]| {
        let body = url_encoded(fields);
        let request = setup.http.post(setup.server.url("/oauth/token")).body(body);
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").send().await.expect("an answer")
    };
    let (email, password) = (setup.server.email(), setup.server.password());
    let login = form(&[("grant_type", "password"), ("username", email), ("password", password)]).await;
    let refresh_token = text(&ok_json(Ok(login)).await, "refresh_token");
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.as_str())];
    assert_eq!(form(&refresh).await.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(form(&refresh).await.status(), StatusCode::OK);
    assert_eq!(form(&[("grant_type", "refresh_token")]).await.status(), StatusCode::BAD_REQUEST);
    let stats = setup.server.stats();
    assert_eq!((stats.logins, stats.failed_logins, stats.refreshes, stats.failed_refreshes), (1, 1, 1, 1));
}

fn url_encoded(fields: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('@', "%40").replace(' ', "+");
    fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
}

/// Sets two cookies and a header.
fn in_cookies(tokens: &TokenPair) -> Answer {
    let refresh = tokens.refresh_token.as_deref().unwrap_or_default();
    let answer = Answer::new(204).header("X-Token", &tokens.access_token);
    answer.header("Set-Cookie", &format!("renew={refresh}; HttpOnly")).header("Set-Cookie", "csrf=c1; Path=/")
}

#[tokio::test]
async fn tokens_can_be_in_headers_and_in_cookies_both_ways() {
    let builder = TestServer::builder()
        .refresh("GET", "/renew", |request| Some(request.cookie("renew")?.to_owned()))
        .token_answer(in_cookies);
    let setup = setup_with(builder);
    let login = setup.try_login().await.expect("an answer");
    let cookies: Vec<_> = login.headers().get_all(header::SET_COOKIE).iter().map(|value| value.to_str()).collect();
    let [Ok(renew), Ok("csrf=c1; Path=/")] = cookies[..] else { panic!("two cookies: {cookies:?}") };
    let renew = renew.strip_suffix("; HttpOnly").expect("the first cookie");
    let request = setup.http.get(setup.server.url("/renew")).header("Cookie", format!("csrf=c1; {renew}"));
    let answer = request.send().await.expect("an answer");
    let token = answer.headers()["x-token"].to_str().expect("text");
    assert_eq!(setup.api_status(token).await, StatusCode::OK);
    assert_eq!(setup.server.stats().refreshes, 1);
}

#[tokio::test]
async fn a_cookie_that_tokens_are_bound_to_is_set_beside_those_of_the_answer() {
    let builder = TestServer::builder().token_answer(in_cookies);
    let setup = setup_with(builder.bind_tokens(TokenBinding::Cookie("client".to_owned())));
    let login = setup.try_login().await.expect("an answer");
    let cookies = login.headers().get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let names: Vec<_> = cookies.filter_map(|cookie| Some(cookie.split_once('=')?.0)).collect();
    assert_eq!(names, ["renew", "csrf", "client"]);
}

#[tokio::test]
async fn an_answer_of_another_shape_says_of_the_lifetime_what_the_test_lets_it() {
    let builder = TestServer::builder().whole_seconds(true).date_shift(-3600).token_answer(|tokens| {
        let expires_at = tokens.expires_at.duration_since(UNIX_EPOCH).expect("after 1970");
        json!({ "access_token": tokens.access_token, "ms": u64::try_from(tokens.lifetime.as_millis()).ok(),
            "at": expires_at.as_secs_f64() })
    });
    let setup = setup_with(builder.access_lifetime(Duration::from_secs(90)));
    let answer = setup.login_answer().await;
    let claims: Value = insecure_decode_claims(text(&answer, "access_token")).expect("a JWT");
    assert_eq!((&answer["ms"], answer["at"].as_f64()), (&json!(90_000), claims["exp"].as_f64()));

    let bare = TestServer::builder().lifetime_hints(Hints::None).token_answer(|tokens| json!(tokens.access_token));
    let setup = setup_with(bare);
    let answer = setup.login_answer().await;
    let claims: Value = insecure_decode_claims(answer.as_str().expect("a token")).expect("a JWT");
    assert_eq!(claims.get("exp"), None);
}

#[tokio::test]
async fn an_answer_has_the_refresh_token_that_rotation_says() {
    for (rotation, answer, expected) in [
        (Rotation::On, RefreshAnswer::Omit, "another"),
        (Rotation::Off, RefreshAnswer::Omit, "none"),
        (Rotation::Off, RefreshAnswer::Same, "same"),
    ] {
        let builder = TestServer::builder().rotation(rotation).refresh_answer(answer);
        let setup = setup_with(builder.token_answer(|tokens| json!({ "refresh_token": tokens.refresh_token })));
        let first = text(&setup.login_answer().await, "refresh_token");
        let second = ok_json(setup.try_refresh(&first).await).await;
        let is = match second["refresh_token"].as_str() {
            None => "none",
            Some(token) if token == first => "same",
            Some(_) => "another",
        };
        assert_eq!(is, expected);
    }
}

#[tokio::test]
async fn a_closure_of_an_endpoint_that_panics_is_answered_500_with_what_it_said() {
    let builder = TestServer::builder()
        .login("POST", "/both", |_| panic!("no login"))
        .refresh("POST", "/both", |request| request.header("x-refresh").map(|_| panic!("no refresh")))
        .route(Route::get("/mine", |_| json!(1)).public());
    let setup = setup_with(builder);
    for (name, said) in [("x-other", "no login"), ("x-refresh", "no refresh")] {
        let answer = setup.http.post(setup.server.url("/both")).header(name, "1").send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(ok_body(answer).await["error_description"], said);
    }
    assert_eq!(setup.call(Method::GET, "/mine", "").await.status(), StatusCode::OK);
}

#[test]
fn an_endpoint_that_cannot_be_is_an_error_that_names_it() {
    let at = |method, path| TestServer::builder().login(method, path, user_and_pass);
    let mine = |_: &ReceivedRequest| json!(0);
    for (builder, expected) in [
        (at("post", "/login"), "the route post /login cannot be: \"post\" is not a method; methods are in capitals"),
        (at("POST", "login"), "the route POST login cannot be: a path starts with a slash"),
        (
            at("POST", "/api/token"),
            "the route POST /api/token is for the same requests as the kit's token endpoint, POST /api/token, \
             which the server has already",
        ),
        (
            at("POST", "/mine").route(Route::post("/{id}", mine)).route(Route::post("/mine", mine)),
            "the route POST /mine is for the same requests as the login, POST /mine, which the server has already",
        ),
        (
            at("POST", "/both").refresh("POST", "/{both}", |_| None).route(Route::post("/{all}", mine)),
            "the route POST /{all} is for the same requests as the refresh, POST /{both}, which the server has already",
        ),
    ] {
        assert_eq!(builder.try_start().expect_err("a server that must not start").to_string(), expected);
    }
}

#[tokio::test]
async fn the_document_says_where_the_endpoints_are() {
    let setup = setup_with(session_api());
    let url = setup.server.url("/challenges/api/auth/jwt-with-refresh");
    let document = ok_json(setup.http.get(url).send().await).await;
    assert_eq!(document["login"], json!({ "method": "POST", "path": "/v2/{tenant}/session" }));
    assert_eq!(document["refresh"], json!({ "method": "PUT", "path": "/v2/{tenant}/session", "rotates": true }));
}

#[test]
fn debug_output_of_a_token_pair_shows_no_token() {
    let (send, received) = std::sync::mpsc::channel();
    let builder = TestServer::builder().token_answer(move |tokens| {
        send.send(tokens.clone()).expect("the test waits");
        json!(0)
    });
    let setup = setup_with(builder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(setup.try_login()).expect("an answer");
    let tokens = received.recv().expect("a login");
    let shown = format!("{tokens:?}");
    assert!(!shown.contains(&tokens.access_token), "{shown}");
    assert!(!shown.contains(tokens.refresh_token.as_deref().expect("a new one")), "{shown}");
}
