//! What a renewal asks a server for, and how often it did.

use crate::error::Error;

/// A request for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Login,
    Refresh,
}

impl Action {
    /// What it is called in errors and traces.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Refresh => "refresh",
        }
    }
}

/// Counts a login or a refresh, a session's or a pool's.
pub(crate) fn count_answer(action: Action, error: Option<&Error>) {
    count(match (error, action) {
        (Some(_), _) => "jwt_refresh_failures_total",
        (None, Action::Login) => "jwt_refresh_logins_total",
        (None, Action::Refresh) => "jwt_refresh_refreshes_total",
    });
}

/// Counts a caller of a session that has to wait for a renewal.
pub(crate) fn count_wait() {
    count("jwt_refresh_waits_total");
}

#[cfg(feature = "metrics")]
fn count(name: &'static str) {
    metrics::counter!(name).increment(1);
}

#[cfg(not(feature = "metrics"))]
fn count(_: &'static str) {}
