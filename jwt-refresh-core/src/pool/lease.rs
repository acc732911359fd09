//! A lease: an account's token for one call, and what its holder reports about the account.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::limits::Pin;
use crate::authenticator::retry_after;
use crate::token::AccessToken;

/// The token of one of a pool's accounts, for one call. It can be used wherever an [`AccessToken`]
/// can (`.bearer(&lease)`), and is given back when its last clone is dropped.
///
/// If the server's answer concerns the account, report it to the pool:
///
/// - [`rejected`](Self::rejected) after a 401 (`#[refresh_token(retry)]` reports that for you);
/// - [`rate_limited`](Self::rate_limited) after a 429;
/// - [`quota_used_up`](Self::quota_used_up) when the account's quota is spent;
/// - [`succeeded`](Self::succeeded) after a success, which may be left out.
///
/// Reports return at once; they do not wait for a server.
#[derive(Clone)]
pub struct Lease(Arc<dyn LeaseBackend>);

/// The pool's side of a lease. Dropping it gives the lease back.
pub(super) trait LeaseBackend: Send + Sync {
    fn account(&self) -> &str;
    fn token(&self) -> &AccessToken;
    fn pin(&self) -> Option<&Pin>;
    #[cfg(feature = "reqwest")]
    fn client(&self) -> Option<&reqwest::Client>;
    /// Returns the number of the pool that gave the lease.
    fn pool(&self) -> u64;
    /// Tells what the call has cost.
    fn spent(&self, cost: u64);
    /// Returns whether a 429 was reported.
    fn was_rate_limited(&self) -> bool;
    /// Tells what the headers of an answer say of the account's limits.
    fn observe(&self, headers: &HeaderMap);
    /// Tells the pool. A report that [ends the lease](Report::ends_lease) also gives it back.
    fn report(&self, report: Report);
}

/// What the holder of a lease reports to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Succeeded,
    Rejected,
    RateLimited(Option<Duration>),
    QuotaUsedUp(Option<Duration>),
}

impl Report {
    /// Returns whether the holder cannot use the account any more.
    pub(super) fn ends_lease(self) -> bool {
        self != Self::Succeeded
    }
}

impl Lease {
    pub(super) fn new(backend: impl LeaseBackend + 'static) -> Self {
        Self(Arc::new(backend))
    }

    /// Returns the number of the pool that gave the lease.
    pub(super) fn pool(&self) -> u64 {
        self.0.pool()
    }

    /// Returns the access token.
    pub fn token(&self) -> &AccessToken {
        self.0.token()
    }

    /// Returns the name of the account.
    pub fn account(&self) -> &str {
        self.0.account()
    }

    /// Returns the value that was [pinned](super::Account::pin) to the account, if it is a `T`.
    pub fn pinned<T: 'static>(&self) -> Option<&T> {
        self.0.pin()?.downcast_ref()
    }

    /// Returns the HTTP client for the account's calls, if the account was given
    /// [one of its own](super::Account::client). Its logins and refreshes use the same settings.
    #[cfg(feature = "reqwest")]
    pub fn client(&self) -> Option<&reqwest::Client> {
        self.0.client()
    }

    /// Reports that the call succeeded. Earlier 429s and rejections no longer count against the
    /// account at once, and not only after some time. This report is optional.
    ///
    /// A 429 counts on if this call was leased before the rest was over that it led to.
    pub fn succeeded(&self) {
        self.0.report(Report::Succeeded);
    }

    /// Reports that the server answered 401 to the token, and gives the lease back.
    ///
    /// The account does not serve until its token is renewed. If the new token is rejected
    /// [soon](super::PoolPolicy::renewed_again_window), too, the account goes into
    /// [quarantine](super::PoolPolicy::quarantine).
    pub fn rejected(&self) {
        self.0.report(Report::Rejected);
    }

    /// Reports that the server answered 429, with its `Retry-After` if there was one, and gives the
    /// lease back.
    ///
    /// The account rests for that time, up to
    /// [`Policy::longest_retry_after`](crate::Policy::longest_retry_after); without it, or if it is
    /// zero, for the [cool-down](super::PoolPolicy::cool_down). Calls that were under way when the
    /// rest began do not make it longer, unless the server asks for that.
    pub fn rate_limited(&self, retry_after: Option<Duration>) {
        self.0.report(Report::RateLimited(retry_after));
    }

    /// Reports that the account's quota is used up, and gives the lease back.
    ///
    /// The account rests for `resets_in`, or if that is `None`, for the
    /// [pause](super::PoolPolicy::quota_pause) of the policy. A new token would not help, so the
    /// report does not lead to a renewal.
    pub fn quota_used_up(&self, resets_in: Option<Duration>) {
        self.0.report(Report::QuotaUsedUp(resets_in));
    }
}

