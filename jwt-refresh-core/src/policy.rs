//! The settings by which sessions and pools renew tokens, each with its default.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The times, limits and pauses by which a session or a pool renews tokens, and what to do if a
/// store fails. The defaults suit tokens of any lifetime, from seconds to months.
///
/// ```
/// # use std::time::Duration;
/// use jwt_refresh::Policy;
///
/// let policy = Policy::default().leeway(Duration::from_secs(60)).refresh_ahead(0.2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub(crate) leeway: Duration,
    pub(crate) refresh_ahead: f64,
    pub(crate) default_lifetime: Option<Duration>,
    pub(crate) login_timeout: Duration,
    pub(crate) refresh_timeout: Duration,
    pub(crate) backoff: (Duration, Duration),
    pub(crate) longest_retry_after: Duration,
    pub(crate) rejections: (u32, Duration),
    pub(crate) store_timeout: Duration,
    pub(crate) store_failure: StoreFailure,
    pub(crate) corrupt_entry: CorruptEntry,
}

/// What a session does if it has to renew its tokens and its store cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFailure {
    /// Every call fails until the store is back, even while the token is valid. For accounts that
    /// must not be used unless every process can see that they are in use.
    Fail,
    /// Calls continue with the current token until it expires; then they fail.
    #[default]
    ServeWhatLives,
    /// The session renews without the store. If two processes do so at the same time, they may
    /// spend the same refresh token, and a server that detects reuse then ends the login.
    RefreshUnguarded,
}

/// What a session does with a store entry that cannot be right: one that is malformed, too large,
/// or of another account. One that is there for another key is no such entry, and is left alone:
/// [`StoreErrorKind::KeyMismatch`](crate::store::StoreErrorKind::KeyMismatch).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CorruptEntry {
    /// The session acts as if there were no entry: it continues with the tokens that it holds, or
    /// logs in, and writes a new entry.
    #[default]
    TreatAsEmpty,
    /// The session acts as if the store were down; see [`StoreFailure`].
    TreatAsDown,
}

/// How long a login or a refresh may take.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The leeway is at most this fraction of a token's lifetime, so that a 5-second token is fresh for
/// 4.75 s and not always expired.
pub(crate) const LEEWAY_SHARE: f64 = 0.05;
/// The refresh-ahead window, including its jitter, is at most this fraction of a token's lifetime.
pub(crate) const AHEAD_SHARE: f64 = 0.5;
/// The refresh-ahead window is extended at random by up to this fraction of its length, so that
/// processes that logged in at the same time do not refresh at the same time.
pub(crate) const AHEAD_JITTER: f64 = 0.2;

/// While callers have no token, a server that does not answer is asked again after at most this
/// pause in the first `EARLY_PERIOD` of an outage, and then after this part of the outage so far.
/// Each pause is cut by up to a quarter at random.
const EARLY_PAUSE: Duration = Duration::from_millis(750);
const EARLY_PERIOD: Duration = Duration::from_secs(30);
const EARLY_SHARE: f64 = 0.09;
const LONGEST_EARLY_PAUSE: Duration = Duration::from_secs(9);
/// How long a server may take to answer the question whether it is there.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

impl Default for Policy {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(30),
            refresh_ahead: 0.1,
            default_lifetime: None,
            login_timeout: DEFAULT_TIMEOUT,
            refresh_timeout: DEFAULT_TIMEOUT,
            backoff: (Duration::from_millis(500), Duration::from_secs(60)),
            longest_retry_after: Duration::from_secs(600),
            rejections: (5, Duration::from_secs(30)),
            store_timeout: Duration::from_secs(2),
            store_failure: StoreFailure::default(),
            corrupt_entry: CorruptEntry::default(),
        }
    }
}

impl Policy {
    /// Sets how long before expiry callers wait for the refresh instead of using the current token.
    /// Default 30 s. The leeway is never more than 5 % of the token's lifetime.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Sets the refresh-ahead window: the last part of a token's lifetime, as a fraction of it, in
    /// which the token is refreshed in the background while callers still use it. Default 0.1.
    /// Values above 0.5 count as 0.5; `NaN` and values below 0 count as 0. The window begins
    /// earlier at random, by up to a fifth of its length.
    pub fn refresh_ahead(mut self, fraction: f64) -> Self {
        self.refresh_ahead = fraction;
        self
    }

