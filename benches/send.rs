//! Measures what a token costs a request of an HTTP client: the same request through the client as
//! it is, and through one that gives it a token. The server is a function, so that nothing else is
//! measured, and the token is fresh. Printed are medians of CPU time of the thread, in nanoseconds
//! a request.
//!
//! ```sh
//! cargo bench --bench send --features reqwest-middleware
//! ```

use std::hint::black_box;
use std::time::Duration;

use http::Extensions;
use jwt_refresh::{HttpAuthenticator, RequestAuth, RequestRule, Session, Tokens};
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 21;
const REQUESTS: u32 = 20_000;
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

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Sends requests, and returns the CPU nanoseconds of each.
async fn measure(client: &ClientWithMiddleware) -> f64 {
    let start = cpu_time();
    for _ in 0..REQUESTS {
        let answer = client.get(URL).send().await;
        assert!(black_box(answer).is_ok_and(|answer| answer.status() == 200), "a request that was not answered");
    }
    cpu_time().saturating_sub(start).as_secs_f64() * 1e9 / f64::from(REQUESTS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let login = HttpAuthenticator::builder("https://api.example/login").build()?;
    // A signed JWT usually has about this length.
    let tokens = Tokens::new("x".repeat(800))?.expires_in(Duration::from_secs(86_400));
    let session = Session::builder(login).tokens(tokens).build();
    let auth = RequestAuth::new(session, RequestRule::for_origin("https://api.example")?);

    let bare = ClientBuilder::new(Client::new()).with(Server).build();
    let with_token = ClientBuilder::new(Client::new()).with(auth).with(Server).build();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(measure(&bare).await);
        with.push(measure(&with_token).await);
    }
    let (without, with) = (median(without), median(with));
    println!(
        "reqwest-middleware   bare {without:>6.0} ns   with a token {with:>6.0} ns   more {:>6.0} ns",
        with - without
    );
    Ok(())
}
