//! Values that one answer brings and a later request sends.

use std::time::Duration;

use jwt_refresh::store::MemoryStore;
use jwt_refresh::{
    Authenticator, ErrorKind, HttpAuthenticator, HttpAuthenticatorBuilder, HttpRequest, ManualClock, RefreshToken,
    Session, TokenFields,
};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::server::{Seen, Server};

const PAST_EXPIRY: Duration = Duration::from_secs(61);

#[tokio::test]
async fn a_login_can_take_two_steps_and_a_number_stays_a_number() {
    let server = Server::start(|request, _| match request.path() {
        "/challenge" => {
            Answer::from(json!({"data": {"id": 77}})).header("x-nonce", "n-1").header("set-cookie", "sid=s1; Path=/")
        }
        _ => Answer::from(json!({"access_token": "a"})),
    });
    let challenge = HttpRequest::get(server.url("/challenge"))
        .capture("id", "data.id")
        .capture("nonce", "header:X-Nonce")
        .capture("sid", "cookie:sid");
    let login = HttpRequest::post(server.url("/login/{id}"))
        .header("x-nonce", "{nonce}")
        .cookie("sid", "{sid}")
        .json(json!({"challenge": "{id}", "text": "no {id}", "password": "{password}"}));
    let api = HttpAuthenticator::builder(challenge).then(login).secret("password", "S3cret").build().unwrap();
    let tokens = api.login().await.unwrap();
    let seen = server.seen();
    assert_eq!((seen[1].path(), seen[1].header("x-nonce"), seen[1].header("cookie")), ("/login/77", "n-1", "sid=s1"));
    assert_eq!(seen[1].json(), json!({"challenge": 77, "text": "no 77", "password": "S3cret"}));
    assert_eq!(tokens.extra("id"), Some(77.into()), "what was captured is kept");
}

#[tokio::test]
async fn a_step_that_is_refused_is_the_error_of_the_login_and_nothing_more_is_sent() {
    let server = Server::start(|_, _| Answer::new(401));
    let api = HttpAuthenticator::builder(server.url("/first")).then(server.url("/second")).build().unwrap();
    let error = api.login().await.unwrap_err();
    assert_eq!((error.kind(), server.seen().len()), (ErrorKind::Denied, 1));
    assert!(error.to_string().starts_with("the step 1 of the login was denied at http://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn a_step_without_what_it_captures_says_what_the_answer_is_instead() {
    let server = Server::start(|_, _| Answer::from(json!({"data": {"ident": "S3cret"}})));
    let first = HttpRequest::post(server.url("/first")).capture("id", "data.id");
    let api = HttpAuthenticator::builder(first).then(server.url("/second")).build().unwrap();
    let error = api.login().await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("`id` was expected in field `data.id`, and the answer is {data: {ident: string}}"),
        "{shown}"
    );
    assert!(error.kind() == ErrorKind::BadAnswer && !shown.contains("S3cret"), "{shown}");
}

/// A server with its refresh token in a cookie, and a CSRF token in another one, which it renews
/// together or, at every other refresh, one alone.
fn cookies(request: &Seen, before: usize) -> Answer {
    let number = before + 1;
    let tokens = Answer::from(json!({"access_token": format!("a{number}"), "expires_in": 60}));
    let csrf = format!("csrf_refresh=c{number}; Path=/refresh");
    let refresh = format!("refresh=r{number}; HttpOnly; Path=/refresh; Max-Age=600");
    match request.path() {
        "/refresh" if number.is_multiple_of(2) => tokens.header("set-cookie", &csrf),
        _ => tokens.header("set-cookie", &refresh).header("set-cookie", &csrf),
    }
}

fn cookie_client(server: &Server) -> HttpAuthenticatorBuilder {
    let login =
        HttpRequest::post(server.url("/login")).json_field("email", "ada").capture("csrf", "cookie:csrf_refresh");
    let refresh = HttpRequest::post(server.url("/refresh"))
        .cookie("refresh", "{refresh_token}")
        .cookie("csrf_refresh", "{csrf}")
        .header("x-csrf-token", "{csrf}");
    HttpAuthenticator::builder(login).refresh(refresh).answer(TokenFields::default().refresh_token("cookie:refresh"))
}

#[tokio::test]
async fn a_refresh_token_in_a_cookie_goes_with_its_csrf_token_through_a_store_and_a_restart() {
    let server = Server::start(cookies);
    let (clock, store) = (ManualClock::new(), MemoryStore::new());
    let start = || Session::builder(cookie_client(&server).build().unwrap()).clock(&clock).store(store.clone(), "ada");
    let session = start().connect().await.unwrap();
    server.seen();
    clock.advance(PAST_EXPIRY);
    session.token().await.unwrap();
    drop(session);
    clock.advance(PAST_EXPIRY);
    start().connect().await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "no login was needed");
    // The second answer brought only a CSRF token.
    for (request, (cookies, csrf)) in
        seen.iter().zip([("refresh=r1; csrf_refresh=c1", "c1"), ("refresh=r1; csrf_refresh=c2", "c2")])
    {
        assert_eq!((request.path(), request.header("cookie")), ("/refresh", cookies));
        assert_eq!(request.header("x-csrf-token"), csrf);
    }
}

