//! What a session has done, in numbers.

use std::time::Duration;

use crate::error::Error;

/// A snapshot of a session's counters: [`Session::stats`](crate::Session::stats).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionStats {
    /// How often a token was asked for: calls of annotated methods, for the most part. On more than 32 threads some may be missed.
    pub requests: u64,
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
    /// The auth overhead: logins and refreshes for each request.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of counts that large needs no more digits")]
    pub fn overhead(&self) -> f64 {
        (self.logins + self.refreshes) as f64 / self.requests.max(1) as f64
    }
}
