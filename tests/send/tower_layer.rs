//! What only the layer of tower promises: readiness, bodies, errors, leases.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::{FutureExt, StreamExt, stream};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use jwt_refresh::pool::Pool;
use jwt_refresh::{Error, ErrorKind, PeekedBody, RequestAuth, RequestRule, Session, TokenProvider, Tokens};
use jwt_refresh_testkit::{Answer, Endpoint, Fault, Route, TestServer, Times};
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::clients::{Body, layered};
use crate::not_retried::{Log, counted};
use crate::support::{BoxError, HOUR, World, account, until, with_accounts};
use crate::{Cost, PRODUCT, api_requests, cost};

type Piece = Result<Frame<&'static [u8]>, Infallible>;

/// A body of pieces, of which each is there only when the last one was taken.
fn pieces(texts: &'static [&'static str]) -> impl http_body::Body<Data = &'static [u8], Error = Infallible> + Unpin {
    StreamBody::new(stream::iter(texts).map(|text| -> Piece { Ok(Frame::data(text.as_bytes())) }))
}

fn get(url: impl AsRef<str>) -> Request<Body> {
    Request::get(url.as_ref()).body(Body::default()).unwrap()
}

/// A server with `/orders`, and an account that is logged in there.
async fn orders() -> (World, Session) {
    let world = World::with(TestServer::builder().route(Route::post("/orders", |_| Answer::new(201))).start());
    let session = world.logged_in().await;
    (world, session)
}

/// Sends a body after the token of the session was revoked. Returns the status of the answer, and
/// the bodies that the server got.
async fn send_rejected<B>(body: B) -> (u16, Vec<String>)
where
    B: http_body::Body<Data: Clone + Send, Error: Into<BoxError> + Send> + Unpin + Send + 'static,
{
    let (world, session) = orders().await;
    world.server.rotate_signing_key();
    let client = layered(RequestAuth::new(session.clone(), world.rule()));
    let request = Request::post(world.server.url("/orders")).body(body).unwrap();
    let status = client.oneshot(request).await.unwrap().status().as_u16();
    until("the token is renewed", async || session.stats().refreshes == 1).await;
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
    (status, api_requests(&world.server).iter().map(|request| text(request.body())).collect())
}

#[tokio::test]
async fn a_body_in_one_piece_is_sent_again_whatever_its_type() {
    let twice = |text: &str| (201, vec![text.to_owned(), text.to_owned()]);
    assert_eq!(send_rejected(Full::new(&b"a body"[..])).await, twice("a body"));
    assert_eq!(send_rejected(String::from("a body")).await, twice("a body"));
    assert_eq!(send_rejected(Empty::<&'static [u8]>::new()).await, twice(""));
    assert_eq!(send_rejected(pieces(&["a body"])).await, twice("a body"));
    assert_eq!(send_rejected(pieces(&[])).await, twice(""));
    assert_eq!(send_rejected(Full::new(&b"a body"[..]).boxed_unsync()).await, twice("a body"));
}

#[tokio::test]
async fn a_stream_arrives_whole_and_is_not_sent_again() {
    let once = |text: &str| (401, vec![text.to_owned()]);
    assert_eq!(send_rejected(pieces(&["a ", "body"])).await, once("a body"));
    assert_eq!(send_rejected(pieces(&["a ", "longer ", "body"])).await, once("a longer body"));
    let late = stream::once(tokio::task::yield_now().map(|()| -> Piece { Ok(Frame::data(b"late")) }));
    assert_eq!(send_rejected(StreamBody::new(Box::pin(late))).await, once("late"));
    let first: Piece = Ok(Frame::data(b"first "));
    let late = stream::once(tokio::task::yield_now().map(|()| -> Piece { Ok(Frame::data(b"late")) }));
    assert_eq!(send_rejected(StreamBody::new(Box::pin(stream::iter([first]).chain(late)))).await, once("first late"));
}

#[tokio::test]
async fn over_http_2_a_stream_is_not_sent_again_and_it_is_said_why_and_what_can_be_copied_is() {
    let (log, _guard) = Log::start();
    let before = counted();
    let (world, session) = orders().await;
    let auth = RequestAuth::new(session.clone(), world.rule());
    let post = |text| Request::post(world.server.url("/orders")).body(pieces(text)).unwrap();
    let hyper = legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let client = ServiceBuilder::new().layer(auth).service(hyper);

    world.server.rotate_signing_key();
    let answer = client.clone().oneshot(post(&["a ", "stream"])).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (401, Version::HTTP_2));
    assert!(log.text().contains("the body of the request can be had only once"), "{}", log.text());
    assert!(counted() > before || cfg!(not(feature = "metrics")));
    until("the token is renewed", async || session.stats().refreshes == 1).await;

    world.server.rotate_signing_key();
    let answer = client.oneshot(post(&["one piece"])).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (201, Version::HTTP_2));
    let bodies: Vec<_> = api_requests(&world.server).iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [&b"a stream"[..], b"one piece", b"one piece"]);
}

