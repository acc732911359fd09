//! The events of a pool, for a program that watches it.

use std::time::Duration;

use super::quarantine::QuarantineCause;
use crate::error::Error;

/// Something that happened to a [`Pool`](super::Pool).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PoolEvent {
    /// An account that was added serves for the first time.
    Joined {
        /// The account's name.
        account: String,
    },
    /// An account went out of service, or is out of service for another cause than before. There is
    /// no event of an account that waits for new tokens that are on their way.
    Quarantined {
        /// The account's name.
        account: String,
        /// Why it does not serve.
        cause: QuarantineCause,
        /// The failure that led to this, if there was one.
        error: Option<Error>,
    },
    /// An account that was out of service serves again.
    Returned {
        /// The account's name.
        account: String,
    },
    /// The server has refused to log an account in. It serves on if its token lives.
    LoginDenied {
        /// The account's name.
        account: String,
        /// The server's refusal.
        error: Error,
    },
    /// The last lease of an account has ended that is [drained](super::PoolAccount::drain).
    Drained {
        /// The account's name.
        account: String,
    },
    /// A token endpoint is left alone by all of its accounts, because it is overloaded or out of
    /// order.
    EndpointLeftAlone {
        /// The endpoint, as [`Authenticator::server_id`](crate::Authenticator::server_id) names it.
        endpoint: String,
        /// The time from now until one account tries it again.
        pause: Duration,
        /// The failure that it is left alone for.
        error: Error,
    },
    /// A token endpoint that was left alone answers again.
    EndpointReturned {
        /// The endpoint, as [`Authenticator::server_id`](crate::Authenticator::server_id) names it.
        endpoint: String,
    },
    /// The pool was [closed](super::Pool::close).
    Closed,
}