    /// Sets the lifetime of a token for which neither the server's answer nor the token states one
    /// (no `expires_in`, no `exp`). By default such a token is used until the server rejects it.
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.default_lifetime = Some(lifetime);
        self
    }

    /// Sets how long a login may take before it counts as unanswered. Default 30 s. This is the
    /// only time-out of the whole exchange; a `HttpAuthenticator` only gives up sooner if it cannot
    /// connect within 10 s.
    pub fn login_timeout(mut self, timeout: Duration) -> Self {
        self.login_timeout = timeout;
        self
    }

    /// Sets how long a refresh may take before it counts as unanswered. Default 30 s. Choose a
    /// generous value: if a refresh is cut off, its answer may contain the only valid refresh
    /// token.
    pub fn refresh_timeout(mut self, timeout: Duration) -> Self {
        self.refresh_timeout = timeout;
        self
    }

    /// Sets the pause after a transient failure: `first`, doubled after each further failure up to
    /// `longest`, and each pause shortened at random by up to a half. Default 0.5 s and 60 s. If
    /// the server's `Retry-After` is longer, it counts instead.
    ///
    /// While callers of a session have no token, it asks earlier whether an outage is over, though
    /// never sooner than after half of `first`, and never with a password: after 0.75 s in the
    /// first 30 s, then after 9 % of the outage so far, at most 9 s, each shortened at random by up
    /// to a quarter.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = (first, longest);
        self
    }

    /// Sets the longest `Retry-After` that is honoured; a longer one is cut to this length. Default
    /// 10 minutes.
    pub fn longest_retry_after(mut self, longest: Duration) -> Self {
        self.longest_retry_after = longest;
        self
    }

    /// Sets how many tokens may be rejected (401) as soon as they were issued within `window`,
    /// before the session stops renewing them until the window has passed. Default 5 in 30 s. A
    /// token does not count if a call by `retry` with it has gone well, or if it was older than 5 s
    /// or a fifth of its life.
    pub fn rejections(mut self, most: u32, window: Duration) -> Self {
        self.rejections = (most, window);
        self
    }

    /// Sets how long a read or write of the store may take before it counts as failed. Default 2 s.
    /// It does not limit the wait for a renewal in another process: that may take as long as a
    /// refresh and a login.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Sets what to do if the store cannot be used. Default: [`StoreFailure::ServeWhatLives`].
    pub fn store_failure(mut self, answer: StoreFailure) -> Self {
        self.store_failure = answer;
        self
    }

    /// Sets what to do with a store entry that cannot be right. Default:
    /// [`CorruptEntry::TreatAsEmpty`].
    pub fn corrupt_entry(mut self, answer: CorruptEntry) -> Self {
        self.corrupt_entry = answer;
        self
    }

    /// Returns this policy in memory that it shares with the one before, if they are equal. Nearly
    /// all sessions of a process have the same.
    pub(crate) fn shared(self) -> Arc<Self> {
        static LAST: Mutex<Option<Arc<Policy>>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(last) if **last == self => Arc::clone(last),
            _ => Arc::clone(last.insert(Arc::new(self))),
        }
    }

    /// Returns how long to pause after the `failures`th failure in a row.
    pub(crate) fn pause(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        let (first, longest) = self.backoff;
        let doubled = first.saturating_mul(1_u32 << failures.saturating_sub(1).min(20));
        let jittered = doubled.min(longest).mul_f64(1.0 - 0.5 * fastrand::f64());
        jittered.max(self.asked_pause(retry_after))
    }

    /// Returns how long to pause while callers have no token, in an outage that has lasted for
    /// `outage`.
    pub(crate) fn early_pause(&self, outage: Duration) -> Duration {
        let longest =
            if outage <= EARLY_PERIOD { EARLY_PAUSE } else { outage.mul_f64(EARLY_SHARE).min(LONGEST_EARLY_PAUSE) };
        let (first, _) = self.backoff;
        longest.max(first).mul_f64(1.0 - 0.25 * fastrand::f64())
    }

    /// Returns when to find out, after a failure, whether a probe shows that the server is down: no
    /// later than the first pause ends.
    pub(crate) fn first_probe(&self) -> Duration {
        self.backoff.0 / 2
    }

    /// Returns for how long a server that asks to be left alone is left alone.
    pub(crate) fn asked_pause(&self, retry_after: Option<Duration>) -> Duration {
        retry_after.unwrap_or_default().min(self.longest_retry_after)
    }
}
