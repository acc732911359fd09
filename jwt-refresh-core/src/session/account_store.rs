//! The entry of an account in a store. Each operation is bounded by a time-out, and a corrupt entry
//! is handled as the policy says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::record::Record;
use crate::policy::{CorruptEntry, Policy};
use crate::store::{DynLease, DynStore, StoreEntry, StoreError, StoreErrorKind};

/// The entry of an account in a store.
pub(super) struct AccountStore {
    store: Arc<dyn DynStore>,
    account: String,
    /// The highest revision seen. A store that shows a lower one has lost what was written since.
    seen: AtomicU64,
}

/// The entry that was found in the store.
pub(super) struct FoundEntry {
    /// The revision of the entry, also if its content is corrupt; 0 if there is none.
    pub(super) revision: u64,
    pub(super) record: Option<Record>,
}

impl AccountStore {
    pub(super) fn new(store: Arc<dyn DynStore>, account: String) -> Self {
        Self { store, account, seen: AtomicU64::new(0) }
    }

    /// Reads the entry.
    pub(super) async fn load(&self, policy: &Policy) -> Result<FoundEntry, StoreError> {
        // This is read before the load. A revision that another task sees meanwhile may be higher,
        // and does not make this entry corrupt.
        let seen = self.seen.load(Ordering::Acquire);
        let entry = with_timeout(policy.store_timeout, self.store.load(&self.account)).await;
        match entry.and_then(|entry| self.read(entry, seen)) {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => self.handle_corrupt(&error, policy).await,
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
        // The revision counts only now that the entry is valid: a false one must not make true ones
        // look old.
        self.seen.fetch_max(revision, Ordering::AcqRel);
        Ok(FoundEntry { revision, record: Some(record) })
    }

    /// Returns whether an entry of `revision` or a later one has been seen.
    pub(super) fn has_seen(&self, revision: u64) -> bool {
        self.seen.load(Ordering::Acquire) >= revision
    }

    /// Treats a corrupt entry as none, or as a failure of the store, as the policy says. The next
    /// entry that is written replaces it.
    async fn handle_corrupt(&self, error: &StoreError, policy: &Policy) -> Result<FoundEntry, StoreError> {
        tracing::warn!(target: "jwt_refresh", account = self.account, %error, "the store lies");
        if policy.corrupt_entry == CorruptEntry::TreatAsDown {
            return Err(StoreError::new(StoreErrorKind::Unavailable, error.to_string()));
        }
        let entry = match with_timeout(policy.store_timeout, self.store.load(&self.account)).await {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => None,
            entry => entry?,
        };
        let revision = entry.map_or(0, |entry| entry.revision);
        self.seen.store(revision, Ordering::Release);
        Ok(FoundEntry { revision, record: None })
    }

    /// Writes the record after the entry of `revision`. Returns its revision.
    pub(super) async fn save(&self, policy: &Policy, revision: u64, record: &Record) -> Result<u64, StoreError> {
        let revision = revision + 1;
        let entry = StoreEntry { revision, data: record.write(&self.account, revision) };
        with_timeout(policy.store_timeout, self.store.save(&self.account, &entry)).await?;
        self.seen.fetch_max(revision, Ordering::AcqRel);
        Ok(revision)
    }

    /// Deletes the copies of corrupt entries that the store has kept.
    pub(super) async fn delete_corrupt(&self, policy: &Policy) -> Result<(), StoreError> {
        with_timeout(policy.store_timeout, self.store.delete_corrupt(&self.account)).await
    }

    /// Waits for the renewal lease. Returns `None` if others had it all the time: the store works,
    /// but it was not this session's turn.
    pub(super) async fn lease(&self, policy: &Policy) -> Result<Option<DynLease>, StoreError> {
        tokio::time::timeout(max_lease_wait(policy), self.store.lease(&self.account)).await.ok().transpose()
    }

    /// Waits until the entry may be another than the one of `revision`.
    pub(super) async fn changed(&self, revision: u64) {
        self.store.changed(&self.account, revision).await;
    }
}

/// Returns how long to wait for the renewal lease. The process that has it may be doing a refresh
/// and then a login, so a shorter wait would give up on a renewal that goes well.
pub(super) fn max_lease_wait(policy: &Policy) -> Duration {
    policy.refresh_timeout + policy.login_timeout + 4 * policy.store_timeout
}

/// Bounds an operation of the store.
async fn with_timeout<T>(
    timeout: Duration,
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(timeout, operation).await.unwrap_or_else(|_| {
        let what = format!("the store did not answer within {} s", timeout.as_secs_f32());
        Err(StoreError::new(StoreErrorKind::Unavailable, what))
    })
}
