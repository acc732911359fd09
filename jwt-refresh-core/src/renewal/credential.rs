//! What an account's tokens can be renewed with, apart from a login.

use crate::token::RefreshToken;

/// What an account can refresh with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum RefreshCredential {
    /// No refresh token: the account has to log in.
    #[default]
    None,
    /// A refresh token that the server has not spent since it issued it.
    Valid(RefreshToken),
    /// A valid refresh token of a server that brought no new one at the account's last refresh. The
    /// server does not replace refresh tokens, so it is harmless to send this one again, even if an
    /// answer did not come.
    Reusable(RefreshToken),
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
            Self::Valid(token) | Self::Reusable(token) | Self::InDoubt(token) => Some(token),
        }
    }

    /// Returns the refresh token, valid or in doubt.
    pub(crate) fn into_token(self) -> Option<RefreshToken> {
        match self {
            Self::None => None,
            Self::Valid(token) | Self::Reusable(token) | Self::InDoubt(token) => Some(token),
        }
    }

    /// Returns whether there is a refresh token that may be sent.
    pub(crate) fn is_valid(&self) -> bool {
        matches!(self, Self::Valid(_) | Self::Reusable(_))
    }

    pub(crate) fn is_reusable(&self) -> bool {
        matches!(self, Self::Reusable(_))
    }

    /// Returns a valid token as one of a server that does not replace refresh tokens.
    pub(crate) fn reusable(self) -> Self {
        match self {
            Self::Valid(token) => Self::Reusable(token),
            other => other,
        }
    }

    /// Returns the credential after it was sent and no answer came.
    pub(crate) fn unanswered(self) -> Self {
        match self {
            Self::Valid(token) => Self::InDoubt(token),
            other => other,
        }
    }

    /// Returns the credential after it may have been sent by code that did not come to an end. If
    /// it is reusable, it is in doubt all the same: that code may never come to an end with it.
    pub(crate) fn in_doubt(self) -> Self {
        match self {
            Self::Valid(token) | Self::Reusable(token) => Self::InDoubt(token),
            other => other,
        }
    }
}
