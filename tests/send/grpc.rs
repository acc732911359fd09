//! Calls of gRPC by a client of tonic behind the layer, against a real server.

use std::convert::Infallible;

use futures_util::{Stream, stream};
use http::{Request, Uri};
use jwt_refresh::{PeekedBody, RequestAuth, RequestAuthService, RequestRule, Session};
use tonic::Code;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceBuilder;
use tower::util::MapRequest;

use crate::examples::grpc::catalog::{CatalogClient, ProductRequest};
use crate::examples::grpc::gateway;
use crate::not_retried::Log;
use crate::support::{World, until};
use crate::{Cost, cost};

/// What the client sends its calls by.
type Layered = RequestAuthService<MapRequest<Channel, fn(Request<PeekedBody<Body>>) -> Request<Body>>, Session>;

/// A client of a server that takes the tokens of `session`.
fn client(world: &World, session: Session) -> CatalogClient<Layered> {
    let origin = format!("http://{}", gateway::start(world.server.base_url()).unwrap());
    let rule = RequestRule::for_origin(&origin)
        .unwrap()
        .rejected_if(|_, headers| headers.get("grpc-status").is_some_and(|status| status == "16"));
    let service = ServiceBuilder::new()
        .layer(RequestAuth::new(session, rule))
        .map_request((|request: Request<_>| request.map(Body::new)) as fn(_) -> _)
        .service(Endpoint::from_shared(origin.clone()).unwrap().connect_lazy());
    CatalogClient::with_origin(service, origin.parse::<Uri>().unwrap())
}

const PRODUCT: ProductRequest = ProductRequest { id: 1 };

/// Requests of which the second is there only when the first was taken.
fn one_by_one() -> impl Stream<Item = ProductRequest> + Send + 'static {
    stream::unfold(0, async |sent| {
        tokio::task::yield_now().await;
        (sent < 2).then_some((PRODUCT, sent + 1))
    })
}

#[tokio::test]
async fn a_call_that_is_answered_unauthenticated_without_a_body_is_made_again() {
    let world = World::new();
    let mut client = client(&world, world.logged_in().await);
    world.server.rotate_signing_key();
    assert!(client.get_product(PRODUCT).await.unwrap().into_inner().json.contains("id"));
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 1, logins: 1, refreshes: 1 });

    world.server.reject_access_tokens(true);
    assert_eq!(client.get_product(PRODUCT).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 3, logins: 1, refreshes: 2 });
}

#[tokio::test]
async fn a_call_with_a_stream_of_messages_is_not_made_again_and_it_is_said_why() {
    let (log, _guard) = Log::start();
    let world = World::new();
    let session = world.logged_in().await;
    let mut client = client(&world, session.clone());
    world.server.rotate_signing_key();
    assert_eq!(client.find_products(one_by_one()).await.unwrap_err().code(), Code::Unauthenticated);
    assert!(log.text().contains("the body of the request can be had only once"), "{}", log.text());
    until("the token is renewed", async || session.stats().refreshes == 1).await;
    let mut products = client.find_products(one_by_one()).await.unwrap().into_inner();
    assert!(products.message().await.unwrap().is_some() && products.message().await.unwrap().is_some());
    assert_eq!(cost(&world.server), Cost { calls: 2, rejected: 1, logins: 1, refreshes: 1 });
}

#[tokio::test]
async fn unauthenticated_in_the_trailers_comes_too_late_and_is_handed_on() {
    let world = World::new();
    let session = world.logged_in().await;
    let mut client = client(&world, session.clone());
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    sender.send(PRODUCT).unwrap();
    let requests = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let mut products = client.find_products(requests).await.unwrap().into_inner();
    assert!(products.message().await.unwrap().is_some());
    world.server.rotate_signing_key();
    sender.send(PRODUCT).unwrap();
    assert_eq!(products.message().await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(cost(&world.server), Cost { calls: 1, rejected: 1, logins: 1, refreshes: 0 });
}

#[tokio::test]
async fn a_client_whose_requests_do_not_say_where_they_go_gets_no_token() {
    let world = World::new();
    let session = world.logged_in().await;
    let asked = session.stats().requests;
    let rule = RequestRule::for_origin("https://api.example").unwrap();
    let below = tower::service_fn(async |request: Request<PeekedBody<Body>>| {
        assert!(!request.headers().contains_key("authorization"));
        Ok::<_, Infallible>(tonic::Status::unauthenticated("no token").into_http::<Body>())
    });
    let service = ServiceBuilder::new().layer(RequestAuth::new(session.clone(), rule)).service(below);
    let mut client = CatalogClient::with_origin(service, Uri::default());
    assert_eq!(client.get_product(PRODUCT).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(session.stats().requests, asked);
}
