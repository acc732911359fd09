//! An account's entry where files lock it: the algorithm of every store whose medium has neither
//! locks nor compare-and-swap.
//!
//! `files` says what an account's files are called and locks them, `lock` is one such lock,
//! `folder` says where the files are, `access` who else may use that folder, `open_folder` is what
//! is done in it, `gate` runs what blocks, `format` says how an entry is written, and `watch` looks
//! for changes.

#[cfg(unix)]
mod access;
mod failure;
mod files;
mod folder;
mod format;
mod gate;
mod lock;
mod open_folder;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{StoreEntry, StoreError, StoreErrorKind};
use format::Flaw;

pub(super) use failure::disk_error;
pub(super) use files::AccountFiles;
pub(super) use folder::Folder;
pub(super) use format::LARGEST;
pub use lock::FileLease;
pub(super) use open_folder::OpenFolder;
pub(super) use watch::{FileRevision, FileWatch, POLL};

/// How long a writer waits for the writers before it, which take milliseconds each.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the bytes of an account's entry are: in a file of the folder, or in a credential of a
/// keyring. Every method may block.
pub(super) trait Medium: Send + Sync + 'static {
    /// Returns what messages call it.
    fn name(&self) -> String;

    /// Returns the bytes that are there; `folder` is `None` if there is no folder. Bytes beyond
    /// [`LARGEST`] may be left out, except the first.
    fn read(&self, folder: Option<&OpenFolder>) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Replaces the bytes that are there.
    fn write(&self, folder: &OpenFolder, bytes: &[u8]) -> Result<(), StoreError>;

    /// Moves the bytes to where nothing is yet, and returns what messages call that.
    fn set_aside(&self, folder: &OpenFolder) -> Result<String, StoreError>;

    /// Deletes what was ever set aside, and what a writer that died has left.
    fn delete_corrupt(&self, folder: &OpenFolder) -> Result<(), StoreError>;
}

/// An account's entry in a medium, and the files that lock it.
pub(super) struct LockedEntry<M> {
    files: Arc<AccountFiles>,
    medium: M,
}

/// The asynchronous part, which runs the blocking part on threads that may block. It is what waits
/// for locks, so that no thread does.
impl<M: Medium> LockedEntry<M> {
    pub(super) fn new(files: Arc<AccountFiles>, medium: M) -> Self {
        Self { files, medium }
    }

    /// Returns the entry. What is there and is no entry is set aside, and an error says so.
    pub(super) async fn load(self) -> Result<Option<StoreEntry>, StoreError> {
        let this = Arc::new(self);
        let reader = Arc::clone(&this);
        let read = move || reader.read(reader.files.folder().open()?.as_ref());
        if let Ok(entry) = this.files.folder().blocking(read).await? {
            return Ok(entry);
        }
        // A writer may just have replaced it, so look again while no writer can.
        this.with_lock(Self::load_locked).await
    }

    /// Writes `entry` if it follows on the one that is there.
    pub(super) async fn save(self, entry: StoreEntry) -> Result<(), StoreError> {
        Arc::new(self).with_lock(move |this, folder| this.save_locked(folder, &entry)).await
    }

    /// Deletes what was set aside.
    pub(super) async fn delete_corrupt(self) -> Result<(), StoreError> {
        Arc::new(self).with_lock(|this, folder| this.medium.delete_corrupt(folder)).await
    }

    /// Tries to take the lease until it is taken. If the caller is cancelled while an attempt is
    /// under way, a lease that this attempt takes is dropped, which gives it back.
    pub(super) async fn lease(self) -> Result<FileLease, StoreError> {
        let mut pause = Duration::from_millis(5);
        loop {
            let files = Arc::clone(&self.files);
            if let Some(lock) = self.files.folder().blocking(move || files.try_lease()).await? {
                return Ok(FileLease(lock));
            }
            tokio::time::sleep(pause).await;
            pause = Duration::min(pause * 2, Duration::from_millis(50));
        }
    }

    /// Does `work` while no writer can change the entry. The folder is made if it is not there.
    async fn with_lock<T: Send + 'static>(
        self: Arc<Self>,
        work: impl Fn(&Self, &OpenFolder) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let (begun, work) = (Instant::now(), Arc::new(work));
        let mut pause = Duration::from_millis(1);
        loop {
            let (this, work) = (Arc::clone(&self), Arc::clone(&work));
            let attempt = move || {
                let folder = this.files.folder().make()?;
                let Some(_lock) = this.files.try_lock(&folder)? else { return Ok(None) };
                work(&this, &folder).map(Some)
            };
            if let Some(done) = self.files.folder().blocking(attempt).await? {
                return Ok(done);
            }
            if begun.elapsed() > LOCK_TIMEOUT {
                let lock = self.files.folder().path().join(self.files.name("lock"));
                let what = format!("another holds the lock file {} for more than {LOCK_TIMEOUT:?}", lock.display());
                return Err(StoreError::new(StoreErrorKind::Unavailable, what));
            }
            tokio::time::sleep(pause).await;
            pause = Duration::min(pause * 2, Duration::from_millis(20));
        }
    }
}

/// The blocking part. Where there is an open folder, the lock is held.
impl<M: Medium> LockedEntry<M> {
    fn save_locked(&self, folder: &OpenFolder, entry: &StoreEntry) -> Result<(), StoreError> {
        let bytes = format::encode(self.files.account(), entry).ok_or_else(|| {
            let what = format!("the entry for {} is larger than 1 MiB", self.medium.name());
            StoreError::new(StoreErrorKind::Configuration, what)
        })?;
        let held = self.load_locked(folder)?.map_or(0, |held| held.revision);
        if !entry.follows_on(held) {
            let what = format!("another has written {} meanwhile", self.medium.name());
            return Err(StoreError::new(StoreErrorKind::Conflict, what));
        }
        self.medium.write(folder, &bytes)
    }

    /// Returns the entry, and sets aside what is no entry.
    fn load_locked(&self, folder: &OpenFolder) -> Result<Option<StoreEntry>, StoreError> {
        let (kind, what) = match self.read(Some(folder))? {
            Ok(entry) => return Ok(entry),
            Err(Flaw::Corrupt(what)) => {
                let aside = self.medium.set_aside(folder)?;
                (StoreErrorKind::Corrupt, format!("{what}; it is kept as {aside}"))
            }
            Err(Flaw::Later(version)) => {
                (StoreErrorKind::LaterFormat, format!("is in format {version}, which a later jwt-refresh wrote"))
            }
        };
        Err(StoreError::new(kind, format!("{} {what}", self.medium.name())))
    }

    fn read(&self, folder: Option<&OpenFolder>) -> Result<Result<Option<StoreEntry>, Flaw>, StoreError> {
        let bytes = self.medium.read(folder)?;
        Ok(bytes.map(|bytes| format::decode(self.files.account(), &bytes)).transpose())
    }
}
