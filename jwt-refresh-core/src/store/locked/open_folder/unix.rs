//! Files by the handle of their folder.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, open, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::{NOT_REGULAR, OpenFolder, SYMLINK};
use crate::store::locked::access::{Identity, Ownership};

impl OpenFolder {
    pub(in crate::store::locked) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = File::from(open(path, flags, Mode::empty())?);
        let is_open_to_all = Ownership::from(&handle.metadata()?).is_open_to_all();
        Ok(Self { path: path.to_owned(), handle, is_open_to_all })
    }

    pub(in crate::store::locked) fn ownership(&self) -> io::Result<Ownership> {
        Ok((&self.handle.metadata()?).into())
    }

    /// Opens a file to read it, if it is there. The permissions of other users are removed
    /// first, as another program may have made the file.
    ///
    /// # Errors
    ///
    /// Also if it belongs to another user who may have put it there.
    pub(in crate::store) fn open_to_read(&self, name: &str) -> io::Result<Option<File>> {
        let file = match self.open_regular(name, OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        self.check_owner(&file)?;
        let is = Ownership::from(&file.metadata()?);
        let identity = Identity::current();
        if is.mode & 0o077 != 0 && (identity.user == is.user || identity.user == 0) {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(Some(file))
    }

    /// Opens a file to lock it, and makes it if it is not there, for this user only.
    pub(in crate::store::locked) fn open_to_lock(&self, name: &str) -> io::Result<File> {
        self.open_regular(name, OFlags::RDWR | OFlags::CREATE)
    }

    /// Makes a file for this user only.
    pub(in crate::store) fn create_new(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)?);
        // On some network disks, all files belong to one user. Better to know it before the file
        // is needed.
        self.check_owner(&file)?;
        Ok(file)
    }

    pub(in crate::store) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.handle, from, &self.handle, to)?)
    }

    /// Deletes a file or a symbolic link, if it is there.
    pub(in crate::store) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.handle, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Returns the names of all that is in it, but of those that are no UTF-8.
    pub(in crate::store) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            names.extend(name.into_string());
        }
        Ok(names)
    }

    /// Syncs to disk what was made, renamed or deleted in it.
    pub(in crate::store) fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    /// Returns whether `file` has this name, and not another that took its place.
    pub(in crate::store::locked) fn is_at(&self, file: &File, name: &str) -> io::Result<bool> {
        let ours = fstat(file)?;
        match self.look_at(name) {
            Ok(there) => Ok((ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn look_at(&self, name: &str) -> Result<Stat, Errno> {
        statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn open_regular(&self, name: &str, flags: OFlags) -> io::Result<File> {
        // A pipe would make the open wait for its other end.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR);
        let file = file.map(File::from).map_err(|error| self.explain(name, error))?;
        if file.metadata()?.is_file() {
            return Ok(file);
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, NOT_REGULAR))
    }

    /// Returns the error for what could not be opened. The error of a link has another number on
    /// each system.
    fn explain(&self, name: &str, error: Errno) -> io::Error {
        let what = match self.look_at(name).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Symlink) => SYMLINK,
            Err(_) | Ok(FileType::RegularFile) => return error.into(),
            Ok(_) => NOT_REGULAR,
        };
        io::Error::new(io::ErrorKind::Unsupported, what)
    }

    /// Checks that no other user may have put the file there.
    fn check_owner(&self, file: &File) -> io::Result<()> {
        let is = Ownership::from(&file.metadata()?);
        if !self.is_open_to_all || Identity::current().owns(is) {
            return Ok(());
        }
        let what = format!(
            "it belongs to user {}, and everybody may write to its folder: have it deleted, or give the store a \
             folder of its own",
            is.user
        );
        Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
    }
}
