//! How a pool provides tokens.

/// Implements [`TokenProvider`](crate::provider::TokenProvider) for a pool, whose method `shared`
/// returns the `Arc` of a [`LeaseSource`](super::request::LeaseSource).
macro_rules! provide_leases {
    ($pool:ty) => {
        impl $crate::provider::TokenProvider for $pool {
            type Token = $crate::pool::lease::Lease;

            fn ready(&self) -> Option<Self::Token> {
                $crate::pool::request::LeaseSource::try_lease(self.shared())
            }

            fn fresh(&self) -> $crate::provider::Renewal<Self::Token> {
                IntoFuture::into_future(self.lease())
            }

            /// Reports the rejection, and asks for another lease.
            fn rejected(&self, lease: &Self::Token) -> $crate::provider::Renewal<Self::Token> {
                self.rejected_again(lease);
                self.fresh()
            }

            /// Reports the rejection.
            fn rejected_again(&self, lease: &Self::Token) {
                if lease.pool() == $crate::pool::request::LeaseSource::id(&**self.shared()) {
                    lease.rejected();
                }
            }

            /// Reports the answer: see [`Lease::answered`](crate::pool::Lease::answered).
            fn answered(&self, lease: &Self::Token, status: http::StatusCode, headers: &http::HeaderMap) {
                if lease.pool() == $crate::pool::request::LeaseSource::id(&**self.shared()) {
                    lease.answered(status, headers);
                }
            }

            /// Returns a lease of another account if the call was answered 429, and the policy has
            /// such calls run again.
            fn rerun(&self, lease: &Self::Token) -> Option<Self::Token> {
                let is_limited = lease.was_rate_limited();
                is_limited.then(|| $crate::pool::request::LeaseSource::rerun(self.shared())).flatten()
            }
        }
    };
}

pub(super) use provide_leases;
