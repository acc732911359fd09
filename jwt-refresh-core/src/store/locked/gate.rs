//! Keeps calls that hang (a network disk, a locked keyring) from taking more and more threads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::{StoreError, StoreErrorKind};
use crate::sync::Mutex;

/// How many threads the calls on one folder have at once, all stores of the process together.
const THREADS: usize = 4;

/// How long a call waits for such a thread. Calls take milliseconds, if they do not hang.
const THREAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The gates of all folders that a store uses, by path.
static GATES: LazyLock<Mutex<BTreeMap<PathBuf, Weak<Gate>>>> = LazyLock::new(Mutex::default);

/// Lets a few calls on a folder block a thread at once. The others wait without one.
#[derive(Debug)]
pub(super) struct Gate {
    threads: Arc<Semaphore>,
}

impl Gate {
    /// Returns the gate that all stores on the folder share.
    pub(super) fn of(folder: &Path) -> Arc<Self> {
        let mut gates = GATES.lock();
        if let Some(gate) = gates.get(folder).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::new(Self { threads: Arc::new(Semaphore::new(THREADS)) });
        gates.insert(folder.to_owned(), Arc::downgrade(&gate));
        gate
    }

    /// Runs `work` on a thread that may block. It runs to its end even if the future is dropped,
    /// and has the thread until then.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        folder: &Path,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let runtime = Handle::try_current().map_err(|_| {
            StoreError::new(StoreErrorKind::Configuration, "the store needs a tokio runtime, and there is none here")
        })?;
        let thread = self.enter(folder).await?;
        let work = move || {
            let _thread = thread;
            work()
        };
        runtime.spawn_blocking(work).await.unwrap_or_else(|error| {
            // What the panic says is not repeated: it may hold a secret.
            let what = if error.is_panic() {
                "the store's work ended in a panic"
            } else {
                "the store's work was lost, because the runtime is shutting down"
            };
            Err(StoreError::new(StoreErrorKind::Unavailable, what))
        })
    }

    async fn enter(&self, folder: &Path) -> Result<OwnedSemaphorePermit, StoreError> {
        if let Ok(thread) = Arc::clone(&self.threads).try_acquire_owned() {
            return Ok(thread);
        }
        let thread = tokio::time::timeout(THREAD_TIMEOUT, Arc::clone(&self.threads).acquire_owned()).await;
        thread.ok().and_then(Result::ok).ok_or_else(|| {
            let what = format!("{THREADS} calls of the store with the folder {} hang", folder.display());
            StoreError::new(StoreErrorKind::Unavailable, what)
        })
    }
}
