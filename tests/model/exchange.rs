//! A login or refresh as its session sees it: what was sent, and what came back.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Login,
    Refresh,
}

/// What an answer means for what was sent, a refresh token or a password. See "What if the server
/// says no?" in DESIGN.md.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// There are new tokens, with this refresh token if with any.
    Tokens(Option<String>),
    /// It is refused, and must not be sent again.
    Dead,
    /// The refresh token is spent, or it is not.
    InDoubt,
    /// It is as good as before.
    Sound,
    /// This is no login endpoint.
    Misconfigured,
}

/// A login or refresh.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) session: usize,
    pub(crate) action: Action,
    /// The refresh token that was sent.
    pub(crate) sent: Option<String>,
    /// The line of the history at which it began.
    pub(crate) begun: usize,
    pub(crate) since: Instant,
    /// The time of the walk at which it began.
    pub(crate) at: Duration,
    /// The access token that was issued for it.
    pub(crate) brought: Option<String>,
    /// What the server answered to each request that came of it. `None`: no whole answer.
    pub(crate) answers: Vec<Option<Meaning>>,
    pub(crate) end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The authenticator has returned.
    Returned,
    /// It was dropped before: by a time-out or a kill.
    Dropped,
}

impl Exchange {
    /// Returns what the session knows now, or `None` while the exchange goes on.
    pub(crate) fn known(&self) -> Option<Meaning> {
        Some(match (self.end?, self.answers.last()) {
            (End::Returned, Some(Some(meaning))) => meaning.clone(),
            // The request did not arrive.
            (End::Returned, None) => Meaning::Sound,
            _ if self.action == Action::Refresh => Meaning::InDoubt,
            // No answer makes a password any worse.
            _ => Meaning::Sound,
        })
    }

    /// Returns whether the refresh token that was sent is known to be as good as it was: the answer
    /// had none, or the same.
    pub(crate) fn kept(&self) -> bool {
        match self.known() {
            Some(Meaning::Sound | Meaning::Tokens(None)) => true,
            Some(Meaning::Tokens(new)) => new == self.sent,
            _ => false,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.end.is_none()
    }
}
