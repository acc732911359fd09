//! A store in a folder: one file for each account, shared by all processes of the machine that use
//! the folder.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::locked::{
    self, AccountFiles, FileLease, FileRevision, FileWatch, Folder, LockedEntry, Medium, OpenFolder, POLL, disk_error,
};
use super::{StoreEntry, StoreError, TokenStore};
use crate::runtime;

/// Keeps each account in a file of its own, in one folder. All processes that use the folder share
/// its logins.
///
/// - **Files**: 0600 in a folder that is made with 0700 (on Unix). A file is replaced by an atomic
///   rename; the file is synced to disk before it, the folder after it, so that a crash leaves the
///   old entry or the new one. Files are not encrypted; `Sealed` (feature `seal`) does that.
/// - **Folders** (on Unix): one that the group or everybody may write to is used only if it belongs
///   to this user, to root, or to a group of this process; the same holds for each folder above it.
///   Where everybody may write, only folders and files of this user or root are used. So volumes of
///   Kubernetes (`emptyDir`, claims with `fsGroup`), `StateDirectory` of systemd, and folders below
///   `/tmp` work. The folder may be a symbolic link. A file of the store may not: an entry, lock or
///   lease that is a link, or no regular file, is refused and left alone.
/// - **Processes**: a write is a compare-and-swap under a short lock. The lease is a second lock.
///   The operating system holds both for the process, and frees them as soon as the process is
///   dead, however it died. While programs run, only a store may delete `.lock` and `.lease` files.
/// - **What is no entry of the account** (cut short, damaged, foreign, larger than 1 MiB) is
///   renamed to `….corrupt-<n>`, reported by that path once, and never overwritten. A file that a
///   later version of this library wrote is reported and left where it is. An older copy of the
///   account's own file is a valid entry.
/// - **Where**: local disks. Whether locks work on a network disk is up to that disk. If it reports
///   that they do not, that is an error.
///
/// It works on tokio's threads for blocking calls, so it must be used in a runtime with time
/// enabled. Outside of one, each call but `changed` returns a
/// [`StoreErrorKind::Configuration`](super::StoreErrorKind::Configuration). All stores of the
/// process on one folder use four such threads at most. If the disk hangs, further calls fail after
/// 10 s. Clones are the same store, and so is another store on the same folder. Every future may be
/// dropped: a write that had begun is then done or not, and its lock is given back.
///
/// # Errors
///
/// [`StoreErrorKind::Configuration`](super::StoreErrorKind::Configuration) if the folder or a file
/// in it cannot be used: permission is missing, the file system is read-only, it is no folder, or
/// it is refused as above. The text names the path and the reason.
/// [`StoreErrorKind::Unavailable`](super::StoreErrorKind::Unavailable) for what may pass: no space
/// is left, the disk fails or hangs.
///
/// ```
/// # use jwt_refresh::store::{FileStore, StoreEntry, TokenStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), jwt_refresh::store::StoreError> {
/// # let folder = std::env::temp_dir().join(format!("jwt-refresh-doc-{}", std::process::id()));
/// let store = FileStore::new(&folder);
/// let entry = StoreEntry { revision: 1, data: b"tokens".to_vec().into() };
/// store.save("alice@example.com", &entry).await?;
/// let entry = FileStore::new(&folder).load("alice@example.com").await?;
/// assert_eq!(entry.unwrap().revision, 1);
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileStore(Arc<Folder>);

impl FileStore {
    /// Returns a store in `folder`, which is made when it is first needed. If the folder cannot be
    /// used, each call of the store returns the error.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self(Arc::new(Folder::new(folder.as_ref())))
    }

    fn files(&self, account: &str) -> Arc<AccountFiles> {
        Arc::new(AccountFiles::new(&self.0, account))
    }

    fn entry(&self, account: &str) -> LockedEntry<TokenFile> {
        let files = self.files(account);
        LockedEntry::new(Arc::clone(&files), TokenFile(files))
    }
}

impl TokenStore for FileStore {
    type Lease = FileLease;

