//! The numbers a pool goes by, with their defaults, in one place. What concerns single tokens is in [`Policy`].

use std::time::Duration;

use crate::error::Error;
use crate::policy::Policy;

/// Which of the accounts that could serve a call serves it. A call with a [`key`](super::LeaseRequest::key) goes to the key's
/// account, whatever the selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// The one whose rate has let it serve for longest, and of several the one that was used least recently.
    #[default]
    Soonest,
    /// The one that was used least recently.
    RoundRobin,
    /// Each in proportion to its [`weight`](super::Account::weight), as far as its limits let it.
    Weighted,
}

/// The numbers a pool goes by.
///
/// ```
/// use jwt_refresh_core::pool::{PoolPolicy, Selection};
///
/// let policy = PoolPolicy::default().selection(Selection::Weighted).exchanges(32);
/// ```
#[derive(Clone, Debug)]
pub struct PoolPolicy {
    pub(super) tokens: Policy,
    pub(super) selection: Selection,
    pub(super) exchanges: usize,
    pub(super) queue: usize,
    pub(super) max_inline_wait: Duration,
    pub(super) cool_down: (Duration, Duration),
    pub(super) quota_pause: Duration,
    pub(super) quarantine: (Duration, Duration),
    pub(super) renewed_again_window: Duration,
}

impl Default for PoolPolicy {
    fn default() -> Self {
        Self {
            tokens: Policy::default(),
            selection: Selection::default(),
            exchanges: 16,
            queue: 10_000,
            max_inline_wait: Duration::from_secs(5),
            cool_down: (Duration::from_secs(1), Duration::from_secs(60)),
            quota_pause: Duration::from_secs(3600),
            quarantine: (Duration::from_secs(30), Duration::from_secs(3600)),
            renewed_again_window: Duration::from_secs(30),
        }
    }
}

impl PoolPolicy {
    /// The numbers for each account's tokens: lifetimes, the refresh-ahead window, time-outs, pauses after transient failures. A
    /// pool begins refreshes earlier by up to another such window, at random, to spread them.
    pub fn tokens(mut self, policy: Policy) -> Self {
        self.tokens = policy;
        self
    }

    /// Which of the accounts that could serve a call does. Default [`Selection::Soonest`].
    pub fn selection(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// How many logins and refreshes may be under way at once, for all accounts together. Default 16; 0 is taken as 1.
    pub fn exchanges(mut self, most: usize) -> Self {
        self.exchanges = most.max(1);
        self
    }

    /// How many callers may wait for a lease; one more fails with [`Busy`](crate::ErrorKind::Busy). Default 10 000.
    pub fn queue(mut self, longest: usize) -> Self {
        self.queue = longest;
        self
    }

    /// Up to how long an account that was answered 429 merely rests, as if its rate did not let it serve. An account that has to
    /// rest for longer goes into quarantine. Default 5 s.
    pub fn max_inline_wait(mut self, max_inline_wait: Duration) -> Self {
        self.max_inline_wait = max_inline_wait;
        self
    }

    /// How long an account rests after a 429 that came without `Retry-After`: `first`, doubled with each in a row up to
    /// `longest`. Default 1 s to 60 s.
    pub fn cool_down(mut self, first: Duration, longest: Duration) -> Self {
        self.cool_down = (first, longest);
        self
    }

    /// How long an account rests whose quota is used up, if nobody says until when. Default 1 hour.
    pub fn quota_pause(mut self, pause: Duration) -> Self {
        self.quota_pause = pause;
        self
    }

    /// After how long a login is tried for an account in quarantine: `first`, doubled with each failure in a row up to
    /// `longest`, each cut by up to a half at random. Default 30 s to 1 hour. After a transient failure (time-out, 5xx) the
    /// pauses of [`Policy::backoff`] count instead.
    pub fn quarantine(mut self, first: Duration, longest: Duration) -> Self {
        self.quarantine = (first, longest);
        self
    }

    /// How soon after a token was renewed because of a 401 another 401 means that the renewal did not help, and puts the account
    /// into quarantine. Default 30 s. A lease that is said to be [`fine`](super::Lease::fine) ends the time.
    pub fn renewed_again_window(mut self, time: Duration) -> Self {
        self.renewed_again_window = time;
        self
    }

    /// The pause before the next exchange of an account, after the `failures`th failure in a row.
    pub(super) fn failure_pause(&self, error: &Error, failures: u8) -> Duration {
        if error.is_transient() {
            return self.tokens.pause(u32::from(failures), error.retry_after());
        }
        self.quarantine_pause(failures)
    }

    /// The pause before the next login of an account that was refused `failures` times in a row.
    pub(super) fn quarantine_pause(&self, failures: u8) -> Duration {
        doubled(self.quarantine, failures).mul_f64(1.0 - 0.5 * fastrand::f64())
    }

    /// The rest after the `strikes`th 429 in a row that did not say for how long.
    pub(super) fn rest(&self, strikes: u8) -> Duration {
        doubled(self.cool_down, strikes)
    }
}

fn doubled((first, longest): (Duration, Duration), times: u8) -> Duration {
    first.saturating_mul(1_u32 << u32::from(times).saturating_sub(1).min(20)).min(longest)
}
