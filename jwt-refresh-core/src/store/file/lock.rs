//! A lock that the operating system holds for a process and takes back when the process ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::folder::private;

/// Held, and given back when dropped. Excludes every other one on the same path, in this process and in others.
#[derive(Debug)]
pub(in crate::store) struct Lock(File);

impl Lock {
    /// The lock on the file at `path`, which is made if it is not there; `None` if another has it.
    pub(in crate::store) fn attempt(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = private().read(true).write(true).create(true).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Somebody may have deleted the file since it was opened, and another may have made and locked a new one.
            if is_at(&file, path)? {
                return Ok(Some(Self(file)));
            }
        }
    }

    /// Waits on this thread for the lock, for `at_most` that long.
    pub(in crate::store) fn wait(path: &Path, at_most: Duration) -> io::Result<Option<Self>> {
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
        // Closing gives it back too, but not while a child that was just forked still has a copy of the handle.
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

/// Elsewhere a file that is open cannot be replaced.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}
