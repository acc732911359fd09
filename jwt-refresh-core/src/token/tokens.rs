//! The tokens in the answer of a token endpoint, before a session uses them.

use std::time::{Duration, SystemTime};

use super::access::AccessToken;
use super::refresh::RefreshToken;
use crate::error::Error;

/// The tokens from a login or refresh, with all hints at the lifetime of the access token.
///
/// An [`Authenticator`](crate::Authenticator) returns this. All hints are optional. The session
/// uses the earliest expiry among those that are present and, if the access token is a JWT, its
/// `exp`.
///
/// ```
/// # use std::time::Duration;
/// # fn main() -> Result<(), jwt_refresh_core::Error> {
/// use jwt_refresh_core::Tokens;
///
/// let tokens = Tokens::new("SlAV32hkKG")?
///     .refresh_token("8xLOxBtZp8")
///     .expires_in(Duration::from_secs(3600));
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
    /// Returns tokens with this access token, which may be a JWT or opaque, and nothing else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`](crate::ErrorKind::BadAnswer) if the token is empty or has a
    /// character that no access token may have; see [`AccessToken::new`].
    pub fn new(access_token: impl AsRef<str>) -> Result<Self, Error> {
        Ok(Self {
            access: AccessToken::new(access_token.as_ref())?,
            refresh: None,
            expires_in: None,
            expires_at: None,
            server_time: None,
        })
    }

    /// Sets the refresh token. An empty one counts as none. If a refresh returns none, the session
    /// keeps the one that it had (RFC 6749 §6).
    pub fn refresh_token(mut self, token: impl Into<RefreshToken>) -> Self {
        self.refresh = Some(token.into()).filter(|token| !token.expose().is_empty());
        self
    }

    /// Sets how long the access token lives, counted from before the request was sent.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime);
        self
    }

    /// Sets when the access token expires, on the clock of the server that issued it.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// Sets what the server's clock showed when it answered: its `Date` header (RFC 9110 §6.6.1).
    /// With it, `exp` is understood correctly even if this machine's clock is wrong.
    pub fn server_time(mut self, time: SystemTime) -> Self {
        self.server_time = Some(time);
        self
    }
}
