//! Why Redis gave no answer, and the error that the user of a store gets for it. Its words hold
//! neither user name nor password.

use std::error::Error as _;

#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
use redis::ConnectionInfo;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::time::error::Elapsed;

use super::transport::{RedisTransport, asks_for_certificate};
use crate::store::{StoreError, StoreErrorKind};

/// How the answer of Redis 7 and Valkey begins if a script runs a command, or names a key or
/// channel, that the user has no permission for.
const SCRIPT_DENIED: &str = "The user executing the script can't";

/// What Redis says of mistakes that its code does not tell. Other words are left out, because they
/// may repeat what was sent: `unknown command` repeats its arguments, such as a password.
const KNOWN: [&str; 6] = [
    "DB index is out of range",
    "invalid DB index",
    "SELECT is not allowed in cluster mode",
    "max number of clients reached",
    "AUTH <password> called without any password configured for the default user",
    "unknown command",
];

const LATE: &str = "did not answer in time";

/// Why there is no answer.
pub(super) enum RedisFailure {
    Reported(RedisError),
    TimedOut,
    /// There was no connection in time.
    Unopened,
    /// A node that others have named cannot be used.
    #[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
    OfNode {
        noun: &'static str,
        address: String,
        cause: Box<RedisFailure>,
    },
    /// The sentinels name no master that is one and is up.
    #[cfg(feature = "redis-sentinel")]
    NoMaster,
    /// What was asked for the master is no sentinel.
    #[cfg(feature = "redis-sentinel")]
    NoSentinel,
}

impl RedisFailure {
    pub(super) fn is_unknown_script(&self) -> bool {
        matches!(self, Self::Reported(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    }

    /// Whether another connection may do better. After a fail-over that includes a connection to
    /// the former primary, and a connection that stopped answering counts as broken.
    pub(super) fn is_of_connection(&self) -> bool {
        match self {
            Self::Reported(error) => {
                error.is_unrecoverable_error() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
            }
            _ => true,
        }
    }

    /// Returns the failure of a node, which `noun` says what it is.
    #[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
    pub(super) fn of_node(self, noun: &'static str, node: &ConnectionInfo) -> Self {
        Self::OfNode { noun, address: node.addr().to_string(), cause: Box::new(self) }
    }

    /// Whether a cluster has no connection to the node that was to answer, and does not say why.
    pub(super) fn is_of_missing_node(&self) -> bool {
        matches!(self, Self::Reported(error) if error.kind() == ErrorKind::ClusterConnectionNotFound)
    }

    /// Returns the error of the store at `address`, which is connected to over `transport`.
    pub(super) fn into_store_error(self, address: &str, transport: RedisTransport) -> StoreError {
        StoreError::new(self.kind(), format!("the Redis store at {address} {}", self.explanation(transport)))
    }

    fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Reported(error) => kind(error),
            Self::TimedOut | Self::Unopened => StoreErrorKind::Unavailable,
            #[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
            Self::OfNode { cause, .. } => cause.kind(),
            #[cfg(feature = "redis-sentinel")]
            Self::NoMaster => StoreErrorKind::Unavailable,
            #[cfg(feature = "redis-sentinel")]
            Self::NoSentinel => StoreErrorKind::Configuration,
        }
    }

    /// Returns what happened and what to do, as the end of a sentence that begins with the store.
    fn explanation(&self, transport: RedisTransport) -> String {
        let (what, advice) = match self {
            Self::Reported(error) => (clause(error), transport.advice(error)),
            Self::TimedOut => (LATE.to_owned(), None),
            Self::Unopened => (LATE.to_owned(), transport.advice_of_silence()),
            #[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
            Self::OfNode { noun, address, cause } => {
                (format!("has {noun} at {address}, which {}", cause.explanation(transport)), None)
            }
            #[cfg(feature = "redis-sentinel")]
            Self::NoMaster => ("has no master of that name that is up".to_owned(), None),
            #[cfg(feature = "redis-sentinel")]
            Self::NoSentinel => {
                ("is no sentinel (`redis-sentinel://` names sentinels, and not the master)".to_owned(), None)
            }
        };
        match advice {
            Some(advice) => format!("{what} ({advice})"),
            None => what,
        }
    }
}

impl From<RedisError> for RedisFailure {
    fn from(error: RedisError) -> Self {
        Self::Reported(error)
    }
}

impl From<Elapsed> for RedisFailure {
    fn from(_: Elapsed) -> Self {
        Self::TimedOut
    }
}

fn kind(error: &RedisError) -> StoreErrorKind {
    if is_denied(error) || is_cluster(error) || is_no_cluster(error) || asks_for_certificate(error) {
        return StoreErrorKind::Configuration;
    }
    if is_foreign(error) {
        return StoreErrorKind::Corrupt;
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported => {
            StoreErrorKind::Configuration
        }
        _ => StoreErrorKind::Unavailable,
    }
}

fn is_denied(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOPERM" | "NOAUTH" | "WRONGPASS"))
        || error.detail().is_some_and(|detail| detail.starts_with(SCRIPT_DENIED))
}

fn is_cluster(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask))
}

fn is_no_cluster(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("cluster support disabled"))
}

fn is_foreign(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

/// Returns what happened, as the end of a sentence that begins with the store. The details of an
/// answer are left out, because servers name the user in them. Those of an I/O error are kept if
/// they come from the system or the TLS library, which know neither user nor password; others may
/// quote an answer.
fn clause(error: &RedisError) -> String {
    if is_denied(error) {
        return format!("denied access ({}): its rules for this user lack something", error.code().unwrap_or("ERR"));
    }
    if is_cluster(error) {
        return "is a node of a cluster, which does not hold this account's keys (a URL of a cluster begins with \
                `redis-cluster://`)"
            .to_owned();
    }
    if is_no_cluster(error) {
        return "is no node of a cluster (a URL of one node begins with `redis://`)".to_owned();
    }
    if is_foreign(error) {
        return "holds something of another kind under this account's key".to_owned();
    }
    if let Some(code) = error.code() {
        let words = error.detail().and_then(|detail| KNOWN.iter().find(|known| detail.contains(*known)));
        return words.map_or_else(|| format!("answered {code}"), |words| format!("answered {code}: {words}"));
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => "refused the user or the password".to_owned(),
        ErrorKind::Io if error.source().is_some() => format!("cannot be reached: {error}"),
        ErrorKind::Io => "cannot be reached".to_owned(),
        _ => format!("cannot be used: {}", error.category()),
    }
}
