//! Waiting for what other tasks, threads or processes do.

use std::time::{Duration, Instant};

use super::MINUTE;

/// What a test waits for takes far less, unless the machine is busy.
const LIMIT: Duration = MINUTE;
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Waits until `is_done`, and panics with `what` if it takes a minute.
pub(crate) async fn until(what: &str, mut is_done: impl AsyncFnMut() -> bool) {
    let wait = async {
        let mut pause = FIRST_PAUSE;
        while !is_done().await {
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Does the same in a test without a runtime: blocks the thread.
pub(crate) fn until_blocking(what: &str, mut is_done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_done() {
        assert!(begun.elapsed() < LIMIT, "waited in vain until {what}");
        std::thread::sleep(LONGEST_PAUSE);
    }
}
