//! Measures what a token costs a request: the same request through a client as it is, and through
//! one that gives it a token. The server is a function, so that nothing else is measured, and the
//! token is fresh. Printed are medians of CPU time of the thread, in nanoseconds a request.
//!
//! ```sh
//! cargo bench --bench send --features reqwest-middleware,tower
//! ```

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use http::Extensions;
use http_body_util::Full;
use jwt_refresh::{HttpAuthenticator, PeekedBody, RequestAuth, RequestRule, Session, Tokens};
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use rustix::time::{ClockId, clock_gettime};
use tower::{Service, ServiceBuilder, ServiceExt};

const ROUNDS: usize = 21;
const REQUESTS: u32 = 20_000;
const ORIGIN: &str = "https://api.example";
const URL: &str = "https://api.example/api/v1/products/1";

/// Answers each request at once.
struct Server;

#[async_trait::async_trait]
impl Middleware for Server {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        black_box(request);
        Ok(http::Response::new("").into())
    }
}

/// Does the same as a service of tower.
fn server<B: Send + 'static>()
-> impl Service<http::Request<B>, Response = http::Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    tower::service_fn(|request: http::Request<B>| {
        black_box(request);
        std::future::ready(Ok(http::Response::new(Full::new(Bytes::new()))))
    })
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Sends requests, each of which returns a status, and returns the CPU nanoseconds of each.
async fn measure(mut send: impl AsyncFnMut() -> http::StatusCode) -> f64 {
    let start = cpu_time();
    for _ in 0..REQUESTS {
        assert!(black_box(send().await) == 200, "a request that was not answered");
    }
    cpu_time().saturating_sub(start).as_secs_f64() * 1e9 / f64::from(REQUESTS)
}

async fn measure_middleware(client: &ClientWithMiddleware) -> f64 {
    measure(async || client.get(URL).send().await.map_or(http::StatusCode::BAD_GATEWAY, |answer| answer.status())).await
}

async fn measure_service<R>(
    service: &mut impl Service<http::Request<Full<Bytes>>, Response = http::Response<R>>,
    body: &Bytes,
) -> f64 {
    measure(async || {
        let mut request = http::Request::new(Full::new(body.clone()));
        *request.uri_mut() = http::Uri::from_static(URL);
        let Ok(ready) = service.ready().await else { return http::StatusCode::BAD_GATEWAY };
        ready.call(request).await.map_or(http::StatusCode::BAD_GATEWAY, |answer| answer.status())
    })
    .await
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures both in turns, and prints what they cost.
async fn compare(name: &str, mut bare: impl AsyncFnMut() -> f64, mut with_token: impl AsyncFnMut() -> f64) {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(bare().await);
        with.push(with_token().await);
    }
    let (without, with) = (median(without), median(with));
    println!("{name:<24} bare {without:>6.0} ns   with a token {with:>6.0} ns   more {:>6.0} ns", with - without);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let login = HttpAuthenticator::builder("https://api.example/login").build()?;
    // A signed JWT usually has about this length.
    let tokens = Tokens::new("x".repeat(800))?.expires_in(Duration::from_secs(86_400));
    let session = Session::builder(login).tokens(tokens).build();
    let auth = RequestAuth::new(session, RequestRule::for_origin(ORIGIN)?);

    let bare = ClientBuilder::new(Client::new()).with(Server).build();
    let with_token = ClientBuilder::new(Client::new()).with(auth.clone()).with(Server).build();
    compare(
        "reqwest-middleware",
        async || measure_middleware(&bare).await,
        async || measure_middleware(&with_token).await,
    )
    .await;

    for (name, body) in [("tower, no body", Bytes::new()), ("tower, body of 64 KiB", Bytes::from(vec![0; 65_536]))] {
        let mut bare = server();
        let mut with_token = ServiceBuilder::new().layer(auth.clone()).service(server::<PeekedBody<Full<Bytes>>>());
        compare(
            name,
            async || measure_service(&mut bare, &body).await,
            async || measure_service(&mut with_token, &body).await,
        )
        .await;
    }
    Ok(())
}
