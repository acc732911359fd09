//! The folder that a store's files are in, and who may look into it.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::store::{StoreError, StoreErrorKind};

/// A folder of our own, made when it is first needed.
#[derive(Debug)]
pub(in crate::store) struct Folder(PathBuf);

impl Folder {
    pub(in crate::store) fn new(path: &Path) -> Self {
        // The program may change its working directory; its tokens stay where they are.
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether it is there, and is one that tokens may be in.
    pub(in crate::store) fn exists(&self) -> Result<bool, StoreError> {
        match fs::metadata(&self.0) {
            Ok(metadata) => self.inspect(&metadata).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Makes it, unless it is there, for nobody but this user.
    pub(in crate::store) fn make(&self) -> Result<(), StoreError> {
        if self.exists()? {
            return Ok(());
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0).map_err(|error| self.failed(error))?;
        self.0.parent().map_or(Ok(()), sync).map_err(|error| self.failed(error))
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

/// Options that make a file for nobody but this user.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.truncate(false);
    options
}

/// Takes a file that was made by another program away from everybody but this user.
pub(super) fn make_private(path: &Path, metadata: &Metadata) -> io::Result<()> {
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

/// Brings what was renamed in a folder to disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened like a file, and a rename is in the file system's journal.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// `what`, because of `error`.
pub(in crate::store) fn disk_error(what: String, error: io::Error) -> StoreError {
    use io::ErrorKind::{IsADirectory, NotADirectory, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    // These do not pass by themselves.
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
