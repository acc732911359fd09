//! The counters of a session, as its user sees them.

use std::time::Duration;

use crate::error::Error;

/// A snapshot of a session's counters, returned by [`Session::stats`](crate::Session::stats).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionStats {
    /// How often a token was asked for, mostly by calls of annotated methods. If more than 32
    /// threads ask, some may not be counted.
    pub requests: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Refreshes that succeeded.
    pub refreshes: u64,
    /// Logins and refreshes that failed.
    pub failures: u64,
    /// Refreshes that failed because the server refused the refresh token, so that a login had to
    /// follow. If this grows with `logins` and `refreshes` stays 0, refreshing does not work: check
    /// how it is set up.
    pub refused_refreshes: u64,
    /// How often a caller had to wait for a renewal.
    pub waits: u64,
    /// How long the current token lives from now; zero if it has expired. `None` if there is no
    /// token, or if its expiry is unknown.
    pub expires_in: Option<Duration>,
    /// The last error of a login, a refresh or a whole renewal. A later success does not clear it.
    pub last_error: Option<Error>,
}

impl SessionStats {
    /// Returns the auth overhead: logins and refreshes per request.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of counts that large needs no more digits")]
    pub fn overhead(&self) -> f64 {
        (self.logins + self.refreshes) as f64 / self.requests.max(1) as f64
    }
}
