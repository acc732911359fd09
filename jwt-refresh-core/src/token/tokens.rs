//! What a token endpoint answered, before a session makes something of it.

use std::time::{Duration, SystemTime};

use super::access::AccessToken;
use super::refresh::RefreshToken;
use crate::error::Error;

/// The tokens that a login or refresh brought, with every hint at how long the access token lives.
///
/// An [`Authenticator`](crate::Authenticator) returns this. All hints are optional: the session takes the earliest of those
/// that there are, and of the `exp` of an access token that is a JWT.
///
/// ```
/// # use std::time::Duration;
/// # fn main() -> Result<(), jwt_refresh_core::Error> {
/// use jwt_refresh_core::Tokens;
///
/// let tokens = Tokens::new("SlAV32hkKG")?.refresh_token("8xLOxBtZp8").expires_in(Duration::from_secs(3600));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Tokens {
    pub(crate) access: AccessToken,
    pub(crate) refresh: Option<RefreshToken>,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) server_time: Option<SystemTime>,
}

impl Tokens {
    /// An access token: a JWT, or opaque.
    ///
    /// # Errors
    ///
    /// If it is empty or has a character that no access token may have; see [`AccessToken::new`].
    pub fn new(access_token: impl AsRef<str>) -> Result<Self, Error> {
        Ok(Self {
            access: AccessToken::new(access_token.as_ref())?,
            refresh: None,
            expires_in: None,
            expires_at: None,
            server_time: None,
        })
    }

    /// The refresh token; an empty one counts as none. A refresh that brings none leaves the session with the one it had
    /// (RFC 6749 §6).
    pub fn refresh_token(mut self, token: impl Into<RefreshToken>) -> Self {
        self.refresh = Some(token.into()).filter(|token| !token.expose().is_empty());
        self
    }

    /// How long the access token lives, counted from before it was asked for.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime);
        self
    }

    /// When the access token expires on the clock of the server that issued it.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// What the server's clock showed when it answered: its `Date` header (RFC 9110 §6.6.1). With it, `exp` is right even
    /// if this machine's clock is not.
    pub fn server_time(mut self, time: SystemTime) -> Self {
        self.server_time = Some(time);
        self
    }
}
