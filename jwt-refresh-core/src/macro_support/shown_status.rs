//! The status in the text of an error that hides the error of an HTTP client.
//!
//! An error with `#[error(transparent)]` of `thiserror` shows itself as the error in it, and has
//! that one's source as its own. So the error of the client, whose type tells the status, is not in
//! the chain of sources. Its text is the only trace.

use std::error::Error as StdError;
use std::fmt::{self, Write};

/// How the errors of clients begin that were made of a 401.
const TEXTS: &[&str] = &[
    #[cfg(feature = "reqwest")]
    "HTTP status client error (401 ",
    #[cfg(feature = "ureq")]
    "http status: 401",
];

/// Returns whether `error` shows itself as one that a client made of a 401.
#[cold]
pub(super) fn shows_401(error: &(dyn StdError + 'static)) -> bool {
    TEXTS.iter().any(|text| {
        let mut beginning = Beginning::Expected(text);
        // An error means that the text differs, or that the rest of it does not matter.
        let _ = write!(beginning, "{error}");
        matches!(beginning, Beginning::Seen)
    })
}

/// How a text has begun so far. It stops the formatting as soon as that is known, and allocates
/// nothing.
enum Beginning<'a> {
    /// As expected, and it still has to go on with this.
    Expected(&'a str),
    Seen,
    Different,
}

impl Write for Beginning<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if let Self::Expected(text) = *self {
            *self = match text.strip_prefix(part) {
                Some(rest) if !rest.is_empty() => Self::Expected(rest),
                None if !part.starts_with(text) => Self::Different,
                _ => Self::Seen,
            };
        }
        if matches!(self, Self::Expected(_)) { Ok(()) } else { Err(fmt::Error) }
    }
}
