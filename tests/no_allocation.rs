//! A call with a fresh token allocates nothing.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jwt_refresh::Error;
use jwt_refresh::prelude::*;

struct Api {
    session: Session,
}

#[refresh_token]
impl Api {
    async fn nothing_bound(&self) -> Result<u32, Error> {
        Ok(1)
    }

    #[refresh_token(token)]
    async fn header_made(&self) -> Result<usize, Error> {
        Ok(http::HeaderValue::from(&token).len())
    }
}

/// The result of a future that does not wait.
fn ready<T>(future: impl Future<Output = Result<T, Error>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value.unwrap(),
        Poll::Pending => panic!("it waited for a token that is fresh"),
    }
}

#[test]
fn a_call_with_a_fresh_token_allocates_nothing() {
    let authenticator = HttpAuthenticator::builder("https://api.example/login").build().unwrap();
    let tokens = Tokens::new("x".repeat(800)).unwrap().expires_in(Duration::from_secs(86_400));
    let api = Api { session: Session::builder(authenticator).tokens(tokens).build() };
    // The first call of a thread fills its thread cache.
    ready(api.header_made());

    let allocations = allocation_counter::measure(|| {
        for _ in 0..100 {
            ready(api.nothing_bound());
            ready(api.header_made());
        }
    });
    assert_eq!(allocations.count_total, 0);
}
