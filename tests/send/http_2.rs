//! reqwest over HTTP/2. For the layer of tower see there.

use jwt_refresh::RequestAuth;
use jwt_refresh_testkit::{Answer, Route, TestServer};
use reqwest::{Body, Client, Request, Version};

use crate::api_requests;
use crate::not_retried::{Log, counted};
use crate::support::{BoxError, World, until};

/// Sends a stream and then a body that can be cloned, each with a token that is rejected, by a
/// client that speaks nothing but HTTP/2.
async fn assert_only_what_can_be_cloned_is_sent_again(
    send: impl AsyncFn(&RequestAuth<jwt_refresh::Session>, &Client, Request) -> Result<reqwest::Response, BoxError>,
) {
    let (log, _guard) = Log::start();
    let before = counted();
    let world = World::with(TestServer::builder().route(Route::post("/orders", |_| Answer::new(201))).start());
    let session = world.logged_in().await;
    let auth = RequestAuth::new(session.clone(), world.rule());
    let http = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let post = async |body: Body| {
        world.server.rotate_signing_key();
        let request = http.post(world.server.url("/orders")).body(body).build().unwrap();
        let answer = send(&auth, &http, request).await.unwrap();
        (answer.version(), answer.status().as_u16())
    };

    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("a "), Ok("stream")]);
    assert_eq!(post(Body::wrap_stream(pieces)).await, (Version::HTTP_2, 401));
    assert!(log.text().contains("the body of the request can be had only once"), "{}", log.text());
    assert!(counted() > before || cfg!(not(feature = "metrics")));
    until("the token is renewed", async || session.stats().refreshes == 1).await;

    assert_eq!(post(Body::from("a body")).await, (Version::HTTP_2, 201));
    let bodies: Vec<_> = api_requests(&world.server).iter().map(|request| request.body().to_vec()).collect();
    assert_eq!(bodies, [&b"a stream"[..], b"a body", b"a body"]);
    assert_eq!(session.stats().refreshes, 2);
}

#[tokio::test]
async fn over_http_2_execute_sends_no_stream_again_and_says_why_and_what_can_be_cloned_once_more() {
    assert_only_what_can_be_cloned_is_sent_again(async |auth, http, request| Ok(auth.execute(http, request).await?))
        .await;
}

#[cfg(feature = "reqwest-middleware")]
#[tokio::test]
async fn over_http_2_the_middleware_sends_no_stream_again_and_says_why_and_what_can_be_cloned_once_more() {
    assert_only_what_can_be_cloned_is_sent_again(async |auth, http, request| {
        let client = reqwest_middleware::ClientBuilder::new(http.clone()).with(auth.clone()).build();
        Ok(client.execute(request).await?)
    })
    .await;
}
