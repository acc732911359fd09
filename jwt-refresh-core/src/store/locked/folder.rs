//! The folder that a store's files are in.

#[cfg(unix)]
use std::fs;
use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(unix)]
use super::access::{Identity, Ownership};
use super::failure::disk_error;
use super::gate::Gate;
use super::open_folder::OpenFolder;
use crate::store::StoreError;

/// A folder for a store's files alone, made when it is first needed.
#[derive(Debug)]
pub(in crate::store) struct Folder {
    path: PathBuf,
    gate: Arc<Gate>,
}

impl Folder {
    pub(in crate::store) fn new(path: &Path) -> Self {
        // Made absolute, so that a change of the working directory does not move the store.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { gate: Gate::of(&path), path }
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on a thread that may block. It runs to its end even if the future is dropped.
    ///
    /// # Errors
    ///
    /// Also if too many calls on this folder hang, and if there is no tokio runtime.
    pub(in crate::store) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.gate.blocking(&self.path, work).await
    }

    /// Opens it, if it is there. Blocks, as do the others.
    ///
    /// # Errors
    ///
    /// Also if tokens may not be in it.
    pub(in crate::store) fn open(&self) -> Result<Option<OpenFolder>, StoreError> {
        let folder = self.open_unchecked()?;
        folder.map(|folder| self.check(&folder).map(|()| folder)).transpose()
    }

    /// Opens it, if it is there, to see whether anything has changed. Nothing that is read there
    /// may be used for anything else, as others may have written it.
    pub(in crate::store) fn open_unchecked(&self) -> Result<Option<OpenFolder>, StoreError> {
        match OpenFolder::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            folder => folder.map(Some).map_err(|error| self.failed("cannot be used", error)),
        }
    }

    /// Opens it. If it is not there, it is made for this user only.
    pub(super) fn make(&self) -> Result<OpenFolder, StoreError> {
        if let Some(folder) = self.open()? {
            return Ok(folder);
        }
        #[cfg(unix)]
        self.check_before_made()?;
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let made = builder.create(&self.path).and_then(|()| match self.path.parent() {
            Some(above) => OpenFolder::open(above)?.sync(),
            None => Ok(()),
        });
        made.map_err(|error| self.failed("cannot be made", error))?;
        let gone = || self.failed("was deleted as soon as it was made", io::ErrorKind::NotFound.into());
        self.open()?.ok_or_else(gone)
    }

    fn failed(&self, what: &str, error: io::Error) -> StoreError {
        disk_error(&format!("the token folder {} {what}", self.path.display()), error)
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "as on Unix")]
    fn check(&self, _: &OpenFolder) -> Result<(), StoreError> {
        Ok(())
    }

    /// Checks that nobody else can put files into the folder, or another folder in its place.
    #[cfg(unix)]
    fn check(&self, folder: &OpenFolder) -> Result<(), StoreError> {
        let identity = Identity::current();
        let is = folder.ownership().map_err(|error| self.failed("cannot be used", error))?;
        self.check_access(&identity, &self.path, is)?;
        self.check_above(&identity, &self.path, is)?;
        // Where it really is, if the path leads through symbolic links.
        match self.path.canonicalize() {
            Ok(path) if path != self.path => self.check_above(&identity, &path, is),
            _ => Ok(()),
        }
    }

    /// Checks the folders above, so that none is made where it could not be used.
    #[cfg(unix)]
    fn check_before_made(&self) -> Result<(), StoreError> {
        let identity = Identity::current();
        let made = Ownership { user: identity.user, group: 0, mode: 0o700 };
        self.check_above(&identity, &self.path, made)
    }

    /// Checks the folders above `path`. The folder itself `is` what was opened.
    #[cfg(unix)]
    fn check_above(&self, identity: &Identity, path: &Path, is: Ownership) -> Result<(), StoreError> {
        for (inside, above) in path.ancestors().zip(path.ancestors().skip(1)) {
            // A folder that may be passed, but not looked at, is not this user's to check.
            let Ok(metadata) = fs::metadata(above) else { continue };
            let access = Ownership::from(&metadata);
            self.check_access(identity, above, access)?;
            if !access.is_open_to_all() {
                continue;
            }
            // Who may rename what is inside can put something else in its place, but nothing that
            // is this user's.
            let exposed = match fs::symlink_metadata(inside) {
                Ok(inside) if access.is_sticky() => Ownership::from(&inside),
                _ => is,
            };
            if !identity.owns(exposed) {
                let what = format!(
                    "everybody may write to {}, and {} in it belongs to user {}, not to this user ({}) or root: give \
                     another folder, or have it made by this user or root",
                    above.display(),
                    inside.display(),
                    exposed.user,
                    identity.user
                );
                return Err(self.refused(&what));
            }
        }
        Ok(())
    }

    #[cfg(unix)]
    fn check_access(&self, identity: &Identity, path: &Path, is: Ownership) -> Result<(), StoreError> {
        if identity.accepts(is) {
            return Ok(());
        }
        let what = format!(
            "others may write to {} (user {}, group {}, mode {:o}), which is neither this user's ({}) nor root's nor \
             a group's of this process: take that permission away, with `chmod go-w`, or give another folder",
            path.display(),
            is.user,
            is.group,
            is.mode,
            identity.user
        );
        Err(self.refused(&what))
    }

    #[cfg(unix)]
    fn refused(&self, why: &str) -> StoreError {
        let what = format!("the token folder {} is not used: {why}", self.path.display());
        StoreError::new(crate::store::StoreErrorKind::Configuration, what)
    }
}
