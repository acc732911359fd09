//! What a session has done, in numbers.

use std::time::Duration;

use crate::Error;

/// A snapshot of a session's counters: [`Session::stats`](crate::Session::stats).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionStats {
    /// Logins that succeeded.
    pub logins: u64,
    /// Refreshes that succeeded.
    pub refreshes: u64,
    /// Logins and refreshes that failed.
    pub failures: u64,
    /// Callers that had to wait for a renewal.
    pub waits: u64,
    /// How long the token held lives from now; `None` without one, or if nobody said.
    pub expires_in: Option<Duration>,
    /// Why the last renewal that failed did.
    pub last_error: Option<Error>,
}

impl SessionStats {
    /// Logins and refreshes for each of `requests`: the share of all requests that is spent on authentication.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of counts that large needs no more digits")]
    pub fn overhead(&self, requests: u64) -> f64 {
        (self.logins + self.refreshes) as f64 / requests.max(1) as f64
    }
}
