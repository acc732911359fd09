//! Waiting for what other tasks, threads or processes do.

use std::time::Duration;

use super::MINUTE;

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Waits until `is_done`, and panics with `what` if it takes a minute. What a test waits for takes
/// far less, unless the machine is busy.
pub(crate) async fn until(what: &str, mut is_done: impl AsyncFnMut() -> bool) {
    let wait = async {
        let mut pause = FIRST_PAUSE;
        while !is_done().await {
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    };
    tokio::time::timeout(MINUTE, wait).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}
