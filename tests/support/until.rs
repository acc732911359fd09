//! Waiting for what other tasks, threads or processes do.

use std::time::Duration;

/// How long a test waits for something that takes far less.
const LIMIT: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Waits until `is_done`, and panics with `what` if it takes longer than twenty seconds.
pub(crate) async fn until(what: &str, is_done: impl AsyncFnMut() -> bool) {
    until_within(LIMIT, what, is_done).await;
}

/// Waits until `is_done`, and panics with `what` if it takes longer than `limit`.
pub(crate) async fn until_within(limit: Duration, what: &str, mut is_done: impl AsyncFnMut() -> bool) {
    let wait = async {
        let mut pause = FIRST_PAUSE;
        while !is_done().await {
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    };
    tokio::time::timeout(limit, wait).await.unwrap_or_else(|_| panic!("waited {limit:?} until {what}"));
}