/// What the service below the layer is given.
async fn given<B>(body: B) -> (Option<SizeHint>, Vec<Vec<u8>>, Option<HeaderMap>)
where
    B: http_body::Body<Data = &'static [u8], Error = Infallible> + Unpin + Send + 'static,
{
    let seen = Arc::new(std::sync::Mutex::new((None, Vec::new(), None)));
    let service = tower::service_fn({
        let seen = Arc::clone(&seen);
        move |request: Request<PeekedBody<B>>| {
            let seen = Arc::clone(&seen);
            async move {
                let mut body = request.into_body();
                let hint = body.size_hint();
                let (mut data, mut trailers) = (Vec::new(), None);
                while let Some(frame) = body.frame().await {
                    match frame?.into_data() {
                        Ok(piece) => data.push(piece.to_vec()),
                        Err(frame) => trailers = frame.into_trailers().ok(),
                    }
                }
                *seen.lock().unwrap() = (Some(hint), data, trailers);
                Ok::<_, Infallible>(Response::new(Full::new(&b""[..])))
            }
        }
    });
    let session = World::new().session().tokens(Tokens::new("a").unwrap()).build();
    let auth = RequestAuth::new(session, RequestRule::for_origin("https://api.example").unwrap());
    let request = Request::post("https://api.example/").body(body).unwrap();
    ServiceBuilder::new().layer(auth).service(service).oneshot(request).await.unwrap();
    let seen = seen.lock().unwrap();
    seen.clone()
}

#[tokio::test]
async fn the_service_below_gets_the_size_and_the_trailers_of_the_body_that_was_looked_at() {
    let (hint, data, _) = given(Full::new(&b"a body"[..])).await;
    assert_eq!((hint.unwrap().exact(), data), (Some(6), vec![b"a body".to_vec()]));
    let (hint, data, _) = given(Empty::new()).await;
    assert_eq!((hint.unwrap().exact(), data), (Some(0), Vec::new()));

    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "1".parse().unwrap());
    let body = Full::new(&b"a body"[..]).with_trailers(ready(Some(Ok(trailers.clone()))));
    let (hint, data, seen) = given(Box::pin(body)).await;
    assert_eq!((hint.unwrap().lower(), data, seen), (6, vec![b"a body".to_vec()], Some(trailers)));
}

/// A service that has to be asked whether it is ready before each call, each clone for itself.
struct Strict {
    is_ready: bool,
    /// How often a clone is not ready before it is.
    busy: usize,
    polls: Arc<AtomicUsize>,
    status: u16,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { is_ready: false, busy: 1, polls: Arc::clone(&self.polls), status: self.status }
    }
}

impl Service<Request<PeekedBody<Body>>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        if self.busy > 0 {
            self.busy -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<PeekedBody<Body>>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "a service that was not asked whether it is ready");
        self.busy = 2;
        let mut answer = Response::new(Body::default());
        *answer.status_mut() = self.status.try_into().unwrap();
        ready(Ok(answer))
    }
}

