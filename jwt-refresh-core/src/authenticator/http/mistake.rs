//! The error for a mistake in a description.

use crate::error::{Error, ErrorKind};

/// Returns the error for a mistake at `key`. `what` says what is wrong there and how to write it.
pub(super) fn mistake(key: &str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Configuration, format!("in the description, `{key}`: {what}"))
        .advising("correct the description")
}
