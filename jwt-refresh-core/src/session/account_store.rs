//! A session's place in its store: how its entry is read and written, within a time-out, and what is made of one that lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::record::Record;
use crate::policy::{CorruptEntry, Policy};
use crate::store::{DynLease, DynStore, StoreEntry, StoreError, StoreErrorKind};

pub(super) struct AccountStore {
    store: Arc<dyn DynStore>,
    account: String,
    /// The highest revision seen: a store that shows a lower one has lost what was written since.
    seen: AtomicU64,
}

/// What was found in the store.
pub(super) struct FoundEntry {
    /// Of the entry that is there, whatever it says; 0 if there is none.
    pub(super) revision: u64,
    pub(super) record: Option<Record>,
}

impl AccountStore {
    pub(super) fn new(store: Arc<dyn DynStore>, account: String) -> Self {
        Self { store, account, seen: AtomicU64::new(0) }
    }

    pub(super) async fn load(&self, policy: &Policy) -> Result<FoundEntry, StoreError> {
        // What somebody else sees while this is under way may be newer, and that is no lie.
        let seen = self.seen.load(Ordering::Acquire);
        let entry = within(policy.store_timeout, self.store.load(&self.account)).await;
        match entry.and_then(|entry| self.read(entry, seen)) {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => self.corrupt(&error, policy).await,
            found => found,
        }
    }

    fn read(&self, entry: Option<StoreEntry>, seen: u64) -> Result<FoundEntry, StoreError> {
        let Some(StoreEntry { revision, data }) = entry else { return Ok(FoundEntry { revision: 0, record: None }) };
        if revision < seen {
            let what = "the entry in the store is older than one that was there before";
            return Err(StoreError::new(StoreErrorKind::Corrupt, what));
        }
        let record = Record::read(&data, &self.account, revision)?;
        // Only now: a revision that is a lie must not make the truth look old.
        self.seen.fetch_max(revision, Ordering::AcqRel);
        Ok(FoundEntry { revision, record: Some(record) })
    }

    /// Whether an entry of that revision or a later one was there.
    pub(super) fn has_seen(&self, revision: u64) -> bool {
        self.seen.load(Ordering::Acquire) >= revision
    }

    /// Takes a corrupt entry for none, if the policy says so. Its place is taken by the next that is written.
    async fn corrupt(&self, error: &StoreError, policy: &Policy) -> Result<FoundEntry, StoreError> {
        tracing::warn!(target: "jwt_refresh", account = self.account, %error, "the store lies");
        if policy.corrupt_entry == CorruptEntry::TreatAsDown {
            return Err(StoreError::new(StoreErrorKind::Unavailable, error.to_string()));
        }
        let entry = match within(policy.store_timeout, self.store.load(&self.account)).await {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => None,
            entry => entry?,
        };
        let revision = entry.map_or(0, |entry| entry.revision);
        self.seen.store(revision, Ordering::Release);
        Ok(FoundEntry { revision, record: None })
    }

    /// Writes the record after the entry of `revision`.
    pub(super) async fn save(&self, policy: &Policy, revision: u64, record: &Record) -> Result<u64, StoreError> {
        let revision = revision + 1;
        let entry = StoreEntry { revision, data: record.write(&self.account, revision) };
        within(policy.store_timeout, self.store.save(&self.account, &entry)).await?;
        self.seen.fetch_max(revision, Ordering::AcqRel);
        Ok(revision)
    }

    /// The lease, or `None` if others had it all the time: the store is there, and it is not our turn.
    pub(super) async fn lease(&self, policy: &Policy) -> Result<Option<DynLease>, StoreError> {
        tokio::time::timeout(longest_turn(policy), self.store.lease(&self.account)).await.ok().transpose()
    }

    pub(super) async fn changed(&self, revision: u64) {
        self.store.changed(&self.account, revision).await;
    }
}

/// Whoever has the lease may be in the middle of a refresh and then a login: waiting for less than both would give up on a
/// renewal that goes well.
pub(super) fn longest_turn(policy: &Policy) -> Duration {
    policy.refresh_timeout + policy.login_timeout + 4 * policy.store_timeout
}

async fn within<T>(longest: Duration, operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(longest, operation).await.unwrap_or_else(|_| {
        let what = format!("the store did not answer within {} s", longest.as_secs_f32());
        Err(StoreError::new(StoreErrorKind::Unavailable, what))
    })
}
