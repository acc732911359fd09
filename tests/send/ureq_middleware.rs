//! What the middleware for ureq promises. It sends a request once, so its counts are compared with
//! none.

use http::{HeaderName, Request, Response};
use jwt_refresh::pool::Pool;
use jwt_refresh::prelude::*;
use jwt_refresh::{Error, ErrorKind, RequestAuth, RequestRule};
use jwt_refresh_testkit::{Answer, Endpoint, Fault, Route, TestServer, Times};
use ureq::config::RedirectAuthHeaders;
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, Body, SendBody};

use crate::not_retried::{Log, counted};
use crate::support::{HOUR, PAST_EXPIRY, World, account, until_blocking, with_accounts};
use crate::ureq_client::{ours, world};
use crate::{Cost, PRODUCT, api_requests, cost};

fn agent<P: TokenProvider + Send + Sync + 'static>(provider: P, rule: RequestRule) -> Agent {
    Agent::config_builder().middleware(RequestAuth::new(provider, rule).ureq_middleware()).build().new_agent()
}

/// An agent whose requests get a token of a session, and the server.
fn logged_in() -> (World, Session, Agent) {
    let world = World::new();
    let session = world.session().blocking_connect().unwrap();
    let agent = agent(session.clone(), world.rule());
    (world, session, agent)
}

fn is_401<T>(result: &Result<T, ureq::Error>) -> bool {
    matches!(result, Err(ureq::Error::StatusCode(401)))
}

#[test]
fn each_request_of_the_agent_gets_a_fresh_token() {
    let (world, _, agent) = logged_in();
    let get = || agent.get(world.server.url(PRODUCT)).call().unwrap().status();
    assert_eq!(get(), 200);
    world.pass(PAST_EXPIRY);
    assert_eq!(get(), 200);
    assert_eq!(cost(&world.server), Cost { calls: 2, rejected: 0, logins: 1, refreshes: 1 });
}

#[test]
fn a_rejected_request_is_answered_401_it_is_said_why_and_the_next_has_a_newer_token() {
    let (log, _guard) = Log::start();
    let before = counted();
    let (world, _, agent) = logged_in();
    world.server.rotate_signing_key();
    let get = || agent.get(world.server.url(PRODUCT)).call();
    assert!(is_401(&get()));
    assert!(log.text().contains("a middleware of ureq can send a request only once"), "{}", log.text());
    assert!(counted() > before || cfg!(not(feature = "metrics")));
    assert_eq!(get().unwrap().status(), 200, "it waits for the renewal");
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 1, logins: 1, refreshes: 1 });
}

#[test]
fn endless_rejections_cost_few_refreshes() {
    let (world, _, agent) = logged_in();
    world.server.reject_access_tokens(true);
    for _ in 0..100 {
        agent.get(world.server.url(PRODUCT)).call().unwrap_err();
    }
    assert!(world.server.stats().refreshes < 10, "{:?}", world.server.stats());
}

#[test]
fn a_request_that_is_not_answered_says_nothing_about_the_token() {
    let (world, _, agent) = logged_in();
    world.server.inject(Endpoint::Api, Fault::DropConnection, Times::Once);
    agent.get(world.server.url(PRODUCT)).call().unwrap_err();
    assert_eq!(agent.get(world.server.url(PRODUCT)).call().unwrap().status(), 200);
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 0, logins: 1, refreshes: 0 });
}

#[test]
fn a_body_of_any_kind_arrives_whole() {
    let (world, session) = world(Route::post("/orders", |_| Answer::new(201)));
    let agent = agent(session, world.rule());
    let mut stream = &b"a stream"[..];
    assert_eq!(agent.post(world.server.url("/orders")).send(SendBody::from_reader(&mut stream)).unwrap().status(), 201);
    assert_eq!(agent.post(world.server.url("/orders")).send("a body").unwrap().status(), 201);
    let bodies: Vec<_> = api_requests(&world.server).iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [&b"a stream"[..], b"a body"]);
}

#[test]
fn an_answer_is_an_error_of_ureq_unless_the_middleware_is_told_otherwise() {
    let (world, session) = world(Route::get("/gone", |_| Answer::new(410)));
    let auth = RequestAuth::new(session, world.rule());
    for is_error in [true, false] {
        let middleware = auth.clone().ureq_middleware().http_status_as_error(is_error);
        let answer = Agent::config_builder().middleware(middleware).build().new_agent().get(world.server.url("/gone"));
        match answer.call() {
            Err(ureq::Error::StatusCode(status)) => assert!(is_error && status == 410),
            answer => assert!(!is_error && answer.unwrap().status() == 410),
        }
    }
}

#[test]
fn a_token_that_lacks_a_scope_or_cannot_be_had_is_an_error_of_ours() {
    let (world, session) = world(Route::get("/orders", |_| Answer::new(204)).scope("orders:read"));
    world.server.set_scope(world.server.email(), "none");
    session.blocking_refresh_now().unwrap();
    let agent = agent(session, world.rule());
    let get = || agent.get(world.server.url("/orders")).call();
    assert_eq!(ours(&get().unwrap_err()).kind(), ErrorKind::InsufficientScope);
    assert_eq!(world.server.stats().refreshes, 1);

    world.server.rotate_signing_key();
    world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Always);
    assert!(is_401(&get()));
    assert_eq!(ours(&get().unwrap_err()).kind(), ErrorKind::Unavailable, "and the request is not sent");
    assert_eq!(world.server.stats().rejected, 1);
}