#[tokio::test]
async fn a_refresh_keeps_of_cookie_and_csrf_token_what_its_answer_does_not_bring() {
    let server = Server::start(cookies);
    let api = cookie_client(&server).build().unwrap();
    let tokens = api.login().await.unwrap();
    let renewed = api.refresh(tokens.refresh().unwrap()).await.unwrap();
    api.refresh(renewed.refresh().unwrap()).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[1].header("cookie"), "refresh=r1; csrf_refresh=c1");
    assert_eq!(seen[2].header("cookie"), "refresh=r1; csrf_refresh=c2");
}

#[tokio::test]
async fn what_is_missing_beside_tokens_costs_no_token_and_what_the_refresh_needs_of_it_leads_to_a_login() {
    let server = Server::start(|_, _| Answer::from(json!({"access_token": "a"})).header("set-cookie", "refresh=r"));
    let tokens = cookie_client(&server).build().unwrap().login().await.unwrap();
    assert_eq!((tokens.access().expose(), tokens.refresh()), ("a", None));
}

#[tokio::test]
async fn a_refresh_token_without_what_the_refresh_has_to_send_is_not_sent() {
    let server = Server::start(cookies);
    let error = cookie_client(&server).build().unwrap().refresh(&RefreshToken::from("r-captured")).await.unwrap_err();
    assert_eq!((error.kind(), server.seen().len()), (ErrorKind::Denied, 0));
    assert!(error.to_string().contains("`csrf`") && !error.to_string().contains("r-captured"), "{error}");
}

#[tokio::test]
async fn what_an_earlier_step_of_the_login_captured_may_come_anew_with_a_refresh() {
    let server = Server::start(|request, before| match request.path() {
        "/challenge" => Answer::from(json!({})).header("x-csrf", "c-login"),
        _ => Answer::from(json!({"access_token": "a", "refresh_token": "r"})).header("x-csrf", &format!("c{before}")),
    });
    let challenge = HttpRequest::get(server.url("/challenge")).capture("csrf", "header:x-csrf");
    let refresh =
        HttpRequest::post(server.url("/refresh")).json_field("t", "{refresh_token}").header("x-csrf", "{csrf}");
    let api = HttpAuthenticator::builder(challenge).then(server.url("/login")).refresh(refresh).build().unwrap();
    let tokens = api.login().await.unwrap();
    let renewed = api.refresh(tokens.refresh().unwrap()).await.unwrap();
    api.refresh(renewed.refresh().unwrap()).await.unwrap();
    let sent: Vec<_> = server.seen()[2..].iter().map(|seen| seen.header("x-csrf").to_owned()).collect();
    assert_eq!(sent, ["c-login", "c2"]);
}

#[tokio::test]
async fn a_revocation_without_what_it_has_to_send_is_not_sent_and_names_it() {
    let server = Server::start(cookies);
    let revocation =
        HttpRequest::post(server.url("/logout")).cookie("refresh", "{refresh_token}").header("x-csrf-token", "{csrf}");
    let api = cookie_client(&server).revoke(revocation).build().unwrap();
    let error = api.revoke(&RefreshToken::from("r-captured")).await.unwrap_err();
    assert!(error.to_string().contains("`csrf`") && !error.to_string().contains("r-captured"), "{error}");
    assert!(server.seen().is_empty());
    let tokens = api.login().await.unwrap();
    api.revoke(tokens.refresh().unwrap()).await.unwrap();
    assert_eq!(server.seen()[1].header("x-csrf-token"), "c1");
}

#[tokio::test]
async fn a_refresh_token_that_cannot_be_sent_is_not_denied_where_there_is_no_login() {
    let server = Server::start(cookies);
    let refresh = HttpRequest::post(server.url("/refresh"))
        .cookie("refresh", "{refresh_token}")
        .header("x-csrf-token", "{csrf}")
        .capture("csrf", "cookie:csrf_refresh");
    let api = HttpAuthenticator::without_login().refresh(refresh).build().unwrap();
    let error = api.refresh(&RefreshToken::from("r-captured")).await.unwrap_err();
    assert_eq!((error.kind(), server.seen().len()), (ErrorKind::Configuration, 0));
    assert!(error.to_string().contains("`csrf`") && !error.to_string().contains("r-captured"), "{error}");
}
