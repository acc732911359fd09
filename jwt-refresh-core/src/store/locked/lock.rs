//! A lock that the operating system holds for a process and frees when the process ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::folder::private_options;

/// The right to renew an account of a [`FileStore`](crate::store::FileStore) or a `KeyringStore`.
/// The operating system frees it when the process ends.
#[derive(Debug)]
pub struct FileLease(#[expect(dead_code, reason = "held, and given back when dropped")] pub(super) Lock);

/// A lock that is held until it is dropped. It excludes all others on the same path, in this
/// process and in others.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Locks the file at `path`, which is made if it is not there. Returns `None` if it is locked.
    pub(super) fn attempt(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = private_options().read(true).write(true).create(true).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // The file may have been deleted since it was opened, and another process may have made
            // and locked a new one.
            if is_at(&file, path)? {
                return Ok(Some(Self(file)));
            }
        }
    }

    /// Blocks until the file is locked, for `at_most` that long.
    pub(super) fn wait(path: &Path, at_most: Duration) -> io::Result<Option<Self>> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let lock = Self::attempt(path)?;
            if lock.is_some() || begun.elapsed() > at_most {
                return Ok(lock);
            }
            std::thread::sleep(pause);
            pause = Duration::min(pause * 2, Duration::from_millis(20));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file frees the lock too, but not while a child that was just forked still has
        // a copy of the handle.
        let _ = self.0.unlock();
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    let ours = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// On other systems a file that is open cannot be replaced.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}
