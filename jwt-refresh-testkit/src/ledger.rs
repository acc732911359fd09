//! What the server keeps of one account: what it saw of it, what is left of its rate, and until when its quota is used up.

use std::time::Duration;

use axum::http::StatusCode;

use crate::{
    bucket::{Bucket, RateLimit},
    clock::Timestamp,
    window::Window,
};

/// What the server saw of one account; made by [`TestServer::account_stats`](crate::TestServer::account_stats).
///
/// A request belongs to the account whose email address or token it carries, also if that is refused. One that an injected
/// [`Fault`](crate::Fault) keeps from being dealt with, and one with a token that the server never issued or has forgotten,
/// belongs to none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountStats {
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins that were refused: wrong password, or banned.
    pub failed_logins: u64,
    /// Refreshes that succeeded.
    pub refreshes: u64,
    /// Refreshes that were refused.
    pub failed_refreshes: u64,
    /// API calls that succeeded.
    pub api_calls: u64,
    /// API calls answered 401: the token is dead, or the account banned.
    pub rejected: u64,
    /// API calls answered 403 for want of a scope.
    pub forbidden: u64,
    /// API calls answered 429, because the account was above [its limit](crate::Builder::rate_limit).
    pub limited: u64,
    /// API calls answered 403, because the account's [quota is used up](crate::TestServer::use_up_quota).
    pub over_quota: u64,
    /// The most API calls with a valid token, answered 429 or not, that came within any one period of the limit, wherever that
    /// is taken to begin; 0 without a limit.
    ///
    /// Calls sent evenly do not arrive evenly: two that were sent a period apart may arrive a little closer. So this may be
    /// one or two more than the limit for a client that holds it; the bucket, whose verdict is `limited`, forgives that.
    pub most_in_a_period: u64,
}

/// Why an account's call does not reach the API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    InvalidToken,
    RateLimited { retry_after: Duration },
    QuotaUsedUp { resets_in: Duration },
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    stats: AccountStats,
    bucket: Bucket,
    window: Window,
    no_quota_until: Timestamp,
}

impl Ledger {
    pub(crate) fn stats(&self) -> AccountStats {
        let most_in_a_period = u64::try_from(self.window.most()).unwrap_or(u64::MAX);
        AccountStats { most_in_a_period, ..self.stats }
    }

    pub(crate) fn login(&mut self, succeeded: bool) {
        let AccountStats { logins, failed_logins, .. } = &mut self.stats;
        *(if succeeded { logins } else { failed_logins }) += 1;
    }

    pub(crate) fn refresh(&mut self, succeeded: bool) {
        let AccountStats { refreshes, failed_refreshes, .. } = &mut self.stats;
        *(if succeeded { refreshes } else { failed_refreshes }) += 1;
    }

    pub(crate) fn rejected(&mut self) {
        self.stats.rejected += 1;
    }

    /// Whether a call with a valid token may go on.
    pub(crate) fn admit(&mut self, limit: Option<RateLimit>, now: Timestamp) -> Result<(), Denial> {
        if let Some(limit) = limit {
            self.window.add(now, limit.per);
        }
        let resets_in = self.no_quota_until.since(now);
        if !resets_in.is_zero() {
            self.stats.over_quota += 1;
            return Err(Denial::QuotaUsedUp { resets_in });
        }
        let Some(limit) = limit else { return Ok(()) };
        self.bucket.take(limit, now).map_err(|retry_after| {
            self.stats.limited += 1;
            Denial::RateLimited { retry_after }
        })
    }

    /// What the API answered to a call that was admitted.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        match status {
            StatusCode::FORBIDDEN => self.stats.forbidden += 1,
            _ if status.is_success() => self.stats.api_calls += 1,
            _ => {}
        }
    }

    pub(crate) fn use_up_rate(&mut self, limit: RateLimit, now: Timestamp) {
        self.bucket.empty(limit, now);
    }

    pub(crate) fn set_quota(&mut self, used_up_until: Timestamp) {
        self.no_quota_until = used_up_until;
    }
}
