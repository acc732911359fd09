//! What a failure of Redis means to whoever uses the store, in words that hold neither user nor password.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::{StoreError, StoreErrorKind};

/// How Redis 7 and Valkey begin the answer if a script runs a command, or names a key or channel, that the user may not.
const SCRIPT_DENIED: &str = "The user executing the script can't";

/// `error`, as one of the store called `name`.
pub(super) fn failure(name: &str, error: &RedisError) -> StoreError {
    let what = format!("the Redis store at {name} {}", clause(error));
    StoreError::new(kind(error), what)
}

/// The failure of a store that did not answer.
pub(super) fn silence(name: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, format!("the Redis store at {name} did not answer in time"))
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

/// What happened. Details of an answer are left out, as servers name the user in them; those of an I/O error are the system's
/// or the TLS library's, which know neither user nor password.
fn clause(error: &RedisError) -> String {
    if is_denied(error) {
        return format!("denied access ({}): its rules for this user lack something", error.code().unwrap_or("ERR"));
    }
    if is_cluster(error) {
        return "is a node of a cluster, which does not hold this account's keys".to_owned();
    }
    if is_foreign(error) {
        return "holds something of another kind under this account's key".to_owned();
    }
    if let Some(code) = error.code() {
        return format!("answered {code}");
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => "refused the user or the password".to_owned(),
        ErrorKind::Io => format!("cannot be reached: {error}"),
        _ => format!("cannot be used: {}", error.category()),
    }
}
