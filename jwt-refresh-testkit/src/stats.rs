//! The server's counters. A request is counted before its answer is sent, so a client that has an
//! answer finds the request counted.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

use crate::Endpoint;

/// Declares the public snapshot and the counters behind it from one list, so that both have the
/// same fields.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A snapshot of the server's counters, returned by
        /// [`TestServer::stats`](crate::TestServer::stats).
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// Returns what was counted since the snapshot `earlier` was taken.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self { $($name: self.$name.saturating_sub(earlier.$name),)* }
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Logins that succeeded, whether or not the answer reached the client.
    logins,
    /// Logins that were refused, or that a fault made fail before they took effect.
    failed_logins,
    /// Refreshes that succeeded, whether or not the answer reached the client.
    refreshes,
    /// Refreshes that were refused, or that a fault made fail before they took effect.
    failed_refreshes,
    /// Tokens issued for a key and secret, whether or not the answer reached the client.
    client_tokens,
    /// Requests for a token for a key and secret that were refused, or that a fault made fail
    /// before they took effect.
    failed_client_tokens,
    /// All requests that arrived at the login, refresh and token endpoints, answered or not.
    auth_requests,
    /// API calls that succeeded.
    api_calls,
    /// API calls answered 401 because they had no valid token, or by their route.
    rejected,
    /// API calls answered 403 because a scope was missing or the quota used up, or by their route.
    forbidden,
    /// API calls answered 429 because the account was above its rate limit, or by their route.
    limited,
    /// Refresh tokens presented again after they were spent. Each one revoked a token family.
    reuses,
    /// Refresh tokens that a client revoked at `/api/auth/revoke`. Each one revoked a token family.
    revocations,
    /// Injected faults that were applied.
    faults,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// Counts a request that has just arrived.
    pub(crate) fn count_request(&self, endpoint: Endpoint) {
        if endpoint.is_auth() {
            self.auth_requests.add_one();
        }
    }

    /// Counts a request that the server has processed, by the status of the handler's answer. A
    /// fault may still keep that answer from the client.
    pub(crate) fn count_answer(&self, endpoint: Endpoint, answer: StatusCode) {
        match endpoint {
            Endpoint::Login if answer.is_success() => self.logins.add_one(),
            Endpoint::Refresh if answer.is_success() => self.refreshes.add_one(),
            Endpoint::Token if answer.is_success() => self.client_tokens.add_one(),
            Endpoint::Login | Endpoint::Refresh | Endpoint::Token => self.count_failure(endpoint),
            Endpoint::Api | Endpoint::Route(..) | Endpoint::Any => match answer {
                StatusCode::UNAUTHORIZED => self.rejected.add_one(),
                StatusCode::FORBIDDEN => self.forbidden.add_one(),
                StatusCode::TOO_MANY_REQUESTS => self.limited.add_one(),
                _ if answer.is_success() => self.api_calls.add_one(),
                _ => {}
            },
        }
    }

    /// Counts a request that was refused, or that a fault kept from being processed.
    pub(crate) fn count_failure(&self, endpoint: Endpoint) {
        match endpoint {
            Endpoint::Login => self.failed_logins.add_one(),
            Endpoint::Refresh => self.failed_refreshes.add_one(),
            Endpoint::Token => self.failed_client_tokens.add_one(),
            Endpoint::Api | Endpoint::Route(..) | Endpoint::Any => {}
        }
    }
}
