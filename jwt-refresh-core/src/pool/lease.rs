//! A lease: an account's token for one call, and what the caller has to say about it.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::limits::Pin;
use crate::token::AccessToken;

/// The token of one of a pool's accounts, for one call. It goes where an [`AccessToken`] goes (`.bearer(&lease)`), and is given
/// back when its last clone is dropped.
///
/// Tell the pool what the server said of it, where that concerns the account: [`rejected`](Self::rejected) (401; with
/// `#[refresh_token(retry)]` that is done for you), [`rate_limited`](Self::rate_limited) (429),
/// [`quota_used_up`](Self::quota_used_up), [`fine`](Self::fine).
#[derive(Clone)]
pub struct Lease(Arc<dyn LeaseBackend>);

/// What a lease is to the pool that gave it. Dropping it gives the lease back.
pub(super) trait LeaseBackend: Send + Sync {
    fn account(&self) -> &str;
    fn token(&self) -> &AccessToken;
    fn pin(&self) -> Option<&Pin>;
    /// The number of the pool that gave it.
    fn pool(&self) -> u64;
    /// Tells the pool. What ends the lease gives it back, too.
    fn report(&self, report: Report);
}

/// What the holder of a lease has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Fine,
    Rejected,
    RateLimited(Option<Duration>),
    QuotaUsedUp(Option<Duration>),
}

impl Report {
    /// Whether the account serves the holder no longer.
    pub(super) fn ends(self) -> bool {
        self != Self::Fine
    }
}

impl Lease {
    pub(super) fn new(backend: impl LeaseBackend + 'static) -> Self {
        Self(Arc::new(backend))
    }

    pub(super) fn pool(&self) -> u64 {
        self.0.pool()
    }

    /// The token.
    pub fn token(&self) -> &AccessToken {
        self.0.token()
    }

    /// The name of the account.
    pub fn account(&self) -> &str {
        self.0.account()
    }

    /// What was [pinned](super::Account::pin) to the account, if it was a `T`.
    pub fn pinned<T: 'static>(&self) -> Option<&T> {
        self.0.pin()?.downcast_ref()
    }

    /// The client that the account's calls shall go by, if it was given one: [`Account::client`](super::Account::client).
    #[cfg(feature = "reqwest")]
    pub fn client(&self) -> Option<&reqwest::Client> {
        self.pinned()
    }

    /// Says that all went well: 429s and rejections before are no longer counted against the account. To say nothing is fine
    /// too.
    pub fn fine(&self) {
        self.0.report(Report::Fine);
    }

    /// Says that the server answered 401 to the token. The account serves nobody until its token was renewed; if the new
    /// one is rejected soon, too, it goes into [quarantine](super::PoolPolicy::quarantine). Gives the lease back.
    pub fn rejected(&self) {
        self.0.report(Report::Rejected);
    }

    /// Says that the server answered 429, with its `Retry-After` if it had one. The account rests for that time, else for
    /// the [cool-down](super::PoolPolicy::cool_down). Gives the lease back.
    pub fn rate_limited(&self, retry_after: Option<Duration>) {
        self.0.report(Report::RateLimited(retry_after));
    }

    /// Says that the account's quota is used up, and for how long, if that is known; else the
    /// [policy](super::PoolPolicy::quota_pause) says it. A new token would not help, so the account rests. Gives the lease
    /// back.
    pub fn quota_used_up(&self, resets_in: Option<Duration>) {
        self.0.report(Report::QuotaUsedUp(resets_in));
    }
}

impl Deref for Lease {
    type Target = AccessToken;

    fn deref(&self) -> &AccessToken {
        self.token()
    }
}

impl Borrow<AccessToken> for Lease {
    fn borrow(&self) -> &AccessToken {
        self.token()
    }
}

impl fmt::Debug for Lease {
    /// Not what is pinned: it may have secrets in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("account", &self.account()).field("token", self.token()).finish_non_exhaustive()
    }
}
