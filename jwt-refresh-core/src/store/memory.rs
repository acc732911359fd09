//! A store in memory, for sessions of one process that share a login, and for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{OwnedMutexGuard, watch};

use super::{StoreEntry, StoreError, StoreErrorKind, TokenStore};
use crate::sync::Mutex;

/// Keeps entries as long as the process lives. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<String, MemorySlot>>>);

/// One account's entry and lease.
#[derive(Clone, Debug)]
struct MemorySlot {
    entry: watch::Sender<Option<StoreEntry>>,
    lease: Arc<tokio::sync::Mutex<()>>,
}

impl MemoryStore {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn slot(&self, account: &str) -> MemorySlot {
        let mut slots = self.0.lock();
        if let Some(slot) = slots.get(account) {
            return slot.clone();
        }
        let slot = MemorySlot { entry: watch::Sender::new(None), lease: Arc::default() };
        slots.insert(account.to_owned(), slot.clone());
        slot
    }
}

/// The right to renew an account of a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryLease(#[expect(dead_code, reason = "held, and given back when dropped")] OwnedMutexGuard<()>);

impl TokenStore for MemoryStore {
    type Lease = MemoryLease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        Ok(self.slot(account).entry.borrow().clone())
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        let follows = |held: &mut Option<StoreEntry>| {
            let revision = held.as_ref().map_or(0, |held| held.revision);
            let follows = entry.follows_on(revision);
            if follows {
                *held = Some(entry.clone());
            }
            follows
        };
        if self.slot(account).entry.send_if_modified(follows) {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Conflict, "another has written to the memory store meanwhile"))
    }

    async fn lease(&self, account: &str) -> Result<MemoryLease, StoreError> {
        Ok(MemoryLease(self.slot(account).lease.lock_owned().await))
    }

    async fn changed(&self, account: &str, revision: u64) {
        let mut entry = self.slot(account).entry.subscribe();
        let is_other = |entry: &Option<StoreEntry>| entry.as_ref().map_or(0, |entry| entry.revision) != revision;
        // The sender lives as long as this store, so the wait is not cut off.
        let _ = entry.wait_for(is_other).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_largest_revision_is_followed_by_none() {
        let store = MemoryStore::new();
        let last = StoreEntry { revision: u64::MAX, data: b"last".to_vec().into() };
        store.slot("alice").entry.send_replace(Some(last.clone()));
        for revision in [0, 1, u64::MAX] {
            let next = StoreEntry { revision, data: b"more".to_vec().into() };
            assert_eq!(store.save("alice", &next).await.unwrap_err().kind(), StoreErrorKind::Conflict, "{revision}");
        }
        assert_eq!(store.load("alice").await.unwrap(), Some(last));
    }
}
