//! What a session and a pool promise, while everything is done to break it: callers are dropped, processes killed, servers down, clocks
//! stepped. Each test has a short form, which runs by default, and a long one, which `scripts/torture` runs
//! (`JWT_REFRESH_TORTURE=long`). Each prints one line: what was promised, and what was counted.

mod caller;
mod cancellations;
mod chaos;
mod child;
mod clocks;
mod dice;
#[cfg(all(unix, feature = "redis"))]
mod duty;
#[cfg(unix)]
mod fleet;
#[cfg(unix)]
mod kills;
#[cfg(unix)]
mod logouts;
mod outages;
#[cfg(all(unix, feature = "redis"))]
mod pool_kills;
#[cfg(unix)]
mod processes;
mod rates;
#[cfg(feature = "redis")]
#[path = "../redis/server.rs"]
#[expect(dead_code, reason = "the tests of the store do more with it")]
mod redis_server;
mod relay;
mod scale;
mod shelf;
mod steady;
#[cfg(feature = "redis")]
mod store_outages;
#[path = "../pool/throughput.rs"]
mod throughput;
mod world;

use std::time::{Duration, Instant};

/// Waits until `done`, which others bring about.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
