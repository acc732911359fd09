//! A store that a test can hold up, switch off, and keep from notifying of changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use jwt_refresh::store::{MemoryLease, MemoryStore, StoreEntry, StoreError, StoreErrorKind, TokenStore};
use tokio::sync::{Notify, watch};

#[derive(Clone, Default)]
pub(crate) struct SlowStore {
    pub(crate) inner: MemoryStore,
    pub(crate) controls: Arc<Controls>,
}

#[derive(Default)]
pub(crate) struct Controls {
    /// The number of the load whose answer is held back, counted from now on.
    pub(crate) load_to_hold: AtomicU32,
    /// The number of the save whose answer is held back, counted from now on.
    pub(crate) save_to_hold: AtomicU32,
    pub(crate) held: Notify,
    pub(crate) go_on: Notify,
    pub(crate) loads: AtomicU32,
    pub(crate) notifies_of_changes: watch::Sender<bool>,
    /// The number of the save after which the store is down, counted from now on.
    pub(crate) last_save: AtomicU32,
    pub(crate) is_down: AtomicBool,
}

/// Counts down to zero, and returns whether this was the last count.
fn is_last(counter: &AtomicU32) -> bool {
    let less = |left: u32| left.checked_sub(1);
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) == Ok(1)
}

impl SlowStore {
    fn check(&self) -> Result<(), StoreError> {
        if self.controls.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the store is down"));
        }
        Ok(())
    }
}

impl TokenStore for SlowStore {
    type Lease = MemoryLease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        self.check()?;
        let entry = self.inner.load(account).await;
        if is_last(&self.controls.load_to_hold) {
            self.controls.held.notify_one();
            self.controls.go_on.notified().await;
        }
        self.controls.loads.fetch_add(1, Ordering::SeqCst);
        entry
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.check()?;
        self.inner.save(account, entry).await?;
        if is_last(&self.controls.save_to_hold) {
            self.controls.held.notify_one();
            self.controls.go_on.notified().await;
        }
        if is_last(&self.controls.last_save) {
            self.controls.is_down.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    async fn lease(&self, account: &str) -> Result<MemoryLease, StoreError> {
        self.check()?;
        self.inner.lease(account).await
    }

    async fn changed(&self, account: &str, revision: u64) {
        let _ = self.controls.notifies_of_changes.subscribe().wait_for(|notifies| *notifies).await;
        self.inner.changed(account, revision).await;
    }
}
