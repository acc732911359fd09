//! A store in memory that fails as a test wants it to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jwt_refresh::store::{MemoryLease, MemoryStore, StoreEntry, StoreError, StoreErrorKind, TokenStore};
use tokio::sync::watch;

/// How the store fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    Down,
    /// Nothing is ever answered.
    Hangs,
    /// A load reads the entry, and answers when there is no fault any more.
    HoldsLoads,
    Panics,
    /// A save is done, and its answer never comes.
    LosesAnswersOfSaves,
}

/// Clones are the same store.
#[derive(Clone, Default)]
pub(crate) struct FaultyStore {
    /// What is in it. A test replaces it with another to roll the store back.
    inner: Arc<Mutex<MemoryStore>>,
    fault: watch::Sender<Fault>,
    pub(crate) loads: Arc<AtomicUsize>,
    pub(crate) deleted_corrupt: Arc<AtomicUsize>,
    /// How many loads have not ended.
    pub(crate) loading: Arc<AtomicUsize>,
}

impl FaultyStore {
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    fn fault(&self) -> Fault {
        *self.fault.borrow()
    }

    pub(crate) fn inner(&self) -> MemoryStore {
        self.inner.lock().unwrap().clone()
    }

    /// Puts a store in place that holds only `entry`.
    pub(crate) async fn roll_back_to(&self, entry: Option<StoreEntry>) {
        let store = MemoryStore::new();
        if let Some(entry) = entry {
            for revision in 1..entry.revision {
                store.save("ada", &StoreEntry { revision, data: Vec::new().into() }).await.unwrap();
            }
            store.save("ada", &entry).await.unwrap();
        }
        *self.inner.lock().unwrap() = store;
    }

    pub(crate) async fn entry(&self) -> Option<StoreEntry> {
        self.inner().load("ada").await.unwrap()
    }

    /// The entry as text. It holds no secret but a test's.
    pub(crate) async fn text(&self) -> String {
        String::from_utf8(self.entry().await.map_or_else(Vec::new, |entry| entry.data.to_vec())).unwrap()
    }

    async fn check(&self) -> Result<(), StoreError> {
        match self.fault() {
            Fault::None | Fault::LosesAnswersOfSaves | Fault::HoldsLoads => Ok(()),
            Fault::Down => Err(StoreError::new(StoreErrorKind::Unavailable, "the store is down")),
            Fault::Hangs => std::future::pending().await,
            Fault::Panics => panic!("a bug of the store"),
        }
    }
}

struct Loading(Arc<AtomicUsize>);

impl Loading {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl TokenStore for FaultyStore {
    type Lease = MemoryLease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        let _loading = Loading::new(&self.loading);
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.check().await?;
        let found = self.inner().load(account).await;
        let _ = self.fault.subscribe().wait_for(|fault| *fault != Fault::HoldsLoads).await;
        found
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.check().await?;
        self.inner().save(account, entry).await?;
        if self.fault() == Fault::LosesAnswersOfSaves { std::future::pending().await } else { Ok(()) }
    }

    async fn lease(&self, account: &str) -> Result<MemoryLease, StoreError> {
        self.check().await?;
        self.inner().lease(account).await
    }

    async fn delete_corrupt(&self, _: &str) -> Result<(), StoreError> {
        self.deleted_corrupt.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}
