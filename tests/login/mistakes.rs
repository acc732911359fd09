//! Mistakes in a description: each is found by `build`, and names its place and how to write it.

use jwt_refresh::{
    AnswerMatch, ClientAuth, ErrorKind, HttpAuthenticator, HttpAuthenticatorBuilder, HttpRequest, TokenFields,
};
use serde_json::json;

const URL: &str = "https://api.example/login";

fn described(request: HttpRequest) -> HttpAuthenticatorBuilder {
    HttpAuthenticator::builder(request).secret("password", "S3cret")
}

fn refreshing(request: HttpRequest) -> HttpAuthenticatorBuilder {
    HttpAuthenticator::builder(URL).refresh(request)
}

fn post() -> HttpRequest {
    HttpRequest::post(URL)
}

fn mistakes() -> Vec<(HttpAuthenticatorBuilder, &'static str, &'static str)> {
    let answer = |fields: TokenFields| HttpAuthenticator::builder(URL).answer(fields);
    vec![
        (
            described(post().json_field("a.b", "{pasword}")),
            "`login.json.a.b`",
            "`{pasword}` is unknown; there are `{password}`",
        ),
        (described(post().form_field("p", "{password")), "`login.form.p`", "`{{`"),
        (described(post().header("x-key", "{key}")), "`login.headers.x-key`", "`secret` adds more"),
        (described(post().header("x key", "k")), "`login.headers.x key`", "not the name of a header"),
        (described(post().cookie("c", "{refresh_token}")), "`login.cookies.c`", "`{refresh_token}` is unknown"),
        (described(HttpRequest::post("")), "`login.url`", "the URL is missing"),
        (described(HttpRequest::post("api.example/login")), "`login.url`", "not a URL"),
        (described(HttpRequest::post("https://{password}/x")), "`login.url`", "in the path and in the query only"),
        (described(HttpRequest::new("", URL)), "`login.method`", "write `POST`"),
        (described(HttpRequest::get(URL).json_field("a", 1)), "`login.method`", "a GET has no body"),
        (
            described(post().json_field("a", 1).form_field("b", "2")),
            "`login.form.b`",
            "asks for a form, and the body is JSON",
        ),
        (
            described(post().form_field("b", "2").json_field("a.b", 1)),
            "`login.json.a.b`",
            "asks for JSON, and the body is a form",
        ),
        (described(post().form_field("b", "2").json(json!({}))), "`login.json`", "asks for JSON"),
        (described(post().capture("id", "data[0].id")), "`login.capture.id`", "`data.0.token`"),
        (described(post().capture("access_token", "t")), "`login.capture.access_token`", "`answer`"),
        (described(post().capture("password", "t")), "`login.capture.password`", "the name of a secret"),
        (described(post().dead_if(AnswerMatch::value("$.code", 1))), "`login.rules`", "is no path"),
        (described(post()).then(post().json_field("x", "{y}")), "`login.2.json.x`", "`{y}` is unknown"),
        (described(post()).secret("refresh_token", "x"), "`secret.refresh_token`", "choose another"),
        (refreshing(post().json_field("k", "v")), "`refresh`", "send `{refresh_token}`"),
        (HttpAuthenticator::builder(URL).revoke(HttpRequest::post("x")), "`revoke.url`", "not a URL"),
        (HttpAuthenticator::refresh_grant(URL).field("scope", "x"), "`login.scope`", "describe it first"),
        (HttpAuthenticator::without_login(), "`login`", "neither a login nor a refresh"),
        (answer(TokenFields::default().access_token("$.token")), "`answer.access_token`", "`data.0.token`"),
        (answer(TokenFields::default().expires_at("")), "`answer.expires_at`", "`data.token`"),
        (
            HttpAuthenticator::builder(URL).refresh_answer(TokenFields::default().refresh_token("cookie:")),
            "`refresh_answer.refresh_token`",
            "`cookie:session`",
        ),
        (
            described(post().json(json!([1]))).client_auth(ClientAuth::public("id")),
            "`login.client_auth`",
            "a JSON object",
        ),
    ]
}

#[test]
fn a_mistake_in_a_description_names_its_place_and_how_to_write_it() {
    for (builder, key, fix) in mistakes() {
        let shown_builder = format!("{builder:?}");
        let error = builder.build().unwrap_err();
        let shown = format!("{error} {error:?}");
        assert_eq!(error.kind(), ErrorKind::Configuration, "{shown}");
        assert!(shown.contains(key) && shown.contains(fix), "{key}, {fix}: {shown}");
        assert!(!shown.contains("S3cret") && !shown_builder.contains("S3cret"), "{shown} {shown_builder}");
    }
}

#[test]
fn a_password_with_braces_in_it_is_not_shown_when_it_is_taken_for_a_placeholder() {
    let error = described(post().json_field("password", "p{S3cret-1!}")).build().unwrap_err().to_string();
    assert!(error.contains("`login.json.password`: a placeholder is unknown") && !error.contains("S3cret"), "{error}");
}
