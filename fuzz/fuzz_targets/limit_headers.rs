//! Reads what the headers of answers say of an account's limits.
//!
//! The input has a line `status: 200`, a line `cost: 7`, and lines of headers.
//!
//! Whatever they say, the pool answers at once, and the account serves again after the longest time
//! for which a server is believed, by one call at least.
#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jwt_refresh_core::ManualClock;
use jwt_refresh_core::pool::{Account, Pool};
use jwt_refresh_fuzz::Input;
use libfuzzer_sys::fuzz_target;

/// The longest `Retry-After` that a policy believes by default.
const LONGEST: Duration = Duration::from_secs(600);

fuzz_target!(|data: &[u8]| {
    let input = Input::split(data);
    let status = input.parsed("status").and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or_default();
    let cost = input.parsed("cost").unwrap_or(1);
    let headers: HeaderMap = input.lines().filter_map(header).collect();
    let clock = ManualClock::new();
    let pool = Pool::builder().clock(&clock).account(Account::api_key("a", "key")).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let lease = pool.lease().await.unwrap();
        lease.spent(cost);
        lease.answered(status, &headers);
        lease.answered(status, &headers);
        drop(lease);
        let _ = pool.lease().cost(cost).within(Duration::ZERO).await;
        clock.advance(LONGEST);
        pool.lease().cost(cost).within(Duration::ZERO).await.expect("the account serves again");
    });
});

fn header((name, value): (&str, &str)) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, value.parse().ok()?))
}
