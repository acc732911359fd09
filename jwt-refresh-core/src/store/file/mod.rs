//! A store in a folder: one file an account, shared by every process of the machine that uses the folder.
//!
//! `name` says what an account's files are called, `format` what is in them, `folder` where they are and what is allowed there,
//! `lock` keeps processes apart, and `place` reads and writes one account's file.

pub(super) mod folder;
pub(super) mod format;
pub(super) mod lock;
mod name;
pub(super) mod place;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Entry, StoreError, StoreErrorKind, TokenStore};
use folder::Folder;
use lock::Lock;
use place::Place;

/// Keeps each account in a file of its own, in one folder. All processes that use the folder share its logins.
///
/// - **Files**: 0600 in a folder that is made with 0700 (on Unix); a folder that everybody may write in is refused. A file is replaced
///   by an atomic rename, after it and before its folder are synced to disk: a crash leaves the old entry or the new one. What is
///   in it is not encrypted; `Sealed` (feature `seal`) does that.
/// - **Processes**: a write is a compare-and-swap under a short lock. The lease is a second lock, held by the operating system for the
///   process: it is free as soon as its holder is dead, however it died. Nobody but a store may delete `.lock` and `.lease` files while
///   programs run.
/// - **What is no entry of the account** (cut short, damaged, foreign, larger than 1 MiB) is renamed to `….corrupt-<n>`, reported by that
///   path once, and never overwritten. A file that a later version of this library wrote is reported and left where it is. An older copy
///   of the account's own file is an entry as good as any.
/// - **Where**: local disks. Whether locks work on a network disk is up to that disk; if it says that they do not, that is an error.
///
/// It works on tokio's threads for blocking calls, so it must be used in a runtime. Clones are the same store, and so is another
/// store on the same folder. Every future may be dropped; a write that had begun is then done or not, and its lock is given back.
///
/// ```
/// # use jwt_refresh_core::{Entry, FileStore, TokenStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), jwt_refresh_core::StoreError> {
/// # let folder = std::env::temp_dir().join(format!("jwt-refresh-doc-{}", std::process::id()));
/// let store = FileStore::new(&folder);
/// store.save("alice@example.com", &Entry { revision: 1, data: b"tokens".to_vec().into() }).await?;
/// let entry = FileStore::new(&folder).load("alice@example.com").await?;
/// assert_eq!(entry.unwrap().revision, 1);
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileStore(Arc<Folder>);

impl FileStore {
    /// A store in `folder`, which is made when it is first needed. What is wrong with it, each call of the store tells.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self(Arc::new(Folder::new(folder.as_ref())))
    }

    /// Does `work` on the account's files, on a thread that may block.
    async fn at<T: Send + 'static>(
        &self,
        account: &str,
        work: impl FnOnce(&Place) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Place::new(Arc::clone(&self.0), account);
        blocking(move || work(&place)).await
    }
}

/// Held by whoever renews an account of a [`FileStore`]; the operating system takes it back when the process ends.
#[derive(Debug)]
pub struct FileLease(#[expect(dead_code, reason = "held, and given back when dropped")] pub(super) Lock);

/// How often a change is looked for.
const LOOK: Duration = Duration::from_millis(250);

impl TokenStore for FileStore {
    type Lease = FileLease;

    /// See [`TokenStore::load`].
    async fn load(&self, account: &str) -> Result<Option<Entry>, StoreError> {
        self.at(account, Place::load).await
    }

    /// See [`TokenStore::save`].
    ///
    /// # Errors
    ///
    /// Beside those: [`StoreErrorKind::Corrupt`] if the file that was there is no entry of the account: it is aside now, so revision 1 is
    /// what follows. [`StoreErrorKind::Configuration`] if account and entry are larger than 1 MiB.
    async fn save(&self, account: &str, entry: &Entry) -> Result<(), StoreError> {
        let entry = entry.clone();
        self.at(account, move |place| place.save(&entry)).await
    }

    /// See [`TokenStore::lease`]. Looks for a lease that another has every 5 ms at first, every 50 ms in the end; there is no queue.
    async fn lease(&self, account: &str) -> Result<FileLease, StoreError> {
        poll_lease(|| self.at(account, Place::try_lease)).await
    }

    /// See [`TokenStore::changed`]. Looks every 250 ms.
    async fn changed(&self, account: &str, revision: u64) {
        loop {
            match self.at(account, Place::revision).await {
                Ok(now) if now == revision => tokio::time::sleep(LOOK).await,
                Ok(_) => return,
                // The caller's `load` tells what is wrong; it must not do so in a hot loop.
                Err(_) => return tokio::time::sleep(LOOK).await,
            }
        }
    }
}

/// Tries for the lease until it is had. Whatever a dropped try won, it gives back.
pub(super) async fn poll_lease<F>(mut attempt: impl FnMut() -> F) -> Result<FileLease, StoreError>
where
    F: Future<Output = Result<Option<Lock>, StoreError>>,
{
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(lock) = attempt().await? {
            return Ok(FileLease(lock));
        }
        tokio::time::sleep(pause).await;
        pause = Duration::min(pause * 2, Duration::from_millis(50));
    }
}

/// Runs `work` on a thread that may block. It runs to its end even if the future is dropped.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| {
        StoreError::new(StoreErrorKind::Configuration, "the store needs a tokio runtime, and there is none here")
    })?;
    runtime.spawn_blocking(work).await.unwrap_or_else(|error| {
        let what = "the store's work was lost, because the runtime is shutting down or by a panic";
        Err(StoreError::new(StoreErrorKind::Unavailable, what).caused_by(error))
    })
}
