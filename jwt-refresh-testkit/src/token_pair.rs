//! The tokens that a login or refresh issues.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// The tokens that a login or refresh issues, for the closure of
/// [`Builder::token_answer`](crate::Builder::token_answer).
///
/// `Debug` does not show the tokens.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenPair {
    /// The access token.
    pub access_token: String,
    /// The refresh token. `None` under [`Rotation::Off`](crate::Rotation::Off) after a refresh,
    /// unless [`RefreshAnswer::Same`](crate::RefreshAnswer::Same) was chosen.
    pub refresh_token: Option<String>,
    /// How long the access token lives.
    pub lifetime: Duration,
    /// When the access token expires, on the server's clock.
    pub expires_at: SystemTime,
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair")
            .field("lifetime", &self.lifetime)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
