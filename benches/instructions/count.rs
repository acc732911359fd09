//! Counts the instructions of a call with a fresh token, under Callgrind. The counts are the same
//! from run to run, so the limits can be close: one that is passed is a change of the code.
//!
//! ```sh
//! cargo bench --manifest-path benches/instructions/Cargo.toml
//! ```
//!
//! It needs valgrind, and `gungraun-runner` of the version in Cargo.lock. `scripts/test-release`
//! installs both.

use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};

use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use http::HeaderValue;
use jwt_refresh::prelude::*;
use jwt_refresh::{AccessToken, Error};
use rustix::time::{ClockId, clock_gettime};

struct NeverAsked;

impl Authenticator for NeverAsked {
    async fn login(&self) -> Result<Tokens, Error> {
        unreachable!("the token is fresh")
    }
}

struct Api {
    session: Session,
}

#[refresh_token]
impl Api {
    async fn checked(&self) -> Result<u32, Error> {
        Ok(black_box(1))
    }

    #[refresh_token(token)]
    async fn with_header(&self) -> Result<u32, Error> {
        black_box(&HeaderValue::from(&token));
        Ok(black_box(1))
    }

    #[refresh_token(retry)]
    async fn with_retry_alone(&self) -> Result<u32, Error> {
        Ok(black_box(1))
    }

    #[refresh_token(token)]
    async fn with_token(&self) -> Result<u32, Error> {
        black_box::<&AccessToken>(&token);
        Ok(black_box(1))
    }

    #[refresh_token(token, retry)]
    async fn with_retry(&self) -> Result<u32, Error> {
        black_box::<&AccessToken>(&token);
        Ok(black_box(1))
    }
}

/// The least that can be done: an atomic load and the coarse clock, and a copy of a header.
struct Least {
    deadline: AtomicI64,
    header: HeaderValue,
}

impl Least {
    async fn checked(&self) -> Result<u32, Error> {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        let is_fresh = now.tv_sec * 1_000_000_000 + now.tv_nsec < self.deadline.load(Ordering::Acquire);
        if is_fresh { Ok(black_box(1)) } else { unreachable!("the deadline never comes") }
    }

    async fn with_header(&self) -> Result<u32, Error> {
        let answer = self.checked().await;
        black_box(&self.header.clone());
        answer
    }
}

/// A header of which there has been a copy: the first one makes its reference count.
fn least() -> Least {
    let header = HeaderValue::from_bytes(b"Bearer token").expect("a header");
    drop(header.clone());
    Least { deadline: AtomicI64::new(i64::MAX), header }
}

/// Returns the output of a future that does not wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the token is fresh, so nothing is waited for"),
    }
}

/// A session that has a fresh token, as it is after the first call of a thread.
fn fresh() -> Api {
    let tokens = Tokens::new("token").expect("a token").expires_in(std::time::Duration::from_secs(3600));
    let api = Api { session: Session::builder(NeverAsked).tokens(tokens).build() };
    for _ in 0..3 {
        ready(api.checked()).expect("the token is fresh");
        ready(api.with_header()).expect("the token is fresh");
        ready(api.with_token()).expect("the token is fresh");
        ready(api.with_retry()).expect("the token is fresh");
        ready(api.with_retry_alone()).expect("the token is fresh");
    }
    api
}

#[library_benchmark]
#[bench::least(args = [least()])]
fn least_check(least: Least) -> Least {
    black_box(ready(least.checked())).expect("the deadline never comes");
    least
}

#[library_benchmark]
#[bench::least(args = [least()])]
fn least_header(least: Least) -> Least {
    black_box(ready(least.with_header())).expect("the deadline never comes");
    least
}

#[library_benchmark]
#[bench::fresh(args = [fresh()], config = limit(100))]
fn check(api: Api) -> Api {
    black_box(ready(api.checked())).expect("the token is fresh");
    api
}

#[library_benchmark]
#[bench::fresh(args = [fresh()], config = limit(220))]
fn header(api: Api) -> Api {
    black_box(ready(api.with_header())).expect("the token is fresh");
    api
}

#[library_benchmark]
#[bench::fresh(args = [fresh()], config = limit(170))]
fn token(api: Api) -> Api {
    black_box(ready(api.with_token())).expect("the token is fresh");
    api
}

#[library_benchmark]
#[bench::fresh(args = [fresh()], config = limit(225))]
fn retry_alone(api: Api) -> Api {
    black_box(ready(api.with_retry_alone())).expect("the token is fresh");
    api
}

#[library_benchmark]
#[bench::fresh(args = [fresh()], config = limit(225))]
fn retry(api: Api) -> Api {
    black_box(ready(api.with_retry())).expect("the token is fresh");
    api
}

/// Fails the run if there are more instructions.
fn limit(instructions: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, instructions)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

library_benchmark_group!(name = fast_path, benchmarks = [least_check, check, token, least_header, header, retry_alone, retry]);

main!(library_benchmark_groups = fast_path);
