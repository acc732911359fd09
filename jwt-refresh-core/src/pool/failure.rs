//! Why a pool gives no lease, in the words that all pools use.

use std::time::Duration;

use super::quarantine::QuarantineCause;
use crate::error::{Error, ErrorKind};

/// A login or refresh asked the pool that it works for.
pub(super) fn reentrant() -> Error {
    let what = "a login or refresh asked its own pool for a lease, and could wait for itself";
    Error::new(ErrorKind::Reentrant, what)
}

/// No more callers may wait than the `waiting` that do.
pub(super) fn queue_full(waiting: usize) -> Error {
    Error::new(ErrorKind::Busy, format!("{waiting} callers wait for a lease already"))
}

/// The deadline of the caller has passed.
pub(super) fn deadline_passed() -> Error {
    Error::new(ErrorKind::Busy, "no account of the pool came free before the lease's deadline")
}

/// No account was ever given the tag.
pub(super) fn unknown_tag(tag: &str) -> Error {
    let what = format!("no account of the pool was ever given the tag {tag:?} (see `Account::tag`)");
    Error::new(ErrorKind::Configuration, what)
}

/// The pool has no account, or none with the tag.
pub(super) fn no_account(tag: Option<&str>) -> Error {
    Error::new(ErrorKind::NoAccount, format!("the pool has no account{}", with(tag)))
}

/// All accounts, or all with the tag, are in quarantine.
pub(super) fn all_quarantined(tag: Option<&str>, first: Option<&FirstToReturn<'_>>) -> Error {
    let what = format!("every account{} is in quarantine", with(tag));
    let Some(&FirstToReturn { account, wait, cause }) = first else { return Error::new(ErrorKind::NoAccount, what) };
    let what = format!("{what}: the first, {account:?}, returns in {:.1} s ({cause})", wait.as_secs_f64());
    Error::new(ErrorKind::NoAccount, what).retry_in(wait)
}

/// The account in quarantine that returns before all others.
pub(super) struct FirstToReturn<'a> {
    pub(super) account: &'a str,
    pub(super) wait: Duration,
    pub(super) cause: QuarantineCause,
}

/// The pool has an account of that name.
pub(super) fn duplicate(name: &str) -> Error {
    let what = format!("the pool has an account {name:?} already (remove that first, or rename one)");
    Error::new(ErrorKind::Configuration, what)
}

fn with(tag: Option<&str>) -> String {
    tag.map(|tag| format!(" with the tag {tag:?}")).unwrap_or_default()
}
