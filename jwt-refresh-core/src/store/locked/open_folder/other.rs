//! Files by their paths, on systems where a folder cannot be opened like a file. Permissions are
//! inherited from the folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::{NOT_REGULAR, OpenFolder, SYMLINK};

impl OpenFolder {
    pub(in crate::store::locked) fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() {
            return Ok(Self { path: path.to_owned() });
        }
        Err(io::ErrorKind::NotADirectory.into())
    }

    pub(in crate::store) fn open_to_read(&self, name: &str) -> io::Result<Option<File>> {
        let opened = self.check_regular(name).and_then(|()| File::open(self.path.join(name)));
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    pub(in crate::store::locked) fn open_to_lock(&self, name: &str) -> io::Result<File> {
        match self.check_regular(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.path.join(name))
    }

    pub(in crate::store) fn create_new(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.path.join(name))
    }

    pub(in crate::store) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    pub(in crate::store) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    pub(in crate::store) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    /// A rename is in the file system's journal, and a folder cannot be opened like a file.
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "as on Unix")]
    pub(in crate::store) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// A file that is open cannot be replaced.
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "as on Unix")]
    pub(in crate::store::locked) fn is_at(&self, _: &File, _: &str) -> io::Result<bool> {
        Ok(true)
    }

    fn check_regular(&self, name: &str) -> io::Result<()> {
        let metadata = fs::symlink_metadata(self.path.join(name))?;
        let what = match metadata.file_type() {
            file if file.is_file() => return Ok(()),
            file if file.is_symlink() => SYMLINK,
            _ => NOT_REGULAR,
        };
        Err(io::Error::new(io::ErrorKind::Unsupported, what))
    }
}
