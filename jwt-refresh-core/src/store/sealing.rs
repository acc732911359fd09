//! Whether what a store holds is sealed, which shows without a key, and the errors of a process
//! whose keys do not fit it.

use super::{StoreError, StoreErrorKind};

/// What all that is sealed begins with.
const SEALED: &[u8] = b"v4.local.";

/// Returns whether the data of an entry is sealed.
pub(crate) fn is_sealed(data: &[u8]) -> bool {
    data.starts_with(SEALED)
}

/// Returns the error of a process that was given no key, while the entry is sealed.
pub(crate) fn without_key(account: &str, revision: u64) -> StoreError {
    key_mismatch(account, revision, "is sealed, and this process was given no key: give it the one that sealed it")
}

/// Returns the error of a process whose keys do not fit an entry. It does not name the revision, so
/// that it stays the same while others renew the tokens, and is reported once.
pub(super) fn key_mismatch(account: &str, revision: u64, what: &str) -> StoreError {
    let what = format!("the entry of account {account:?} {what}");
    StoreError::new(StoreErrorKind::KeyMismatch, what).at_revision(revision)
}