    /// See [`TokenStore::load`].
    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        self.entry(account).load().await
    }

    /// See [`TokenStore::save`].
    ///
    /// # Errors
    ///
    /// Beside those: [`StoreErrorKind::Corrupt`](super::StoreErrorKind::Corrupt) if the file that
    /// was there is no entry of the account: it is set aside now, so revision 1 is what follows.
    /// [`StoreErrorKind::Configuration`](super::StoreErrorKind::Configuration) if account and entry
    /// are larger than 1 MiB.
    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.entry(account).save(entry.clone()).await
    }

    /// See [`TokenStore::lease`]. Tries again after 5 ms at first, every 50 ms in the end, while
    /// another holds the lease; there is no queue.
    async fn lease(&self, account: &str) -> Result<FileLease, StoreError> {
        self.entry(account).lease().await
    }

    /// See [`TokenStore::delete_corrupt`]. Deletes the `….corrupt-<n>` files, and the `….new` file
    /// of a writer that died.
    async fn delete_corrupt(&self, account: &str) -> Result<(), StoreError> {
        self.entry(account).delete_corrupt().await
    }

    /// See [`TokenStore::changed`]. Looks every 250 ms, once for all accounts of the folder: at the
    /// folder, and at files only if it has changed. On a file system that does not keep the time at
    /// which a folder was changed, a change is noticed within five seconds.
    async fn changed(&self, account: &str, revision: u64) {
        let path = TokenFile(self.files(account)).path();
        // In a fork there is nothing that could look: the caller does.
        let Ok(runtime) = runtime::handle() else { return tokio::time::sleep(POLL).await };
        // Watched before the first look, so that no change after that look is missed.
        let mut file = FileWatch::new(self.0.path(), path.clone(), &runtime);
        let found = match self.0.blocking(move || Ok(FileRevision::read(&path))).await {
            Ok(FileRevision::Known(now)) if now == revision => file.other_than(revision).await,
            Ok(found) => found,
            Err(_) => FileRevision::Unreadable,
        };
        if found == FileRevision::Unreadable {
            // The caller's `load` returns the error. The pause keeps that from being a hot loop.
            tokio::time::sleep(POLL).await;
        }
    }
}

/// One account's file.
struct TokenFile(Arc<AccountFiles>);

impl Medium for TokenFile {
    fn name(&self) -> String {
        format!("the token file {}", self.path().display())
    }

    fn read(&self, folder: Option<&OpenFolder>) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let Some(folder) = folder else { return Ok(None) };
        self.read_in(folder).map_err(|error| self.failed("read", error))
    }

    fn write(&self, folder: &OpenFolder, bytes: &[u8]) -> Result<(), StoreError> {
        self.replace(folder, bytes).map_err(|error| self.failed("written", error))
    }

    fn set_aside(&self, folder: &OpenFolder) -> Result<String, StoreError> {
        let aside = self.rename(folder).map_err(|error| self.failed("kept aside, though it must be", error))?;
        Ok(folder.path().join(aside).display().to_string())
    }

    fn delete_corrupt(&self, folder: &OpenFolder) -> Result<(), StoreError> {
        let what = "rid of its corrupt copies, which may hold tokens";
        self.delete_aside(folder).map_err(|error| self.failed(what, error))
    }
}

impl TokenFile {
    fn path(&self) -> PathBuf {
        self.0.folder().path().join(self.name_of_entry())
    }

    fn name_of_entry(&self) -> String {
        self.0.name("tokens")
    }

    /// Reads the file, up to one byte more than the largest entry has.
    fn read_in(&self, folder: &OpenFolder) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(file) = folder.open_to_read(&self.name_of_entry())? else { return Ok(None) };
        let limit = locked::LARGEST + 1;
        let size = usize::try_from(file.metadata()?.len()).map_or(limit, |size| size.min(limit));
        // With room for one byte more than there is, the buffer does not grow and leave a copy
        // behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
        file.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn replace(&self, folder: &OpenFolder, bytes: &[u8]) -> io::Result<()> {
        let new = self.0.name("new");
        // An earlier writer may have died while it wrote it.
        folder.remove(&new)?;
        let write = || {
            let mut file = folder.create_new(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            folder.rename(&new, &self.name_of_entry())
        };
        write().inspect_err(|_| {
            // What was written of it may hold secrets, and nothing reads it.
            let _ = folder.remove(&new);
        })?;
        folder.sync()
    }

    /// Renames the file to a name that nothing has yet, and returns that.
    fn rename(&self, folder: &OpenFolder) -> io::Result<String> {
        for number in 1_u32.. {
            let aside = self.0.name(&format!("corrupt-{number}"));
            match folder.create_new(&aside) {
                Ok(_) => {
                    // Replaces the empty file that was just made to reserve the name.
                    folder.rename(&self.name_of_entry(), &aside)?;
                    folder.sync()?;
                    return Ok(aside);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::QuotaExceeded.into())
    }

    /// Deletes what was set aside, and the new file of a writer that died. One that cannot be
    /// deleted keeps none of the others.
    fn delete_aside(&self, folder: &OpenFolder) -> io::Result<()> {
        let before = self.0.name("corrupt-");
        let is_aside = |name: &String| {
            let number = name.strip_prefix(&before);
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
        };
        let mut deleted = folder.remove(&self.0.name("new"));
        for name in folder.names()?.iter().filter(|&name| is_aside(name)) {
            deleted = deleted.and(folder.remove(name));
        }
        deleted.and(folder.sync())
    }

    fn failed(&self, done: &str, error: io::Error) -> StoreError {
        disk_error(&format!("{} cannot be {done}", self.name()), error)
    }
}
