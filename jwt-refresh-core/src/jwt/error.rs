//! Why a JWT cannot be decoded.

use std::fmt;

/// The reason why a string cannot be decoded as a JWT: the part, and what is wrong with it, but
/// never its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(String);

impl DecodeError {
    pub(super) fn new(part: &str, problem: &str) -> Self {
        Self(format!("{part} {problem}"))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a readable JWT: {}", self.0)
    }
}

impl std::error::Error for DecodeError {}
