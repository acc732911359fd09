//! The errors of a pool that gives no lease. All pools use the same texts.

use std::time::Duration;

use super::quarantine::QuarantineCause;
use crate::error::{Error, ErrorKind};

/// Returns the error for a login or refresh that asks the pool that it works for.
pub(super) fn reentrant() -> Error {
    let what = "a login or refresh asked its own pool for a lease, and could wait for itself";
    Error::new(ErrorKind::Reentrant, what)
}

/// Returns the error for a caller that may not wait, since `waiting` callers do already.
pub(super) fn queue_full(waiting: usize) -> Error {
    Error::new(ErrorKind::Busy, format!("{waiting} callers wait for a lease already"))
}

/// Returns the error for a caller whose deadline has passed.
pub(super) fn deadline_passed() -> Error {
    Error::new(ErrorKind::Busy, "no account of the pool came free before the lease's deadline")
}

/// Returns the error for a tag that no account was ever given.
pub(super) fn unknown_tag(tag: &str) -> Error {
    let what = format!("no account of the pool was ever given the tag {tag:?} (see `Account::tag`)");
    Error::new(ErrorKind::Configuration, what)
}

/// Returns the error of a pool that has no account, or none with the tag.
pub(super) fn no_account(tag: Option<&str>) -> Error {
    Error::new(ErrorKind::NoAccount, format!("the pool has no account{}", with_tag(tag)))
}

/// Returns the error of a pool whose accounts, or those with the tag, are all in quarantine. It
/// says which account returns first, if that is known.
pub(super) fn all_quarantined(tag: Option<&str>, first: Option<&FirstToReturn<'_>>) -> Error {
    let what = format!("every account{} is in quarantine", with_tag(tag));
    let Some(&FirstToReturn { account, wait, cause }) = first else { return Error::new(ErrorKind::NoAccount, what) };
    let Some(wait) = wait else {
        let what = format!("{what}, and none returns by itself: {account:?}, for example ({cause})");
        return Error::new(ErrorKind::NoAccount, what);
    };
    let what = format!("{what}: the first, {account:?}, returns in {:.1} s ({cause})", wait.as_secs_f64());
    Error::new(ErrorKind::NoAccount, what).retry_in(wait)
}

/// The account that returns from quarantine before all others.
pub(super) struct FirstToReturn<'a> {
    pub(super) account: &'a str,
    /// The time until it returns, if it does so by itself.
    pub(super) wait: Option<Duration>,
    pub(super) cause: QuarantineCause,
}

/// Returns the error for a call that costs more than any account ever allows.
pub(super) fn cost_too_high(cost: u64, highest: u64, tag: Option<&str>) -> Error {
    let what =
        format!("no account of the pool{} ever allows a call that costs {cost}: at most {highest}", with_tag(tag));
    Error::new(ErrorKind::Configuration, what)
}

/// Returns the error for a call that costs more than the account of its key ever allows.
pub(super) fn cost_too_high_for_key(cost: u64, highest: u64, account: &str) -> Error {
    let what = format!(
        "the key belongs to the account {account:?}, which never allows a call that costs {cost}: at most {highest}"
    );
    Error::new(ErrorKind::Configuration, what)
}

/// Returns the error for a name that no account has.
pub(super) fn unknown_account(name: &str) -> Error {
    Error::new(ErrorKind::NoAccount, format!("the pool has no account {name:?}"))
}

/// Returns the error for a handle to an account that was removed.
pub(super) fn removed_account(name: &str) -> Error {
    let what = format!("the account {name:?} was removed from the pool");
    Error::new(ErrorKind::NoAccount, what).advising("ask the pool for the account of that name, if it was added again")
}

/// Returns the error of a pool that was closed.
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the pool was closed")
}

/// Returns the error for a second account of the same name.
pub(super) fn duplicate(name: &str) -> Error {
    let what = format!("the pool has an account {name:?} already (remove that first, or rename one)");
    Error::new(ErrorKind::Configuration, what)
}

/// Returns the error for a second account with the same API key.
pub(super) fn duplicate_key(name: &str, other: &str) -> Error {
    let what =
        format!("the account {name:?} has the API key of the account {other:?}, whose limits would not hold then");
    Error::new(ErrorKind::Configuration, what)
}

/// Returns the error of a fleet of which Redis has no account under keys that begin with `base`.
#[cfg(feature = "redis")]
pub(super) fn unregistered(base: &str) -> Error {
    let what = format!("the fleet has no account: no auth worker has registered one under `{base}`");
    Error::new(ErrorKind::NoAccount, what)
        .advising("start an auth worker, and give both roles the same Redis, database, name and prefix")
}

/// Returns the error of a process to which no access token of its fleet is any use, because of
/// `cause`.
#[cfg(feature = "redis")]
pub(super) fn unreadable(cause: &Error) -> Error {
    Error::new(ErrorKind::Configuration, format!("no account of the fleet can be used here: {}", cause.what()))
        .advising("give both roles the same `key`")
}

/// Returns the error of a caller that has no deadline, and nothing to wait for any more.
#[cfg(feature = "redis")]
pub(super) fn none_came_free() -> Error {
    Error::new(ErrorKind::Busy, "no account of the pool came free")
}

/// Returns the `error` of a caller that has waited in vain in a fleet without an auth worker.
#[cfg(feature = "redis")]
pub(super) fn without_auth_worker(error: Error, fleet: &str) -> Error {
    let what = format!("{}, and no auth worker of the fleet {fleet:?} lives", error.what());
    error.restated(ErrorKind::Busy, what).advising("start an auth worker, without which no process is given an account")
}

/// Returns the error for something that only a [`Pool`](super::Pool) can do.
#[cfg(feature = "redis")]
pub(super) fn not_in_redis(who: &str, what: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("{who} has {what}, which a pool in Redis does not support"))
}

fn with_tag(tag: Option<&str>) -> String {
    tag.map(|tag| format!(" with the tag {tag:?}")).unwrap_or_default()
}
