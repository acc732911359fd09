//! All numbers that a pool goes by, with their defaults. Those of single tokens are in [`Policy`].

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::policy::Policy;

/// Which account serves a call, of those that could. A call with a
/// [`key`](super::LeaseRequest::key) goes to the key's account, whatever the selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// The account whose rate has allowed a call for longest. Of several, the one that was used
    /// least recently.
    #[default]
    Soonest,
    /// The account that was used least recently.
    RoundRobin,
    /// Each account in proportion to its [`weight`](super::Account::weight), as far as its limits
    /// allow. That is so for the calls of each tag by themselves, and for those without one. Leases
    /// with a key do not count.
    Weighted,
}

/// The numbers that a pool goes by.
///
/// ```
/// use jwt_refresh::pool::{PoolPolicy, Selection};
///
/// let policy = PoolPolicy::default().selection(Selection::Weighted).exchanges(32);
/// ```
#[derive(Clone, Debug)]
pub struct PoolPolicy {
    pub(super) tokens: Policy,
    pub(super) selection: Selection,
    pub(super) exchanges: usize,
    pub(super) queue: usize,
    pub(super) lease_timeout: Option<Duration>,
    pub(super) rerun_rate_limited: bool,
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
            lease_timeout: None,
            rerun_rate_limited: false,
            max_inline_wait: Duration::from_secs(5),
            cool_down: (Duration::from_secs(1), Duration::from_secs(60)),
            quota_pause: Duration::from_secs(3600),
            quarantine: (Duration::from_secs(30), Duration::from_secs(3600)),
            renewed_again_window: Duration::from_secs(30),
        }
    }
}

impl PoolPolicy {
    /// Sets the numbers for each account's tokens: lifetimes, the refresh-ahead window, time-outs,
    /// and pauses after transient failures. To spread refreshes, a pool begins each one earlier
    /// than a session would, by a random time of up to one more refresh-ahead window.
    pub fn tokens(mut self, policy: Policy) -> Self {
        self.tokens = policy;
        self
    }

    /// Sets which account serves a call, of those that could. Default [`Selection::Soonest`].
    pub fn selection(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Sets how many logins and refreshes may be under way at once, for all accounts together. In a
    /// [`Pool`](super::Pool), revocations for removed accounts count, too. Default 16; 0 is taken
    /// as 1.
    ///
    /// In a [`Pool`](super::Pool), a quarter of them is kept for accounts that have served, unless
    /// there is only one. Accounts whose last exchange failed take half of them at most,
    /// revocations a quarter, and one of several token endpoints three quarters.
    pub fn exchanges(mut self, max: usize) -> Self {
        self.exchanges = max.max(1);
        self
    }

    /// Sets how many callers may wait for a lease at once. One more fails with
    /// [`Busy`](crate::ErrorKind::Busy). Default 10 000.
    pub fn queue(mut self, max: usize) -> Self {
        self.queue = max;
        self
    }

    /// Sets whether a method with `#[refresh_token(retry)]` runs its body once more after a 429, if
    /// another account can serve it at once. The body must have [told](super::Lease::answered) its
    /// lease of the 429, or return the response. A method that ran twice does not run again.
    /// Default `false`: whether a call may be repeated that the server refused is for its API to
    /// say.
    pub fn rerun_rate_limited(mut self, rerun: bool) -> Self {
        self.rerun_rate_limited = rerun;
        self
    }

    /// Sets after how long a lease ends that was not given back, such as one that was leaked or
    /// whose task hangs. Its account then has room for another lease, and the status
    /// [counts](super::PoolStatus::leases_timed_out) it. The token that it holds is not affected,
    /// and to give it back later does nothing.
    ///
    /// A call that takes longer than this goes on beside those that the account's limits allow, so
    /// let it be longer than any call. It is measured in time since boot. By default leases have no
    /// time-out. The pool refuses one of zero.
    pub fn lease_timeout(mut self, timeout: Duration) -> Self {
        self.lease_timeout = Some(timeout);
        self
    }

    /// Sets the longest rest after a 429 that callers wait out in line, as they wait for an
    /// account's rate. An account that has to rest for longer goes into quarantine
    /// ([`RateLimited`](super::QuarantineCause::RateLimited)), and callers do not wait for it any
    /// more. Default 5 s.
    pub fn max_inline_wait(mut self, longest: Duration) -> Self {
        self.max_inline_wait = longest;
        self
    }

    /// Sets how long an account rests after a 429 without `Retry-After`: `first`, doubled with each
    /// further strike, up to `longest`. Default 1 s to 60 s.
    ///
    /// Each 429 is a strike, also one with `Retry-After`, except if the call was leased before the
    /// last rest began: calls that are answered 429 together are one strike. For each time as long
    /// as `longest` that passes after a rest, one strike is forgotten.
    pub fn cool_down(mut self, first: Duration, longest: Duration) -> Self {
        self.cool_down = (first, longest);
        self
    }

    /// Sets how long an account rests when its quota is used up and the lease did not
    /// [say](super::Lease::quota_used_up) for how long. Default 1 hour.
    pub fn quota_pause(mut self, pause: Duration) -> Self {
        self.quota_pause = pause;
        self
    }

    /// Sets the pause after which a login is tried for an account in quarantine: `first`, doubled
    /// with each failure in a row, up to `longest`, and cut by up to a half at random. Default 30 s
    /// to 1 hour. After a transient failure (time-out, 5xx) the pauses of [`Policy::backoff`] count
    /// instead.
    pub fn quarantine(mut self, first: Duration, longest: Duration) -> Self {
        self.quarantine = (first, longest);
        self
    }

    /// Sets the time after a renewal because of a 401 in which another 401 means that the renewal
    /// did not help. Such a 401 puts the account into quarantine; a later one renews the token
    /// again. A lease of the new token that [succeeded](super::Lease::succeeded) ends the window
    /// early. Default 30 s.
    pub fn renewed_again_window(mut self, window: Duration) -> Self {
        self.renewed_again_window = window;
        self
    }

    /// Checks the numbers that cannot be taken as others.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.lease_timeout.is_some_and(|timeout| timeout.is_zero()) {
            let what = "with a lease time-out of zero, leases would end as they begin (give a longer one, or none)";
            return Err(Error::new(ErrorKind::Configuration, what));
        }
        Ok(())
    }

    /// Returns the pause before the next exchange of an account, after the `failures`th failure in
    /// a row.
    pub(super) fn failure_pause(&self, error: &Error, failures: u8) -> Duration {
        if error.is_transient() {
            return self.tokens.pause(u32::from(failures), error.retry_after());
        }
        self.quarantine_pause(failures)
    }

    /// Returns the pause before the next login of an account that was refused `failures` times in a
    /// row.
    pub(super) fn quarantine_pause(&self, failures: u8) -> Duration {
        doubled(self.quarantine, failures).mul_f64(1.0 - 0.5 * fastrand::f64())
    }
}

/// Returns `first`, doubled with each of `times` after the first, and at most `longest`.
pub(super) fn doubled((first, longest): (Duration, Duration), times: u8) -> Duration {
    first.saturating_mul(1_u32 << u32::from(times).saturating_sub(1).min(20)).min(longest)
}
