//! The access token: a ready-made `Authorization` value with its expiry and its generation.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use super::proof_key::ProofKey;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::jwt::{Jwt, TokenDates};
use crate::secret::Secret;

const SCHEME: &str = "Bearer ";
const DPOP_SCHEME: &str = "DPoP ";

/// An access token, ready to be sent as `Authorization: Bearer …` (RFC 6750 §2.1), which is marked
/// sensitive.
///
/// To send it with reqwest, write `.bearer(&token)`, of the trait `Bearer`; other clients take
/// [`header`](Self::header). reqwest's own `.bearer_auth(token)` does not compile, because there is
/// no `Display`: a token must not get into a text by accident.
///
/// Cloning costs a reference count. `Debug` shows generation and expiry, never the token.
#[derive(Clone)]
pub struct AccessToken(Arc<TokenData>);

struct TokenData {
    header: HeaderValue,
    /// How it is sent, unless it is a bearer token. Behind a pointer, since nearly all are.
    other: Option<Box<SentAs>>,
    /// [`Timestamp::NEVER`] if the expiry is unknown.
    expires_at: Timestamp,
    generation: u64,
}

/// How a token is sent that is no bearer token.
#[derive(Clone)]
enum SentAs {
    /// An API key, in this header.
    ApiKey(HeaderName),
    /// With a proof by this key (RFC 9449 §7.1).
    Bound(ProofKey),
}

