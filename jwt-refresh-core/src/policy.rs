//! Every number a session goes by, with its default, in one place.

use std::time::Duration;

/// The numbers a session goes by. The defaults suit tokens of any length, from seconds to months.
///
/// ```
/// # use std::time::Duration;
/// use jwt_refresh_core::Policy;
///
/// let policy = Policy::default().leeway(Duration::from_secs(60)).refresh_ahead(0.2);
/// ```
#[derive(Clone, Debug)]
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

/// What a session does when it has to renew its tokens and its store cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFailure {
    /// Every call fails until the store is back, even while the token lives. For accounts that must not be used unless all
    /// see that they are.
    Fail,
    /// Calls go on with the token until it expires, then they fail.
    #[default]
    ServeWhatLives,
    /// The session renews by itself. Two processes that do so at once may spend the same refresh token, and a server that
    /// detects reuse then ends the login.
    RefreshUnguarded,
}

/// What a session makes of a store's entry that it cannot believe: malformed, huge, another account's, older than one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CorruptEntry {
    /// As if there were none: the session goes on from what it holds, or logs in, and writes a new one.
    #[default]
    TreatAsEmpty,
    /// As if the store were down, see [`StoreFailure`].
    TreatAsDown,
}

/// The leeway takes up to this fraction of a token's life: a 5-second token is fresh for 4.75 s, not "always expired".
pub(crate) const LEEWAY_SHARE: f64 = 0.05;
/// The refresh-ahead window takes up to this fraction of a token's life, jitter included.
pub(crate) const AHEAD_SHARE: f64 = 0.5;
/// The refresh-ahead window is made longer by up to this fraction of itself, at random, so that a fleet that logged in
/// together does not refresh together.
pub(crate) const AHEAD_JITTER: f64 = 0.2;

impl Default for Policy {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(30),
            refresh_ahead: 0.1,
            default_lifetime: None,
            login_timeout: Duration::from_secs(30),
            refresh_timeout: Duration::from_secs(30),
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
    /// How long before expiry callers wait for the refresh instead of going on with the token they have. Default 30 s; never
    /// more than 5 % of the token's life.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The last part of a token's life, as a fraction of it, in which it is refreshed in the background while callers go on
    /// with it. Default 0.1; taken as at most 0.5, and `NaN` or less than 0 as 0. The window begins up to a fifth earlier, at random.
    pub fn refresh_ahead(mut self, fraction: f64) -> Self {
        self.refresh_ahead = fraction;
        self
    }

    /// How long a token lives if nothing says so: no `expires_in`, no `exp`. By default it lives until it is rejected.
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.default_lifetime = Some(lifetime);
        self
    }

    /// After how long a login counts as unanswered. Default 30 s.
    pub fn login_timeout(mut self, timeout: Duration) -> Self {
        self.login_timeout = timeout;
        self
    }

    /// After how long a refresh counts as unanswered. Default 30 s. Be generous: the answer of a refresh that is cut off may
    /// hold the only valid refresh token there is.
    pub fn refresh_timeout(mut self, timeout: Duration) -> Self {
        self.refresh_timeout = timeout;
        self
    }

    /// The pause after a transient failure: `first`, then doubled each time up to `longest`, each cut by up to a half at
    /// random. Default 0.5 s to 60 s. A server's `Retry-After` counts if it is longer.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = (first, longest);
        self
    }

    /// Up to how long a `Retry-After` is honoured. Default 10 minutes.
    pub fn longest_retry_after(mut self, longest: Duration) -> Self {
        self.longest_retry_after = longest;
        self
    }

    /// How many tokens may be rejected (401) within `window` before renewing them stops until the window has passed.
    /// Default 5 in 30 s.
    pub fn rejections(mut self, most: u32, window: Duration) -> Self {
        self.rejections = (most, window);
        self
    }

    /// After how long a read or write of the store counts as failed. Default 2 s. The wait for a renewal that another process
    /// does is not meant: that is as long as a refresh and a login may take.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// What to do when the store cannot be used. Default: serve the token while it lives.
    pub fn store_failure(mut self, answer: StoreFailure) -> Self {
        self.store_failure = answer;
        self
    }

    /// What to make of an entry that cannot be believed. Default: as if there were none.
    pub fn corrupt_entry(mut self, answer: CorruptEntry) -> Self {
        self.corrupt_entry = answer;
        self
    }

    /// The pause after the `failures`th failure in a row.
    pub(crate) fn pause(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        let (first, longest) = self.backoff;
        let doubled = first.saturating_mul(1_u32 << failures.saturating_sub(1).min(20));
        let jittered = doubled.min(longest).mul_f64(1.0 - 0.5 * fastrand::f64());
        let asked = retry_after.unwrap_or_default().min(self.longest_retry_after);
        jittered.max(asked)
    }
}
