//! What a store can fail with.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What kind of failure a [`StoreError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It cannot be reached, or did not answer in time. What was to be written may have been
    /// written or not.
    Unavailable,
    /// The entry does not follow on the one that is there: another writer has written meanwhile.
    Conflict,
    /// What is there is no entry of this account: truncated, foreign, changed after it was sealed,
    /// or too large. If it stays where it is, [`StoreError::revision`] says which one it is.
    Corrupt,
    /// What is there is sealed with a key that is not given, or is not sealed though a key is
    /// given: the keys of this process are not those of the one that wrote it. It is left as it is,
    /// for a process that has the right ones.
    KeyMismatch,
    /// What is there was written by a later version of this library. It is left as it is.
    LaterFormat,
    /// What is there belongs to another server than the session's. Sessions say so; a store does
    /// not know.
    OtherServer,
    /// It is set up in a way that cannot work.
    Configuration,
}

/// Why a call of a store failed. Holds no secret.
#[derive(Clone, Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    what: String,
    revision: Option<u64>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// Returns an error of `kind`. `what` is a clause that says what happened. It names the store
    /// and holds no secret.
    pub fn new(kind: StoreErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), revision: None, source: None }
    }

    /// Adds what caused it, which must not hold a secret.
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Says that an entry of `revision` is there and stays there, though it cannot be read. The
    /// entry that follows on it has the next revision.
    pub fn at_revision(mut self, revision: u64) -> Self {
        self.revision = Some(revision);
        self
    }

    /// Returns the revision of an entry that is there and cannot be read.
    pub fn revision(&self) -> Option<u64> {
        self.revision
    }

    /// Returns what kind of failure it is.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