impl AccessToken {
    /// Wraps a token for a [`TokenProvider`](crate::TokenProvider) of your own, with no known
    /// expiry and generation 0.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`] if `token` is empty or has a character that RFC 6749 §A.12 does not
    /// allow in an access token. A line break, for example, would add a header to the caller's
    /// request.
    pub fn new(token: &str) -> Result<Self, Error> {
        // VSCHAR without the space, which would end the credentials in the header (RFC 6750 §2.1).
        if token.is_empty() || !token.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            return Err(Error::new(
                ErrorKind::BadAnswer,
                "field `access_token` is empty or has a character that no access token may have",
            ));
        }
        let header = sensitive(&[SCHEME, token].concat())
            .ok_or_else(|| Error::new(ErrorKind::BadAnswer, "field `access_token` does not fit into a header"))?;
        Ok(Self(Arc::new(TokenData { header, other: None, expires_at: Timestamp::NEVER, generation: 0 })))
    }

    /// Wraps an API key, which is sent as the value of `header`, or without one as a token is:
    /// `Authorization: Bearer …`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if `header` is not the name of a header, or `key` is empty or
    /// has a character that cannot be sent there.
    pub(crate) fn api_key(key: &Secret, header: Option<&str>) -> Result<Self, Error> {
        let wrong = |what: &str| Error::new(ErrorKind::Configuration, what);
        let unsendable = || wrong("the API key is empty or has a character that its header cannot have");
        let key = key.expose();
        let Some(header) = header else {
            let token = Self::new(key).map_err(|_| unsendable())?;
            return Ok(token.sent_as(SentAs::ApiKey(AUTHORIZATION)));
        };
        let name = header.parse::<HeaderName>().map_err(|_| wrong("the header of the API key is no name of one"))?;
        let is_fit = !key.is_empty() && key.is_ascii() && key.trim() == key;
        let header = sensitive(key).filter(|_| is_fit).ok_or_else(unsendable)?;
        let key = Self(Arc::new(TokenData { header, other: None, expires_at: Timestamp::NEVER, generation: 0 }));
        Ok(key.sent_as(SentAs::ApiKey(name)))
    }

    fn sent_as(mut self, other: SentAs) -> Self {
        if let Some(data) = Arc::get_mut(&mut self.0) {
            data.other = Some(Box::new(other));
        }
        self
    }

    /// Returns the token as one that is bound to `key`, which is sent as `Authorization: DPoP …`
    /// (RFC 9449 §7.1).
    pub(crate) fn bound_to(&self, key: ProofKey) -> Self {
        let TokenData { expires_at, generation, .. } = *self.0;
        // The text was in a header before.
        let header = sensitive(&[DPOP_SCHEME, self.expose()].concat()).unwrap_or_else(|| self.0.header.clone());
        Self(Arc::new(TokenData { header, other: Some(Box::new(SentAs::Bound(key))), expires_at, generation }))
    }

    /// Returns the key that the token is bound to, if any.
    pub(crate) fn key(&self) -> Option<&ProofKey> {
        match self.0.other.as_deref() {
            Some(SentAs::Bound(key)) => Some(key),
            _ => None,
        }
    }

    /// Returns whether this is an API key, which no server issued to a session or pool.
    pub(crate) fn is_api_key(&self) -> bool {
        matches!(self.0.other.as_deref(), Some(SentAs::ApiKey(_)))
    }

    /// Returns the same token, with `time` as its expiry on this machine's clock.
    pub fn expiring_at(&self, time: SystemTime) -> Self {
        self.clone().issued(time.into(), self.0.generation)
    }

    /// Returns the same token, as the `generation`th of its provider.
    pub fn of_generation(&self, generation: u64) -> Self {
        self.clone().issued(self.0.expires_at, generation)
    }

    /// Returns the same token, with this expiry and generation.
    pub(crate) fn issued(mut self, expires_at: Timestamp, generation: u64) -> Self {
        // Usually there is no other reference. A clone of the header would cost memory for as long
        // as the token lives.
        if let Some(data) = Arc::get_mut(&mut self.0) {
            (data.expires_at, data.generation) = (expires_at, generation);
            return self;
        }
        let TokenData { header, other, .. } = &*self.0;
        let (header, other) = (header.clone(), other.clone());
        Self(Arc::new(TokenData { header, other, expires_at, generation }))
    }

    /// Returns a copy that shares nothing with `self`, for one thread to clone from: a reference
    /// count that two threads share costs several times as much as one that they do not share.
    pub(crate) fn unshared(&self) -> Self {
        let header = HeaderValue::from_bytes(self.0.header.as_bytes()).map(|mut header| {
            header.set_sensitive(true);
            header
        });
        match header {
            Ok(header) => {
                let TokenData { expires_at, generation, .. } = *self.0;
                let other = self.0.other.clone();
                Self(Arc::new(TokenData { header, other, expires_at, generation }))
            }
            Err(_) => self.clone(),
        }
    }

    /// Returns the name of the header that the token is sent in: `Authorization`, except for an
    /// [API key](crate::pool::Account::api_key) that has another one.
    pub fn header_name(&self) -> &HeaderName {
        match self.0.other.as_deref() {
            Some(SentAs::ApiKey(name)) => name,
            _ => &AUTHORIZATION,
        }
    }

    /// Returns the value of its header, marked sensitive: `Bearer …`, or an API key that has a
    /// [header](Self::header_name) of its own.
    ///
    /// Of a token that is bound to a key (`OAuthBuilder::dpop`) it is `DPoP …`, which an API
    /// refuses without the proof for the request (RFC 9449 §7.1). [`Bearer`](crate::Bearer) and
    /// `RequestAuth` add one.
    pub fn header(&self) -> &HeaderValue {
        &self.0.header
    }

    /// Returns the token itself. The name makes it easy to find every place where the token leaves
    /// its wrapper.
    pub fn expose(&self) -> &str {
        // The header was made from ASCII, so the conversion back cannot fail.
        let value = self.0.header.to_str().unwrap_or_default();
        let scheme = if self.key().is_some() { DPOP_SCHEME } else { SCHEME };
        value.strip_prefix(scheme).unwrap_or(value)
    }

    /// Returns when the token expires on this machine's clock, or `None` if that is unknown.
    pub fn expires_at(&self) -> Option<SystemTime> {
        Some(self.0.expires_at).filter(|&time| time != Timestamp::NEVER).map(Into::into)
    }

    /// Returns the number of the token at its provider. Later tokens have higher numbers. Compare
    /// this number and not the bytes to find the newer of two tokens: two that were issued within
    /// one second may be equal to the byte.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Decodes the token, if it is a JWT. The content is unverified; see [`Jwt`]. Returns `None`
    /// for opaque and encrypted tokens, which are just as good: a client must not depend on reading
    /// access tokens (RFC 9068 §6).
    pub fn jwt(&self) -> Option<Jwt> {
        Jwt::decode(self.expose()).ok()
    }
}

impl AccessToken {
    /// Returns `exp` and `iat`, as far as the token is a JWT that has them.
    pub(crate) fn dates(&self) -> TokenDates {
        TokenDates::of(self.expose())
    }
}

/// Returns a text as the value of a header, marked sensitive.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
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
    fn characters_that_could_forge_a_header_are_refused_and_the_field_is_named() {
        for token in ["", "a\r\nX-Admin: 1", "a b", "a\0", "tök", "\u{7f}"] {
            let error = AccessToken::new(token).unwrap_err();
            assert!(error.to_string().contains("`access_token`"), "{error}");
        }
    }
}
