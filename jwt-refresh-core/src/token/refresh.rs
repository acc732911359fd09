//! The refresh token: treated like a password.

use std::fmt;

use crate::secret::Secret;

/// A refresh token. It is worth as much as a password: `Debug` shows nothing of it, there is no `Display`, and it is wiped
/// from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(Secret);

impl RefreshToken {
    /// The token itself, to be sent to the server that issued it and to no other. Named so that a reviewer finds every
    /// place where it leaves its wrapper.
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
