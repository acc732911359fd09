//! A folder that was opened. What is done in it is done in the folder that was checked, even if
//! another is put in its place meanwhile. No symbolic link in it is followed.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(unix)]
use std::fs::File;
use std::path::{Path, PathBuf};

const SYMLINK: &str = "it is a symbolic link, and those are not followed: put the file itself there, or give the \
                       store the folder of the file that it leads to";
const NOT_REGULAR: &str = "it is no regular file";

/// A folder in which a store may keep its files. All methods block.
#[derive(Debug)]
pub(in crate::store) struct OpenFolder {
    path: PathBuf,
    #[cfg(unix)]
    handle: File,
    /// Whether every user of the machine may write to it.
    #[cfg(unix)]
    is_open_to_all: bool,
}

impl OpenFolder {
    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }
}