#[test]
fn what_counts_as_a_rejection_is_the_users_to_say() {
    let mut answers = [Answer::new(419), Answer::new(401)].into_iter();
    let (world, session) = world(Route::get("/odd", move |_| answers.next().unwrap()));
    let agent = agent(session.clone(), world.rule().rejected_if(|status, _| status == 419));
    let get = || agent.get(world.server.url("/odd")).call();
    assert!(matches!(get(), Err(ureq::Error::StatusCode(419))));
    until_blocking("the token is renewed", || session.stats().refreshes == 1);
    assert!(is_401(&get()), "a 401 is none here");
    assert_eq!(session.stats().refreshes, 1);
}

#[test]
fn no_redirect_takes_a_token_along_and_what_is_answered_there_does_not_renew_it() {
    for status in [204, 401] {
        let other = TestServer::builder().route(Route::get("/here", move |_| Answer::new(status)).public()).start();
        let there = other.url("/here");
        let (world, session) = world(Route::get("/away", move |_| Answer::new(302).header("location", &there)));
        let agent = Agent::config_builder()
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .middleware(RequestAuth::new(session, world.rule()).ureq_middleware().http_status_as_error(false))
            .build()
            .new_agent();
        assert_eq!(agent.get(world.server.url("/away")).call().unwrap().status(), status);
        assert_eq!(other.requests()[0].header("authorization"), None, "another port is another origin");
        assert!(api_requests(&world.server)[0].header("authorization").is_some());
        assert_eq!(world.server.stats().refreshes, 0);
    }
}

#[test]
fn a_redirect_of_a_request_with_the_token_in_another_header_is_handed_on() {
    let (world, session) = world(Route::get("/away", |_| Answer::new(302).header("location", "/")).public());
    let rule = world.rule().header(HeaderName::from_static("x-key")).scheme("").unwrap();
    let answer = agent(session, rule).get(world.server.url("/away")).call().unwrap();
    assert_eq!(answer.status(), 302);
    assert!(matches!(&*api_requests(&world.server), [request] if request.header("x-key").is_some()));
}

#[test]
fn a_request_to_another_origin_gets_no_token_and_keeps_its_settings() {
    let other = World::new();
    let (_, _, agent) = logged_in();
    let get = || agent.get(other.server.url(PRODUCT));
    assert!(is_401(&get().call()));
    let answer = get().config().http_status_as_error(false).build().call().unwrap();
    assert_eq!(answer.status(), 401);
    assert!(other.server.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn a_header_that_a_request_has_is_left_alone_or_replaced_if_the_user_says_so() {
    let (world, session, kept) = logged_in();
    let replaced = agent(session, world.rule().replace_existing());
    let get = |agent: &Agent| agent.get(world.server.url(PRODUCT)).header("authorization", "Bearer mine").call();
    assert!(is_401(&get(&kept)));
    assert_eq!(api_requests(&world.server)[0].header("authorization"), Some("Bearer mine"));
    assert_eq!(get(&replaced).unwrap().status(), 200);
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 1, logins: 1, refreshes: 0 });
}

#[test]
fn a_lease_is_held_until_the_answer_is_dropped() {
    let world = World::with(with_accounts(TestServer::builder().access_lifetime(HOUR), 1).start());
    let pool = Pool::builder().clock(&world.clock).account(account(&world.server, 0).concurrency(1)).build().unwrap();
    until_blocking("the account serves", || pool.status().active == 1);
    let answer = agent(pool.clone(), world.rule()).get(world.server.url(PRODUCT)).call().unwrap();
    assert!(TokenProvider::ready(&pool).is_none(), "the one lease is taken");
    drop(answer);
    assert!(TokenProvider::ready(&pool).is_some());
}

#[test]
fn run_with_such_an_agent_sends_a_rejected_request_twice_and_no_more() {
    let (world, session, agent) = logged_in();
    world.server.rotate_signing_key();
    let auth = RequestAuth::new(session, world.rule());
    assert_eq!(auth.run(&agent, Request::get(world.server.url(PRODUCT)).body(()).unwrap()).unwrap().status(), 200);
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 1, logins: 1, refreshes: 1 });
}

struct Api {
    world: World,
    session: Session,
    agent: Agent,
}

fn is_rejection(error: &crate::support::BoxError) -> bool {
    matches!(error.downcast_ref(), Some(ureq::Error::StatusCode(401)))
}

impl Api {
    /// The request gets its token from the middleware.
    #[refresh_token(retry_if = is_rejection)]
    fn product(&self) -> Result<String, crate::support::BoxError> {
        Ok(self.agent.get(self.world.server.url(PRODUCT)).call()?.body_mut().read_to_string()?)
    }
}

#[test]
fn a_method_with_retry_runs_once_more_and_costs_one_refresh() {
    let (world, session, agent) = logged_in();
    world.server.rotate_signing_key();
    let api = Api { world, session, agent };
    assert!(!api.product().unwrap().is_empty());
    assert_eq!(cost(&api.world.server), Cost { calls: 1, rejected: 1, logins: 1, refreshes: 1 });
}

/// A middleware that sends a request of its own.
fn made_anew(request: Request<SendBody<'_>>, next: MiddlewareNext<'_>) -> Result<Response<Body>, ureq::Error> {
    let (head, body) = request.into_parts();
    next.handle(Request::get(head.uri).body(body)?)
}

#[test]
fn a_request_that_another_middleware_made_from_nothing_is_not_sent_and_it_is_said_why() {
    let world = World::new();
    let session = world.session().blocking_connect().unwrap();
    let auth = RequestAuth::new(session, world.rule());
    let agent = Agent::config_builder().middleware(made_anew).middleware(auth.ureq_middleware()).build().new_agent();
    let error = agent.get(world.server.url(PRODUCT)).call().unwrap_err();
    let error: &Error = ours(&error);
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("change the request that it was given"), "{error}");
    assert_eq!(api_requests(&world.server).len(), 0);
}
