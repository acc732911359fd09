//! What only the function for ureq promises: bodies, errors, redirects.

use http::Request;
use http::header::HeaderName;
use jwt_refresh::prelude::*;
use jwt_refresh::{Error, ErrorKind, RequestAuth};
use jwt_refresh_testkit::{Answer, Endpoint, Fault, Route, TestServer, Times};
use ureq::Agent;

use crate::support::World;
use crate::{Cost, PRODUCT, api_requests, cost};

pub(crate) fn world(route: Route) -> (World, Session) {
    let world = World::with(TestServer::builder().route(route).start());
    let session = world.session().blocking_connect().unwrap();
    (world, session)
}

/// The error of ours in one of ureq.
pub(crate) fn ours(error: &ureq::Error) -> &Error {
    let ureq::Error::Other(error) = error else { panic!("{error:?}") };
    error.downcast_ref().expect("an error of ours")
}

#[test]
fn a_body_arrives_whole_after_a_rejection() {
    let (world, session) = world(Route::post("/orders", |_| Answer::new(201)));
    let auth = RequestAuth::new(session, world.rule());
    world.server.rotate_signing_key();
    let request = Request::post(world.server.url("/orders")).body("a body").unwrap();
    assert_eq!(auth.run(&ureq::agent(), request).unwrap().status(), 201);
    let bodies: Vec<_> = api_requests(&world.server).iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [b"a body", b"a body"]);
}

#[test]
fn an_answer_is_an_error_of_ureq_exactly_if_the_agent_wants_it_so() {
    let (world, session) = world(Route::get("/gone", |_| Answer::new(410)));
    let auth = RequestAuth::new(session, world.rule());
    let get = |agent: &Agent| auth.run(agent, Request::get(world.server.url("/gone")).body(()).unwrap());
    assert!(matches!(get(&ureq::agent()), Err(ureq::Error::StatusCode(410))));
    let lenient = Agent::config_builder().http_status_as_error(false).build().new_agent();
    assert_eq!(get(&lenient).unwrap().status(), 410);
}

#[test]
fn a_token_that_lacks_a_scope_or_cannot_be_renewed_is_an_error_of_ours() {
    let (world, session) = world(Route::get("/orders", |_| Answer::new(204)).scope("orders:read"));
    world.server.set_scope(world.server.email(), "none");
    session.blocking_refresh_now().unwrap();
    let auth = RequestAuth::new(session, world.rule());
    let get = || auth.run(&ureq::agent(), Request::get(world.server.url("/orders")).body(()).unwrap());
    let error = get().unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::InsufficientScope);
    assert!(error.to_string().contains("orders:read"), "{error}");

    world.server.rotate_signing_key();
    world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Always);
    assert_eq!(ours(&get().unwrap_err()).kind(), ErrorKind::Unavailable);
    assert_eq!(world.server.stats().refreshes, 1);
}

#[test]
fn ureqs_own_builder_takes_a_token() {
    let world = World::new();
    let session = world.session().blocking_connect().unwrap();
    let token = session.blocking_token().unwrap();
    let answer = ureq::agent().get(world.server.url(PRODUCT)).bearer(&token).call().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 0, logins: 1, refreshes: 0 });
}

#[test]
fn no_redirect_takes_a_token_along_whatever_the_agent_says_and_in_whatever_header() {
    let other = TestServer::builder().route(Route::get("/here", |_| Answer::new(204)).public()).start();
    let there = other.url("/here");
    let (world, session) = world(Route::get("/away", move |_| Answer::new(302).header("location", &there)).public());
    let same_host = ureq::config::RedirectAuthHeaders::SameHost;
    let agent = Agent::config_builder().redirect_auth_headers(same_host).build().new_agent();
    let away = || Request::get(world.server.url("/away")).body(()).unwrap();
    let auth = RequestAuth::new(&session, world.rule());
    assert_eq!(auth.run(&agent, away()).unwrap().status(), 204, "another port is another origin");
    assert!(world.server.requests().last().unwrap().header("authorization").is_some());
    assert_eq!(other.requests()[0].header("authorization"), None);

    let rule = world.rule().header(HeaderName::from_static("x-key")).scheme("").unwrap();
    let answer = RequestAuth::new(&session, rule).run(&agent, away()).unwrap();
    assert_eq!((answer.status().as_u16(), other.requests().len()), (302, 1), "the redirect is handed on");
    assert!(world.server.requests().last().unwrap().header("x-key").is_some());
}
