//! A lock that the operating system holds for a process and frees when the process ends.

use std::fs::{File, TryLockError};
use std::io;

use super::open_folder::OpenFolder;

/// The right to renew an account of a [`FileStore`](crate::store::FileStore) or a `KeyringStore`.
/// The operating system frees it when the process ends.
#[derive(Debug)]
pub struct FileLease(#[expect(dead_code, reason = "held, and given back when dropped")] pub(super) Lock);

/// A lock that is held until it is dropped. It excludes all others on the same file, in this
/// process and in others.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Locks the file of this name, which is made if it is not there. Returns `None` if it is
    /// locked.
    pub(super) fn attempt(folder: &OpenFolder, name: &str) -> io::Result<Option<Self>> {
        loop {
            let file = folder.open_to_lock(name)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // The file may have been deleted since it was opened, and another process may have made
            // and locked a new one.
            if folder.is_at(&file, name)? {
                return Ok(Some(Self(file)));
            }
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
