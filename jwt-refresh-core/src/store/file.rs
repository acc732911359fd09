//! A store in a folder: one file for each account, shared by all processes of the machine that use
//! the folder.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::locked::{self, AccountFiles, FileLease, Folder, LockedEntry, Medium};
use super::locked::{disk_error, make_private, private_options, sync_folder};
use super::{StoreEntry, StoreError, StoreErrorKind, TokenStore};

/// How often a change is looked for.
const POLL: Duration = Duration::from_millis(250);

/// Keeps each account in a file of its own, in one folder. All processes that use the folder share
/// its logins.
///
/// - **Files**: 0600 in a folder that is made with 0700 (on Unix). A folder in which everybody may
///   write is refused. A file is replaced by an atomic rename; the file is synced to disk before
///   it, the folder after it, so that a crash leaves the old entry or the new one. Files are not
///   encrypted; `Sealed` (feature `seal`) does that.
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
/// It works on tokio's threads for blocking calls, so it must be used in a runtime. Clones are the
/// same store, and so is another store on the same folder. Every future may be dropped: a write
/// that had begun is then done or not, and its lock is given back.
///
/// ```
/// # use jwt_refresh_core::store::{FileStore, StoreEntry, TokenStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), jwt_refresh_core::store::StoreError> {
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
    /// Beside those: [`StoreErrorKind::Corrupt`] if the file that was there is no entry of the
    /// account: it is set aside now, so revision 1 is what follows.
    /// [`StoreErrorKind::Configuration`] if account and entry are larger than 1 MiB.
    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.entry(account).save(entry.clone()).await
    }

    /// See [`TokenStore::lease`]. Tries again after 5 ms at first, every 50 ms in the end, while
    /// another holds the lease; there is no queue.
    async fn lease(&self, account: &str) -> Result<FileLease, StoreError> {
        self.entry(account).lease().await
    }

    /// See [`TokenStore::changed`]. Looks every 250 ms.
    async fn changed(&self, account: &str, revision: u64) {
        let files = self.files(account);
        loop {
            let file = TokenFile(Arc::clone(&files));
            match locked::blocking(move || file.revision()).await {
                Ok(now) if now == revision => tokio::time::sleep(POLL).await,
                Ok(_) => return,
                // The caller's `load` returns the error. The pause keeps that from being a hot
                // loop.
                Err(_) => return tokio::time::sleep(POLL).await,
            }
        }
    }
}

/// One account's file.
struct TokenFile(Arc<AccountFiles>);

impl Medium for TokenFile {
    fn name(&self) -> String {
        format!("the token file {}", self.path().display())
    }

    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        if !self.0.folder().exists()? {
            return Ok(None);
        }
        let path = self.path();
        // A link is not followed, and a pipe is not opened: that would wait for a writer.
        let metadata = found(fs::symlink_metadata(&path)).map_err(|error| self.failed("read", error))?;
        let Some(metadata) = metadata else { return Ok(None) };
        if !metadata.is_file() {
            let what = format!("{} is no regular file", self.name());
            return Err(StoreError::new(StoreErrorKind::Configuration, what));
        }
        read(&path, &metadata).map_err(|error| self.failed("read", error))
    }

    fn write(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.replace(bytes).map_err(|error| self.failed("written", error))
    }

    fn set_aside(&self) -> Result<String, StoreError> {
        let aside = self.rename().map_err(|error| self.failed("kept aside, though it must be", error))?;
        Ok(aside.display().to_string())
    }
}

impl TokenFile {
    fn path(&self) -> PathBuf {
        self.0.path("tokens")
    }

    /// Returns the revision that the first bytes of the file tell, 0 if there is no file.
    fn revision(&self) -> Result<u64, StoreError> {
        let mut head = [0; locked::HEAD];
        let read = File::open(self.path()).and_then(|mut file| file.read_exact(&mut head));
        if found(read).map_err(|error| self.failed("read", error))?.is_none() {
            return Ok(0);
        }
        locked::revision(&head)
            .ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, format!("{} is damaged", self.name())))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.0.path("new");
        // An earlier writer may have died while it wrote it.
        found(fs::remove_file(&new))?;
        let write = || {
            let mut file = private_options().write(true).create_new(true).open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, self.path())
        };
        write().inspect_err(|_| {
            // What was written of it may hold secrets, and nothing reads it.
            let _ = fs::remove_file(&new);
        })?;
        sync_folder(self.0.folder().path())
    }

    /// Renames the file to a name that nothing has yet, and returns that.
    fn rename(&self) -> io::Result<PathBuf> {
        for number in 1_u32.. {
            let aside = self.0.path(&format!("corrupt-{number}"));
            match private_options().write(true).create_new(true).open(&aside) {
                Ok(_) => {
                    // Replaces the empty file that was just made to reserve the name.
                    fs::rename(self.path(), &aside)?;
                    sync_folder(self.0.folder().path())?;
                    return Ok(aside);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::QuotaExceeded.into())
    }

    fn failed(&self, done: &str, error: io::Error) -> StoreError {
        disk_error(format!("{} cannot be {done}", self.name()), error)
    }
}

/// Makes the file private and reads it, up to one byte more than the largest entry has.
fn read(path: &Path, metadata: &Metadata) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    make_private(path, metadata)?;
    let Some(file) = found(File::open(path))? else { return Ok(None) };
    let limit = locked::LARGEST + 1;
    let size = usize::try_from(metadata.len()).map_or(limit, |size| size.min(limit));
    // With room for one byte more than there is, the buffer does not grow and leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Returns `None` if there is no such file.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
