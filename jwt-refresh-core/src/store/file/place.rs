//! One account's files: reads, writes, keeps aside. Everything here blocks.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::folder::{Folder, disk_error, make_private, private, sync};
use super::format::{self, Flaw, HEAD, LARGEST};
use super::lock::Lock;
use super::name::stem;
use crate::store::{Entry, StoreError, StoreErrorKind};

/// How long a write waits for those before it, which take milliseconds each.
const WRITERS: Duration = Duration::from_secs(10);

/// Where an account's files are.
#[derive(Debug)]
pub(in crate::store) struct Place {
    folder: Arc<Folder>,
    account: String,
    stem: String,
}

/// Why there is no entry to be had.
enum Unread {
    Flaw(Flaw),
    /// A folder, a link, a device.
    NoFile,
    Disk(io::Error),
}

impl Place {
    pub(in crate::store) fn new(folder: Arc<Folder>, account: &str) -> Self {
        Self { folder, account: account.to_owned(), stem: stem(account) }
    }

    #[cfg(feature = "keyring")]
    pub(in crate::store) fn account(&self) -> &str {
        &self.account
    }

    /// What the account's files are called, without the ending.
    #[cfg(feature = "keyring")]
    pub(in crate::store) fn stem(&self) -> &str {
        &self.stem
    }

    /// What [`lock`](Self::lock) needs.
    #[cfg(feature = "keyring")]
    pub(in crate::store) fn make_folder(&self) -> Result<(), StoreError> {
        self.folder.make()
    }

    pub(in crate::store) fn load(&self) -> Result<Option<Entry>, StoreError> {
        if !self.folder.exists()? {
            return Ok(None);
        }
        match self.read() {
            Ok(entry) => Ok(entry),
            // Somebody may just have replaced it, so it is looked at again while nobody can.
            Err(Unread::Flaw(_)) => self.load_locked(&self.lock()?),
            Err(unread) => Err(self.unread(unread)),
        }
    }

    pub(in crate::store) fn save(&self, entry: &Entry) -> Result<(), StoreError> {
        let Some(bytes) = format::encode(&self.account, entry) else {
            let what = format!("the entry for the token file {} is larger than 1 MiB", self.file().display());
            return Err(StoreError::new(StoreErrorKind::Configuration, what));
        };
        self.folder.make()?;
        let lock = self.lock()?;
        let held = self.load_locked(&lock)?.map_or(0, |held| held.revision);
        if held.checked_add(1) != Some(entry.revision) {
            let what = format!("another has written the token file {} meanwhile", self.file().display());
            return Err(StoreError::new(StoreErrorKind::Conflict, what));
        }
        self.replace(&bytes).map_err(|error| self.failed("written", error))
    }

    pub(in crate::store) fn try_lease(&self) -> Result<Option<Lock>, StoreError> {
        self.folder.make()?;
        let path = self.path("lease");
        Lock::attempt(&path)
            .map_err(|error| disk_error(format!("the lease file {} cannot be locked", path.display()), error))
    }

    /// The revision on disk, as the first bytes tell it; 0 if there is nothing.
    pub(super) fn revision(&self) -> Result<u64, StoreError> {
        let mut head = [0; HEAD];
        match File::open(self.file()).and_then(|mut file| file.read_exact(&mut head)) {
            Ok(()) => format::revision(&head).ok_or_else(|| self.unread(Unread::Flaw(Flaw::Corrupt("is damaged")))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(self.failed("read", error)),
        }
    }

    /// Keeps other writers out for a moment.
    pub(in crate::store) fn lock(&self) -> Result<Lock, StoreError> {
        let path = self.path("lock");
        let lock = Lock::wait(&path, WRITERS)
            .map_err(|error| disk_error(format!("the lock file {} cannot be locked", path.display()), error))?;
        lock.ok_or_else(|| {
            let what = format!("another holds the lock file {} for more than {WRITERS:?}", path.display());
            StoreError::new(StoreErrorKind::Unavailable, what)
        })
    }

    /// Reads what is there, and keeps aside what is no entry.
    fn load_locked(&self, _: &Lock) -> Result<Option<Entry>, StoreError> {
        let corrupt = match self.read() {
            Ok(entry) => return Ok(entry),
            Err(Unread::Flaw(Flaw::Corrupt(what))) => what,
            Err(unread) => return Err(self.unread(unread)),
        };
        let aside = self.set_aside().map_err(|error| self.failed("kept aside, though it must be", error))?;
        let what = format!("the token file {} {corrupt}; it is kept as {}", self.file().display(), aside.display());
        Err(StoreError::new(StoreErrorKind::Corrupt, what))
    }

    fn read(&self) -> Result<Option<Entry>, Unread> {
        let path = self.file();
        // Not followed, and not opened if it is a pipe: that would wait for a writer.
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Unread::Disk(error)),
        };
        if !metadata.is_file() {
            return Err(Unread::NoFile);
        }
        make_private(&path, &metadata).map_err(Unread::Disk)?;
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Unread::Disk(error)),
        };
        // Room for one byte more than there is, so that the buffer does not grow and leave a copy behind.
        let limit = LARGEST + 1;
        let size = usize::try_from(metadata.len()).map_or(limit, |size| size.min(limit));
        let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
        file.take(limit as u64).read_to_end(&mut bytes).map_err(Unread::Disk)?;
        format::decode(&self.account, &bytes).map(Some).map_err(Unread::Flaw)
    }

    /// Renames the file to a name that nothing has yet.
    fn set_aside(&self) -> io::Result<PathBuf> {
        let path = self.file();
        for number in 1_u32.. {
            let aside = self.path(&format!("corrupt-{number}"));
            match private().write(true).create_new(true).open(&aside) {
                Ok(_) => {
                    // Over the empty file that holds the name for us.
                    fs::rename(&path, &aside)?;
                    sync(self.folder.path())?;
                    return Ok(aside);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::QuotaExceeded.into())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        // The writer before us may have died with it half written.
        let new = self.path("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let write = || {
            let mut file = private().write(true).create_new(true).open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, self.file())
        };
        write().inspect_err(|_| {
            // Half of a secret is of no use to anybody.
            let _ = fs::remove_file(&new);
        })?;
        sync(self.folder.path())
    }

    fn file(&self) -> PathBuf {
        self.path("tokens")
    }

    fn path(&self, ending: &str) -> PathBuf {
        Path::join(self.folder.path(), format!("{}.{ending}", self.stem))
    }

    fn unread(&self, unread: Unread) -> StoreError {
        let (kind, what) = match unread {
            Unread::Flaw(Flaw::Corrupt(what)) => (StoreErrorKind::Corrupt, what.to_owned()),
            Unread::Flaw(Flaw::Later(version)) => {
                (StoreErrorKind::Configuration, format!("is in format {version}, which a later jwt-refresh wrote"))
            }
            Unread::NoFile => (StoreErrorKind::Configuration, "is no regular file".to_owned()),
            Unread::Disk(error) => return self.failed("read", error),
        };
        StoreError::new(kind, format!("the token file {} {what}", self.file().display()))
    }

    fn failed(&self, done: &str, error: io::Error) -> StoreError {
        disk_error(format!("the token file {} cannot be {done}", self.file().display()), error)
    }
}
