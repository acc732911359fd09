//! The access token: a ready-made `Authorization` value that knows when it expires and which generation it is.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::jwt::Jwt;

const SCHEME: &str = "Bearer ";

/// An access token, made ready to be sent: RFC 6750 §2.1 `Authorization: Bearer …`, marked sensitive.
///
/// Cloning costs a reference count. `Debug` shows generation and expiry, never the token; there is no `Display`.
#[derive(Clone)]
pub struct AccessToken(Arc<TokenData>);

struct TokenData {
    header: HeaderValue,
    /// `NEVER` if nobody said.
    expires_at: Timestamp,
    generation: u64,
}

impl AccessToken {
    /// Wraps a token for a [`TokenProvider`](crate::TokenProvider) of your own: no known expiry, generation 0.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`] if it is empty or has a character that RFC 6749 §A.12 does not allow in an access token (a
    /// line break in it would otherwise become a header of the caller's request).
    pub fn new(token: &str) -> Result<Self, Error> {
        // VSCHAR but for the space, which would end the credentials in the header (RFC 6750 §2.1).
        if token.is_empty() || !token.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            return Err(Error::new(
                ErrorKind::BadAnswer,
                "field `access_token` is empty or has a character that no access token may have",
            ));
        }
        let mut header = HeaderValue::from_str(&[SCHEME, token].concat())
            .map_err(|_| Error::new(ErrorKind::BadAnswer, "field `access_token` does not fit into a header"))?;
        header.set_sensitive(true);
        Ok(Self(Arc::new(TokenData { header, expires_at: Timestamp::NEVER, generation: 0 })))
    }

    /// The same token, with when it expires.
    pub fn expiring_at(&self, time: SystemTime) -> Self {
        self.clone().issued(time.into(), self.0.generation)
    }

    /// The same token, as the `generation`th of its provider.
    pub fn of_generation(&self, generation: u64) -> Self {
        self.clone().issued(self.0.expires_at, generation)
    }

    pub(crate) fn issued(mut self, expires_at: Timestamp, generation: u64) -> Self {
        // Nobody else has it yet, as a rule. A clone of the header would cost memory for as long as the token lives.
        if let Some(data) = Arc::get_mut(&mut self.0) {
            (data.expires_at, data.generation) = (expires_at, generation);
            return self;
        }
        Self(Arc::new(TokenData { header: self.0.header.clone(), expires_at, generation }))
    }

    /// A copy that shares nothing with `self`, for one thread to clone from: a reference count that two threads share
    /// costs several times one that they do not.
    pub(crate) fn unshared(&self) -> Self {
        let header = HeaderValue::from_bytes(self.0.header.as_bytes()).map(|mut header| {
            header.set_sensitive(true);
            header
        });
        match header {
            Ok(header) => Self(Arc::new(TokenData { header, ..*self.0 })),
            Err(_) => self.clone(),
        }
    }

    /// The value of the `Authorization` header: `Bearer …`, marked sensitive.
    pub fn header(&self) -> &HeaderValue {
        &self.0.header
    }

    /// The token itself. Named so that a reviewer finds every place where it leaves its wrapper.
    pub fn expose(&self) -> &str {
        // It was made from a `&str`, so the header is one.
        self.0.header.to_str().ok().and_then(|value| value.strip_prefix(SCHEME)).unwrap_or_default()
    }

    /// When it expires on this machine's clock; `None` if nobody said.
    pub fn expires_at(&self) -> Option<SystemTime> {
        Some(self.0.expires_at).filter(|&time| time != Timestamp::NEVER).map(Into::into)
    }

    /// Which token of its provider this is: later ones have higher numbers. This is what tells "newer", not the bytes: two
    /// tokens issued within one second may be equal to the byte.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// What is in it, if it is a JWT (unverified; see [`Jwt`]). `None` for opaque and encrypted tokens, which are as good:
    /// a client must not depend on reading access tokens (RFC 9068 §6).
    pub fn jwt(&self) -> Option<Jwt> {
        Jwt::decode(self.expose()).ok()
    }
}

impl From<&AccessToken> for HeaderValue {
    fn from(token: &AccessToken) -> Self {
        token.header().clone()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("generation", &self.0.generation)
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_bearer_and_sensitive_in_every_copy() {
        let token = AccessToken::new("opaque~token").unwrap();
        for copy in [token.clone(), token.unshared(), token.clone().issued(Timestamp::NEVER, 7)] {
            assert_eq!(copy.header(), "Bearer opaque~token");
            assert!(copy.header().is_sensitive());
            assert_eq!(copy.expose(), "opaque~token");
        }
    }

    #[test]
    fn characters_that_could_forge_a_header_are_refused_by_field_name() {
        for token in ["", "a\r\nX-Admin: 1", "a b", "a\0", "tök", "\u{7f}"] {
            let error = AccessToken::new(token).unwrap_err();
            assert!(error.to_string().contains("`access_token`"), "{error}");
        }
    }
}
