//! A store in memory: for sessions of one process that share a login, and for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedMutexGuard, watch};

use super::{Entry, StoreError, StoreErrorKind, TokenStore};

/// Keeps entries as long as the process lives. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<String, Place>>>);

#[derive(Clone, Debug)]
struct Place {
    entry: watch::Sender<Option<Entry>>,
    lease: Arc<tokio::sync::Mutex<()>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn place(&self, account: &str) -> Place {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(account) {
            return place.clone();
        }
        let place = Place { entry: watch::Sender::new(None), lease: Arc::default() };
        places.insert(account.to_owned(), place.clone());
        place
    }
}

/// Held by whoever renews an account of a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryLease(#[expect(dead_code, reason = "held, and given back when dropped")] OwnedMutexGuard<()>);

impl TokenStore for MemoryStore {
    type Lease = MemoryLease;

    async fn load(&self, account: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.place(account).entry.borrow().clone())
    }

    async fn save(&self, account: &str, entry: &Entry) -> Result<(), StoreError> {
        let follows = |held: &mut Option<Entry>| {
            let revision = held.as_ref().map_or(0, |held| held.revision);
            let follows = entry.revision == revision + 1;
            if follows {
                *held = Some(entry.clone());
            }
            follows
        };
        if self.place(account).entry.send_if_modified(follows) {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Conflict, "another has written to the memory store meanwhile"))
    }

    async fn lease(&self, account: &str) -> Result<MemoryLease, StoreError> {
        Ok(MemoryLease(self.place(account).lease.lock_owned().await))
    }

    async fn changed(&self, account: &str, revision: u64) {
        let mut entry = self.place(account).entry.subscribe();
        let is_other = |entry: &Option<Entry>| entry.as_ref().map_or(0, |entry| entry.revision) != revision;
        // The sender lives in this very store, so the wait cannot be cut off.
        let _ = entry.wait_for(is_other).await;
    }
}
