//! Which requests get a token, and what counts as a rejection of it.

use jwt_refresh::prelude::*;
use jwt_refresh::{ErrorKind, ExecuteError, RequestAuth, RequestRule};
use jwt_refresh_testkit::{Answer, Route, TestServer};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::clients::clients;
use crate::support::{World, http_client};
use crate::{Cost, PRODUCT, api_requests, cost};

#[tokio::test]
async fn a_request_to_an_origin_that_is_not_named_gets_no_token_and_asks_for_none() {
    let world = World::new();
    let other = World::new();
    let auth = RequestAuth::new(world.session().build(), world.rule());
    let http = http_client();
    let request = http.get(other.server.url(PRODUCT)).build().unwrap();
    assert_eq!(auth.execute(&http, request).await.unwrap().status(), 401);
    assert_eq!(other.server.requests()[0].header("authorization"), None);
    assert_eq!((world.server.stats().auth_requests, other.server.stats().rejected), (0, 1));
}

#[tokio::test]
async fn a_session_without_a_rule_sends_nothing_and_says_what_to_write() {
    let world = World::new();
    let session = world.session().build();
    let http = http_client();
    let request = http.get(world.server.url(PRODUCT)).build().unwrap();
    let ExecuteError::Auth(error) = session.execute(&http, request).await.unwrap_err() else { panic!("ours") };
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("RequestRule::for_origin"), "{error}");
    assert_eq!(world.server.requests().len(), 0);
}

#[tokio::test]
async fn a_header_that_a_request_has_is_left_alone_or_replaced_if_the_user_says_so() {
    // A method that is annotated attaches its token itself.
    for (name, client) in clients::<Session>().into_iter().filter(|(name, _)| *name != "attribute") {
        let world = World::new();
        let session = world.logged_in().await;
        let mine = || HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer mine"))]);
        let get = async |rule| client(session.clone(), rule).get_with(world.server.url(PRODUCT), mine()).await.unwrap();

        assert_eq!(get(world.rule()).await, 401, "{name}");
        assert_eq!(api_requests(&world.server)[0].header("authorization"), Some("Bearer mine"), "{name}");
        assert_eq!(cost(&world.server), Cost { calls: 0, rejected: 1, logins: 1, refreshes: 0 }, "{name}");

        assert_eq!(get(world.rule().replace_existing()).await, 200, "{name}");
        world.server.rotate_signing_key();
        assert_eq!(get(world.rule().replace_existing()).await, 200, "{name}");
        assert_eq!(cost(&world.server), Cost { calls: 2, rejected: 2, logins: 1, refreshes: 1 }, "{name}");
    }
}

#[tokio::test]
async fn what_counts_as_a_rejection_is_the_users_to_say() {
    for status in [403, 419] {
        let mut answers = [Answer::new(status), Answer::new(401), Answer::new(200)].into_iter();
        let route = Route::get("/odd", move |_| answers.next().unwrap());
        let world = World::with(TestServer::builder().route(route).start());
        let rule = world.rule().rejected_if(move |answered, _| answered == status);
        let auth = RequestAuth::new(world.logged_in().await, rule);
        let http = http_client();
        let get = async || auth.execute(&http, http.get(world.server.url("/odd")).build().unwrap()).await.unwrap();
        assert_eq!(get().await.status(), 401, "sent again after {status}, and 401 is none here");
        assert_eq!(world.server.stats().refreshes, 1);
        assert_eq!(get().await.status(), 200);
    }
}

#[tokio::test]
async fn header_and_scheme_are_those_of_the_rule() {
    let world = World::with(TestServer::builder().route(Route::get("/x", |_| Answer::new(204)).public()).start());
    let session = world.logged_in().await;
    let token = session.token().await.unwrap();
    let auth = RequestAuth::new(&session, world.rule().scheme("DPoP").unwrap());
    let http = http_client();
    auth.execute(&http, http.get(world.server.url("/x")).build().unwrap()).await.unwrap();
    let expected = format!("DPoP {}", token.expose());
    assert_eq!(api_requests(&world.server)[0].header("authorization"), Some(&*expected));
    assert_eq!(world.rule().scheme("a b").unwrap_err().kind(), ErrorKind::Configuration);
}

#[test]
fn neither_rule_nor_request_shows_a_token() {
    let rule = RequestRule::for_origin("https://api.example").unwrap();
    let token = AccessToken::new("S3cret").unwrap();
    let request = http::Request::get("https://api.example").bearer(&token).body(()).unwrap();
    assert!(!format!("{rule:?} {request:?}").contains("S3cret"));
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic x"));
    assert_eq!(headers.bearer(&token)[AUTHORIZATION], "Bearer S3cret");
}
