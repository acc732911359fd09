//! The refresh token, which is treated like a password.

use std::fmt;

use crate::secret::Secret;

/// A refresh token. It is worth as much as a password: `Debug` shows nothing of it, there is no
/// `Display`, and it is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(Secret);

impl RefreshToken {
    /// Returns the token itself. Send it to the server that issued it and to no other. The name
    /// makes it easy to find every place where the token leaves its wrapper.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl<S: Into<Secret>> From<S> for RefreshToken {
    fn from(token: S) -> Self {
        Self(token.into())
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}
