//! The tokens in the answer of a token endpoint, before a session uses them.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::access::AccessToken;
use super::extra::ExtraFields;
#[cfg(feature = "oauth")]
use super::proof_key::ProofKey;
use super::refresh::RefreshToken;
use crate::error::Error;

/// The tokens from a login or refresh, with all hints at the lifetime of the access token.
///
/// An [`Authenticator`](crate::Authenticator) returns this. All hints are optional. The session
/// uses the earliest expiry among those that are present and, if the access token is a JWT, its
/// `exp`.
///
/// An authenticator of your own that wraps another one can look at them:
/// [`access`](Self::access), [`refresh`](Self::refresh), [`lifetime`](Self::lifetime),
/// [`expiry`](Self::expiry), [`server_date`](Self::server_date),
/// [`refresh_lifetime`](Self::refresh_lifetime), and what else was in the answer by
/// [`extra`](Self::extra).
///
/// ```
/// # use std::time::Duration;
/// # fn main() -> Result<(), jwt_refresh::Error> {
/// use jwt_refresh::Tokens;
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
    /// Whether the server sent a refresh token that cannot be read.
    pub(crate) refresh_is_unreadable: bool,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) server_time: Option<SystemTime>,
    pub(super) refresh_expires_in: Option<Duration>,
    /// Why the access token must not be used, if so. What came with it is as good as ever.
    pub(crate) refused: Option<Error>,
    extra: ExtraFields,
}

impl Tokens {
    /// Returns tokens with this access token, which may be a JWT or opaque, and nothing else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`](crate::ErrorKind::BadAnswer) if the token is empty or has a
    /// character that no access token may have; see [`AccessToken::new`].
    pub fn new(access_token: impl AsRef<str>) -> Result<Self, Error> {
        AccessToken::new(access_token.as_ref()).map(Self::of)
    }

    /// Returns tokens with this access token and the key that it is bound to, if any.
    pub(crate) fn of(access: AccessToken) -> Self {
        Self {
            access,
            refresh: None,
            refresh_is_unreadable: false,
            expires_in: None,
            expires_at: None,
            server_time: None,
            refresh_expires_in: None,
            refused: None,
            extra: ExtraFields::default(),
        }
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

    /// Sets how long the refresh token lives, counted from before the request was sent.
    pub fn refresh_expires_in(mut self, lifetime: Duration) -> Self {
        self.refresh_expires_in = Some(lifetime);
        self
    }

    /// Adds the answer that the tokens came from.
    pub(super) fn with_extra(mut self, answer: &[u8]) -> Self {
        self.extra = ExtraFields::of(answer);
        self
    }

    /// Notes that the tokens were issued at `time` and not just now: what says how long they live
    /// counts from then on.
    #[cfg(feature = "reqwest")]
    pub(crate) fn date(&mut self, time: SystemTime) {
        if let Some(expiry) = self.expires_in.take().and_then(|lifetime| time.checked_add(lifetime)) {
            self.expires_at = Some(self.expires_at.map_or(expiry, |stated| stated.min(expiry)));
        }
        self.refresh_expires_in = None;
    }

    /// Notes that the tokens are bound to `key` (RFC 9449).
    #[cfg(feature = "oauth")]
    pub(crate) fn bound_to(self, key: &ProofKey) -> Self {
        let refresh = self.refresh.map(|token| token.bound_to(Some(key.clone())));
        Self { access: self.access.bound_to(key.clone()), refresh, ..self }
    }

    /// Notes that the access token must not be used, and why. The refresh token that came with it
    /// has replaced the one that was sent, so it is kept, with the key of that one.
    #[cfg(feature = "oauth")]
    pub(crate) fn refused(self, why: Error, key: Option<ProofKey>) -> Self {
        Self { refresh: self.refresh.map(|token| token.bound_to(key)), refused: Some(why), ..self }
    }

    /// Notes which server issued the tokens, if a resource has named it, and to which client, if
    /// that has registered itself.
    #[cfg(feature = "oauth")]
    pub(crate) fn issued(self, issuer: Option<String>, client: Option<String>) -> Self {
        Self { refresh: self.refresh.map(|token| token.issued_by(issuer).issued_to(client)), ..self }
    }

    /// Adds a value that was captured beside the tokens.
    #[cfg(feature = "reqwest")]
    pub(crate) fn capture(&mut self, name: &str, value: Value) {
        self.extra.capture(name, value);
    }

    /// Returns the shape of the answer that the tokens came from: keys and types.
    pub(crate) fn shape(&self) -> Option<String> {
        self.extra.shape()
    }

    /// Returns the access token.
    pub fn access(&self) -> &AccessToken {
        &self.access
    }

    /// Returns the refresh token, if there is one.
    pub fn refresh(&self) -> Option<&RefreshToken> {
        self.refresh.as_ref()
    }

    /// Returns how long the access token lives, if the server said so: `expires_in`. What the token
    /// says itself is in its [`jwt`](AccessToken::jwt).
    pub fn lifetime(&self) -> Option<Duration> {
        self.expires_in
    }

    /// Returns when the access token expires on the server's clock, if the server said so.
    pub fn expiry(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Returns what the server's clock showed when it answered, if that is known.
    pub fn server_date(&self) -> Option<SystemTime> {
        self.server_time
    }

    /// Returns how long the refresh token lives, if the server said so: `refresh_expires_in` or
    /// `refresh_token_expires_in`.
    pub fn refresh_lifetime(&self) -> Option<Duration> {
        self.refresh_expires_in
    }

    /// Returns any other field of the answer, such as `id_token` or `instance_url`, by its name or
    /// by a path of names joined by dots; and by its name what a `HttpRequest` has captured.
    /// Returns `None` if it is missing or `null`, or if the tokens were not read from an answer.
    /// The value may be a secret, so do not log it.
    ///
    /// ```
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use jwt_refresh::Tokens;
    ///
    /// let answer = br#"{"access_token": "a", "instance_url": "https://eu.api.example"}"#;
    /// let tokens = Tokens::from_json(answer)?;
    /// assert_eq!(tokens.extra("instance_url").unwrap(), "https://eu.api.example");
    /// # Ok(()) }
    /// ```
    ///
    /// A session keeps none of this. To use it, wrap the authenticator and look at what it returns:
    ///
    /// ```
    /// # use std::sync::OnceLock;
    /// # use jwt_refresh::{Authenticator, Error, RefreshToken, Tokens};
    /// struct Crm<A> { inner: A, instance: OnceLock<String> }
    ///
    /// impl<A: Authenticator> Authenticator for Crm<A> {
    ///     async fn login(&self) -> Result<Tokens, Error> {
    ///         let tokens = self.inner.login().await?;
    ///         if let Some(serde_json::Value::String(url)) = tokens.extra("instance_url") {
    ///             self.instance.get_or_init(|| url);
    ///         }
    ///         Ok(tokens)
    ///     }
    ///
    ///     async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
    ///         self.inner.refresh(token).await
    ///     }
    ///
    ///     async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
    ///         self.inner.revoke(token).await
    ///     }
    /// }
    /// ```
    pub fn extra(&self, path: &str) -> Option<Value> {
        self.extra.at(path)
    }
}