impl Lease {
    /// Says what the call has cost, if that is less or more than
    /// [stated](super::LeaseRequest::cost). What it cost less can be spent by other calls; what it
    /// cost more they have to wait for. The last of several counts.
    ///
    /// Without this, what was stated counts. Once the lease is given back this has no effect: say
    /// it before the lease is dropped, and before [`rate_limited`](Self::rate_limited) and the
    /// like.
    ///
    /// The account may be with another process of a [fleet](super::RedisPool) by then. That one is
    /// told what the call has cost above what was stated, and charges it to the account's limits.
    pub fn spent(&self, cost: u64) {
        self.0.spent(cost);
    }

    /// Takes what the server answered to the call: what its headers say of the account's limits
    /// ([`observe`](Self::observe)), and its status. A 429 is [`rate_limited`](Self::rate_limited),
    /// with its `Retry-After`, and a 2xx [`succeeded`](Self::succeeded). All else says nothing of
    /// the account; a 401 is to be reported by [`rejected`](Self::rejected).
    pub fn answered(&self, status: StatusCode, headers: &HeaderMap) {
        self.observe(headers);
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.rate_limited(retry_after(headers));
        } else if status.is_success() {
            self.succeeded();
        }
    }

    /// Returns whether a 429 was reported.
    pub(super) fn was_rate_limited(&self) -> bool {
        self.0.was_rate_limited()
    }

    /// Takes what the headers of an answer say of the account's limits, so that no more calls go
    /// out than the server says remain. Limits that were [declared](super::Account::limit) hold
    /// beside what is learnt.
    ///
    /// These are understood, for calls and for what calls cost:
    ///
    /// - `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), of the current
    ///   draft and of all before;
    /// - headers that are named like `X-RateLimit-Remaining`, with anything before and between,
    ///   such as `x-ratelimit-remaining-tokens` or `anthropic-ratelimit-requests-reset`. Tokens,
    ///   credits, points and the like are what calls cost.
    ///
    /// The reset may be a number of seconds, a time in seconds or milliseconds since the Unix
    /// epoch, a duration (`1m30s`) or a date.
    ///
    /// What is learnt holds for all calls of the account. A server may have a limit for each of its
    /// resources, such as a lower one for searches; the pool does not know which call goes to
    /// which, so that once one of them is used up the account waits for its reset. If that is too
    /// much, do not report the answers of that resource, and give its calls a pool of their own.
    ///
    /// What makes no sense is left out: a limit without what remains, or one that never resets.
    /// What the server says blocks an account for at most
    /// [`Policy::longest_retry_after`](crate::Policy::longest_retry_after); then one call finds
    /// out. A call that costs more than the whole quota goes when the quota is full. If nothing
    /// remains for longer than callers [wait](super::PoolPolicy::max_inline_wait), the account goes
    /// into quarantine until then.
    pub fn observe(&self, headers: &HeaderMap) {
        self.0.observe(headers);
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
    /// Leaves out the pinned value: it may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("account", &self.account()).field("token", self.token()).finish_non_exhaustive()
    }
}
