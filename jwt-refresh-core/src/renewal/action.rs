//! The requests that a renewal sends, and the metrics that count them.

use crate::authenticator::Asked;
use crate::counter::count;
use crate::error::Error;

/// A request for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Login,
    Refresh,
}

impl Action {
    /// Returns what the server is asked for.
    pub(crate) const fn asked(self) -> Asked {
        match self {
            Self::Login => Asked::Login,
            Self::Refresh => Asked::Refresh,
        }
    }

    /// Returns the name of the request in errors and traces.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Refresh => "refresh",
        }
    }
}

/// Counts a login or refresh of a session or a pool: as a failure if there is an `error`.
pub(crate) fn count_answer(action: Action, error: Option<&Error>) {
    count(match (error, action) {
        (Some(_), _) => "jwt_refresh_failures_total",
        (None, Action::Login) => "jwt_refresh_logins_total",
        (None, Action::Refresh) => "jwt_refresh_refreshes_total",
    });
}

/// Counts a caller of a session that waits for a renewal.
pub(crate) fn count_wait() {
    count("jwt_refresh_waits_total");
}
