//! The folder that a store's files are in, and who may use it.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::store::{StoreError, StoreErrorKind};

/// A folder for a store's files alone, made when it is first needed.
#[derive(Debug)]
pub(in crate::store) struct Folder(PathBuf);

impl Folder {
    pub(in crate::store) fn new(path: &Path) -> Self {
        // Made absolute, so that a change of the working directory does not move the store.
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns whether it is there, and an error if tokens may not be in it.
    pub(in crate::store) fn exists(&self) -> Result<bool, StoreError> {
        match fs::metadata(&self.0) {
            Ok(metadata) => self.inspect(&metadata).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Makes it, unless it is there, for this user only.
    pub(super) fn make(&self) -> Result<(), StoreError> {
        if self.exists()? {
            return Ok(());
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0).map_err(|error| self.failed(error))?;
        self.0.parent().map_or(Ok(()), sync_folder).map_err(|error| self.failed(error))
    }

    fn inspect(&self, metadata: &Metadata) -> Result<(), StoreError> {
        let refused = if !metadata.is_dir() {
            "is no folder"
        } else if is_writable_by_all(metadata) {
            "can be written in by everybody: give a folder in it that is not"
        } else {
            return Ok(());
        };
        let what = format!("the token folder {} {refused}", self.0.display());
        Err(StoreError::new(StoreErrorKind::Configuration, what))
    }

    fn failed(&self, error: io::Error) -> StoreError {
        disk_error(format!("the token folder {} cannot be used", self.0.display()), error)
    }
}

/// Returns options that make a file for this user only.
pub(in crate::store) fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.truncate(false);
    options
}

/// Removes the permissions of other users for a file that another program may have made.
pub(in crate::store) fn make_private(path: &Path, metadata: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
    }
    let _ = (path, metadata);
    Ok(())
}

/// Syncs what was renamed or made in a folder to disk.
pub(in crate::store) fn sync_folder(folder: &Path) -> io::Result<()> {
    // On other systems a folder cannot be opened like a file, and a rename is in the file system's
    // journal.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Returns an error that says `what` happened, because of `error`.
pub(in crate::store) fn disk_error(what: String, error: io::Error) -> StoreError {
    use io::ErrorKind::{IsADirectory, NotADirectory, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    // These do not go away by themselves.
    let kind = match error.kind() {
        PermissionDenied | NotADirectory | IsADirectory | ReadOnlyFilesystem | Unsupported => {
            StoreErrorKind::Configuration
        }
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::new(kind, what).caused_by(error)
}

#[cfg(unix)]
fn is_writable_by_all(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o002 != 0
}

#[cfg(not(unix))]
fn is_writable_by_all(_: &Metadata) -> bool {
    false
}
