//! Why Redis gave no answer, and the error that the user of a store gets for it. Its words hold
//! neither user name nor password.

use std::error::Error as _;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::time::error::Elapsed;

use crate::store::{StoreError, StoreErrorKind};

/// How the answer of Redis 7 and Valkey begins if a script runs a command, or names a key or
/// channel, that the user has no permission for.
const SCRIPT_DENIED: &str = "The user executing the script can't";

/// Why there is no answer.
pub(super) enum RedisFailure {
    Reported(RedisError),
    TimedOut,
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
            Self::TimedOut => true,
        }
    }

    /// Returns the error of the store at `address`.
    pub(super) fn into_store_error(self, address: &str) -> StoreError {
        let (kind, what) = match self {
            Self::Reported(error) => (kind(&error), clause(&error)),
            Self::TimedOut => (StoreErrorKind::Unavailable, "did not answer in time".to_owned()),
        };
        StoreError::new(kind, format!("the Redis store at {address} {what}"))
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
    if is_denied(error) || is_cluster(error) {
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
    if is_foreign(error) {
        return "holds something of another kind under this account's key".to_owned();
    }
    if let Some(code) = error.code() {
        return format!("answered {code}");
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => "refused the user or the password".to_owned(),
        ErrorKind::Io if error.source().is_some() => format!("cannot be reached: {error}"),
        ErrorKind::Io => "cannot be reached".to_owned(),
        #[cfg(feature = "redis-sentinel")]
        ErrorKind::MasterNameNotFoundBySentinel => "has no master of that name that is up".to_owned(),
        _ => format!("cannot be used: {}", error.category()),
    }
}
