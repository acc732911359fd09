//! The errors for mistakes in a description.

use crate::error::{Error, ErrorKind};

/// Returns the error for a mistake at `key`. `what` says what is wrong there and how to write it.
pub(super) fn mistake(key: &str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Configuration, format!("in the description, `{key}`: {what}"))
        .advising("correct the description")
}

/// Adds the file of the description, if it was read from one, to an error about it.
pub(super) fn in_file(error: Error, file: Option<&str>) -> Error {
    match file {
        Some(file) => named(error, file),
        None => error,
    }
}

/// Adds the file that the description is in to an error about it.
pub(super) fn named(error: Error, file: &str) -> Error {
    let (kind, what) = (error.kind(), format!("{file}: {}", error.what()));
    error.restated(kind, what)
}
