//! What an account's tokens can be renewed with, apart from a login.

use crate::token::RefreshToken;

/// What an account can refresh with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RefreshCredential {
    /// No refresh token: the account has to log in.
    None,
    /// A refresh token that the server has not spent since it issued it.
    Valid(RefreshToken),
    /// A refresh token that was sent without a usable answer, so it may be spent. Sending it again
    /// may look like theft (RFC 9700 §4.14.2), so that is the last resort.
    InDoubt(RefreshToken),
}

impl RefreshCredential {
    /// Returns `token` as a valid credential, or no credential without one.
    pub(crate) fn of(token: Option<RefreshToken>) -> Self {
        token.map_or(Self::None, Self::Valid)
    }

    /// Returns the refresh token, valid or in doubt.
    pub(crate) fn token(&self) -> Option<&RefreshToken> {
        match self {
            Self::None => None,
            Self::Valid(token) | Self::InDoubt(token) => Some(token),
        }
    }

    /// Returns the credential after it was sent and the answer is unknown.
    pub(crate) fn in_doubt(self) -> Self {
        match self {
            Self::Valid(token) => Self::InDoubt(token),
            other => other,
        }
    }
}
