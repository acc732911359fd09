//! What the server keeps about the requests of one account: counters, what is left of its rate, and
//! until when its quota is used up.

use std::time::Duration;

use axum::http::StatusCode;

use crate::{
    bucket::{Bucket, RateLimit},
    clock::Timestamp,
    window::Window,
};

/// A snapshot of the counters of one account, returned by
/// [`TestServer::account_stats`](crate::TestServer::account_stats).
///
/// A request is counted for the account whose email address or token it carries, even if it is
/// refused. A request is counted for no account if an injected [`Fault`](crate::Fault) keeps it
/// from being processed, or if the server never issued its token or has dropped the record of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountStats {
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins that were refused because the password was wrong or the account banned.
    pub failed_logins: u64,
    /// Refreshes that succeeded.
    pub refreshes: u64,
    /// Refreshes that were refused.
    pub failed_refreshes: u64,
    /// API calls that succeeded.
    pub api_calls: u64,
    /// API calls answered 401 because the token was invalid or the account banned.
    pub rejected: u64,
    /// API calls answered 403 because the token lacks a scope, or by their route.
    pub forbidden: u64,
    /// API calls answered 429 because the account was above its
    /// [rate limit](crate::Builder::rate_limit).
    pub limited: u64,
    /// API calls answered 403 because the account's
    /// [quota was used up](crate::TestServer::use_up_quota).
    pub over_quota: u64,
    /// The highest number of API calls with a valid token in any time span as long as the limit's
    /// period, including the calls answered 429. It is 0 if there is no limit.
    ///
    /// Calls that are sent a period apart may arrive a little closer together. So this may be one
    /// or two above the limit for a client that respects it. The bucket tolerates that: only calls
    /// counted in `limited` were above the limit.
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
pub(crate) struct Usage {
    stats: AccountStats,
    bucket: Bucket,
    window: Window,
    no_quota_until: Timestamp,
}

impl Usage {
    pub(crate) fn stats(&self) -> AccountStats {
        let most_in_a_period = u64::try_from(self.window.most()).unwrap_or(u64::MAX);
        AccountStats { most_in_a_period, ..self.stats }
    }

    pub(crate) fn count_login(&mut self, succeeded: bool) {
        let AccountStats { logins, failed_logins, .. } = &mut self.stats;
        *(if succeeded { logins } else { failed_logins }) += 1;
    }

    pub(crate) fn count_refresh(&mut self, succeeded: bool) {
        let AccountStats { refreshes, failed_refreshes, .. } = &mut self.stats;
        *(if succeeded { refreshes } else { failed_refreshes }) += 1;
    }

    pub(crate) fn count_rejected(&mut self) {
        self.stats.rejected += 1;
    }

    /// Decides whether a call with a valid token may reach the API, and counts it in the busiest
    /// period and, if it is refused, among the refused calls.
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

    /// Counts the API's answer to a call that was admitted.
    pub(crate) fn count_answer(&mut self, status: StatusCode) {
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
