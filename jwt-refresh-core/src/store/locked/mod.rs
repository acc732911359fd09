//! An account's entry where files lock it: the algorithm of every store whose medium has neither
//! locks nor compare-and-swap.
//!
//! `files` says what an account's files are called and locks them, `lock` is one such lock,
//! `folder` says where the files are and what is allowed there, and `format` how an entry is
//! written.

mod files;
mod folder;
mod format;
mod lock;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{StoreEntry, StoreError, StoreErrorKind};
use format::Flaw;
use lock::Lock;

pub(super) use files::AccountFiles;
pub(super) use folder::{Folder, disk_error, make_private, private_options, sync_folder};
pub(super) use format::{HEAD, LARGEST, revision};
pub use lock::FileLease;

/// Where the bytes of an account's entry are: in a file, or in a credential of a keyring. Every
/// method may block.
pub(super) trait Medium: Send + Sync + 'static {
    /// Returns what messages call it.
    fn name(&self) -> String;

    /// Returns the bytes that are there. Bytes beyond [`LARGEST`] may be left out, except the
    /// first.
    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Replaces the bytes that are there.
    fn write(&self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Moves the bytes to where nothing is yet, and returns what messages call that.
    fn set_aside(&self) -> Result<String, StoreError>;
}

/// An account's entry in a medium, and the files that lock it.
pub(super) struct LockedEntry<M> {
    files: Arc<AccountFiles>,
    medium: M,
}

/// The asynchronous part, which runs the blocking part on threads that may block.
impl<M: Medium> LockedEntry<M> {
    pub(super) fn new(files: Arc<AccountFiles>, medium: M) -> Self {
        Self { files, medium }
    }

    /// Returns the entry. What is there and is no entry is set aside, and an error says so.
    pub(super) async fn load(self) -> Result<Option<StoreEntry>, StoreError> {
        blocking(move || self.load_now()).await
    }

    /// Writes `entry` if it follows on the one that is there.
    pub(super) async fn save(self, entry: StoreEntry) -> Result<(), StoreError> {
        blocking(move || self.save_now(&entry)).await
    }

    /// Tries to take the lease until it is taken. If the caller is cancelled while an attempt is
    /// under way, a lease that this attempt takes is dropped, which gives it back.
    pub(super) async fn lease(self) -> Result<FileLease, StoreError> {
        let mut pause = Duration::from_millis(5);
        loop {
            let files = Arc::clone(&self.files);
            if let Some(lock) = blocking(move || files.try_lease()).await? {
                return Ok(FileLease(lock));
            }
            tokio::time::sleep(pause).await;
            pause = Duration::min(pause * 2, Duration::from_millis(50));
        }
    }
}

/// The blocking part.
impl<M: Medium> LockedEntry<M> {
    fn load_now(&self) -> Result<Option<StoreEntry>, StoreError> {
        if let Ok(entry) = self.read()? {
            return Ok(entry);
        }
        // A writer may just have replaced it, so look again while no writer can.
        self.files.folder().make()?;
        let lock = self.files.lock()?;
        self.load_locked(&lock)
    }

    fn save_now(&self, entry: &StoreEntry) -> Result<(), StoreError> {
        let bytes = format::encode(self.files.account(), entry).ok_or_else(|| {
            let what = format!("the entry for {} is larger than 1 MiB", self.medium.name());
            StoreError::new(StoreErrorKind::Configuration, what)
        })?;
        self.files.folder().make()?;
        let lock = self.files.lock()?;
        let held = self.load_locked(&lock)?.map_or(0, |held| held.revision);
        if held.checked_add(1) != Some(entry.revision) {
            let what = format!("another has written {} meanwhile", self.medium.name());
            return Err(StoreError::new(StoreErrorKind::Conflict, what));
        }
        self.medium.write(&bytes)
    }

    /// Returns the entry, and sets aside what is no entry.
    fn load_locked(&self, _: &Lock) -> Result<Option<StoreEntry>, StoreError> {
        let (kind, what) = match self.read()? {
            Ok(entry) => return Ok(entry),
            Err(Flaw::Corrupt(what)) => {
                let aside = self.medium.set_aside()?;
                (StoreErrorKind::Corrupt, format!("{what}; it is kept as {aside}"))
            }
            Err(Flaw::Later(version)) => {
                (StoreErrorKind::LaterFormat, format!("is in format {version}, which a later jwt-refresh wrote"))
            }
        };
        Err(StoreError::new(kind, format!("{} {what}", self.medium.name())))
    }

    fn read(&self) -> Result<Result<Option<StoreEntry>, Flaw>, StoreError> {
        let bytes = self.medium.read()?;
        Ok(bytes.map(|bytes| format::decode(self.files.account(), &bytes)).transpose())
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