#[tokio::test]
async fn the_service_that_said_that_it_is_ready_is_called_and_asked_again_before_a_second_sending() {
    let world = World::new();
    let session = world.logged_in().await;
    let polls = Arc::new(AtomicUsize::new(0));
    let strict = Strict { is_ready: false, busy: 1, polls: Arc::clone(&polls), status: 200 };
    let auth = RequestAuth::new(session.clone(), world.rule());
    let mut client = ServiceBuilder::new().layer(auth.clone()).service(strict.clone());
    let mut context = Context::from_waker(futures_util::task::noop_waker_ref());
    assert!(client.poll_ready(&mut context).is_pending(), "the service below is busy");
    poll_fn(|context| client.poll_ready(context)).await.unwrap();
    let first = client.call(get(world.server.url(PRODUCT)));
    assert!(client.poll_ready(&mut context).is_pending(), "the clone for the next call is asked anew");
    first.await.unwrap();
    let mut other = client.clone();
    other.ready().await.unwrap().call(get(world.server.url(PRODUCT))).await.unwrap();

    let client = ServiceBuilder::new().layer(auth).service(Strict { busy: 0, status: 401, ..strict });
    polls.store(0, Ordering::Relaxed);
    assert_eq!(client.oneshot(get(world.server.url(PRODUCT))).await.unwrap().status(), 401);
    assert_eq!(polls.load(Ordering::Relaxed), 1 + 3, "two calls, and the second was waited for");
    assert_eq!(session.stats().refreshes, 1);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_error_in_the_box_is_ours() {
    let world = World::new();
    world.server.ban(world.server.email());
    let client = layered(RequestAuth::new(world.session().build(), world.rule()));
    let error = client.oneshot(get(world.server.url(PRODUCT))).await.unwrap_err();
    let error: &Error = error.downcast_ref().expect("an error of ours");
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired);
    assert_eq!(api_requests(&world.server).len(), 0);
}

#[tokio::test]
async fn an_answer_that_is_handed_on_says_in_its_extensions_why_its_token_did_not_do() {
    let world = World::with(
        TestServer::builder().route(Route::get("/orders", |_| Answer::new(204)).scope("orders:read")).start(),
    );
    world.server.set_scope(world.server.email(), "none");
    let client = layered(RequestAuth::new(world.logged_in().await, world.rule()));
    let answer = client.oneshot(get(world.server.url("/orders"))).await.unwrap();
    let error = answer.extensions().get::<Error>().unwrap();
    assert_eq!((answer.status().as_u16(), error.kind()), (403, ErrorKind::InsufficientScope));

    let world = World::new();
    let client = layered(RequestAuth::new(world.logged_in().await, world.rule()));
    world.server.rotate_signing_key();
    world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Always);
    let answer = client.oneshot(get(world.server.url(PRODUCT))).await.unwrap();
    let error = answer.extensions().get::<Error>().unwrap();
    assert_eq!((answer.status().as_u16(), error.kind()), (401, ErrorKind::Unavailable));
    assert_eq!(world.server.stats().refreshes, 0);
}

#[tokio::test]
async fn an_error_of_the_service_below_is_handed_on_and_says_nothing_about_the_token() {
    let world = World::new();
    let session = world.logged_in().await;
    let client = layered(RequestAuth::new(session, world.rule()));
    world.server.inject(Endpoint::Api, Fault::DropConnection, Times::Once);
    let error = client.clone().oneshot(get(world.server.url(PRODUCT))).await.unwrap_err();
    assert!(error.downcast_ref::<legacy::Error>().is_some(), "{error}");
    assert_eq!(client.oneshot(get(world.server.url(PRODUCT))).await.unwrap().status(), 200);
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 0, logins: 1, refreshes: 0 });
}

#[tokio::test]
async fn a_request_without_an_origin_is_sent_as_it_is() {
    let world = World::new();
    let auth = RequestAuth::new(world.logged_in().await, world.rule());
    let echo = tower::service_fn(async |request: Request<PeekedBody<Body>>| {
        assert!(!request.headers().contains_key(AUTHORIZATION));
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    ServiceBuilder::new().layer(auth).service(echo).oneshot(get("/relative")).await.unwrap();
}

#[tokio::test]
async fn a_lease_is_held_until_the_body_of_the_answer_is_dropped() {
    let world = World::with(with_accounts(TestServer::builder().access_lifetime(HOUR), 1).start());
    let pool = Pool::builder().clock(&world.clock).account(account(&world.server, 0).concurrency(1)).build().unwrap();
    until("the account serves", async || pool.status().active == 1).await;
    let is_leased = || TokenProvider::ready(&pool).is_none();
    let client = layered(RequestAuth::new(pool.clone(), world.rule()));
    let answer = client.clone().oneshot(get(world.server.url(PRODUCT))).await.unwrap();
    assert!(is_leased());
    let (_, body) = answer.into_parts();
    assert!(is_leased(), "the head is gone, and the body is not");
    assert!(!body.collect().await.unwrap().to_bytes().is_empty());
    assert!(!is_leased());

    world.server.rotate_signing_key();
    assert_eq!(client.clone().oneshot(get(world.server.url(PRODUCT))).await.unwrap().status(), 200);
    assert!(!is_leased(), "the lease that was rejected and that of the second sending are back");
    drop(client.oneshot(get(world.server.url(PRODUCT))));
    assert!(!is_leased());
}
