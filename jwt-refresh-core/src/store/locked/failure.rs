//! The error of a store for one of the disk's.

use std::io;

use crate::store::{StoreError, StoreErrorKind};

/// Returns an error that says `what` happened, and because of which `error`.
pub(in crate::store) fn disk_error(what: &str, error: io::Error) -> StoreError {
    use io::ErrorKind::{
        IsADirectory, NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull, TimedOut,
        Unsupported,
    };
    let kind = match error.kind() {
        // These do not go away by themselves.
        PermissionDenied | NotADirectory | IsADirectory | ReadOnlyFilesystem | Unsupported => {
            StoreErrorKind::Configuration
        }
        _ => StoreErrorKind::Unavailable,
    };
    if error.raw_os_error().is_none() {
        return StoreError::new(kind, format!("{what}: {error}"));
    }
    let why = match error.kind() {
        PermissionDenied => "this user has no permission for it",
        NotADirectory => "a part of the path is no folder",
        IsADirectory => "it is a folder",
        ReadOnlyFilesystem => "the file system is read-only",
        StorageFull => "there is no space left on the disk",
        QuotaExceeded => "the quota of this user is used up",
        TimedOut => "the disk did not answer in time",
        Unsupported => "the file system does not support it",
        _ => return StoreError::new(kind, format!("{what}: {error}")),
    };
    StoreError::new(kind, format!("{what}: {why}")).caused_by(error)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_in_the_text_of_the_error_itself() {
        for (number, kind, reason) in [
            (rustix::io::Errno::ACCESS, StoreErrorKind::Configuration, "no permission"),
            (rustix::io::Errno::PERM, StoreErrorKind::Configuration, "no permission"),
            (rustix::io::Errno::ROFS, StoreErrorKind::Configuration, "read-only"),
            (rustix::io::Errno::NOTDIR, StoreErrorKind::Configuration, "no folder"),
            (rustix::io::Errno::ISDIR, StoreErrorKind::Configuration, "is a folder"),
            (rustix::io::Errno::NOSYS, StoreErrorKind::Configuration, "not support"),
            (rustix::io::Errno::NOSPC, StoreErrorKind::Unavailable, "no space"),
            (rustix::io::Errno::DQUOT, StoreErrorKind::Unavailable, "quota"),
            (rustix::io::Errno::IO, StoreErrorKind::Unavailable, "os error"),
            (rustix::io::Errno::STALE, StoreErrorKind::Unavailable, "os error"),
        ] {
            let error = disk_error("the token folder /x cannot be used", number.into());
            assert_eq!(error.kind(), kind, "{error}");
            let text = error.to_string();
            assert!(text.starts_with("the token folder /x cannot be used: ") && text.contains(reason), "{text}");
        }
    }
}
