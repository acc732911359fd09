//! The grants of OAuth 2.0, with discovery: an [`OAuth`] is an [`Authenticator`] for a session or a
//! pool. Its requests and what OAuth 2.0 asks of them come from the crate `huskarl`; what their
//! answers mean for a session is decided as for every authenticator.
//!
//! This module needs the feature `oauth`, and Rust 1.92.

mod browser;
mod builder;
mod client;
mod device;
mod device_code;
mod exchange;
mod grant;
mod login;
mod redirect;
mod server;
mod settings;
mod signing_key;
mod verifier;
mod wire;

use std::fmt;
use std::sync::Arc;

pub use self::builder::OAuthBuilder;
pub use self::device_code::DeviceCode;
pub use self::grant::{AuthorizationCode, Grant, TokenExchange, TokenType};
pub use self::server::Server;
pub use self::signing_key::SigningKey;

use self::grant::GrantKind;
use self::login::TokenRequest;
use self::server::Discovery;
use self::settings::OAuthSettings;
use self::wire::Wire;
use super::Authenticator;
use super::http_client::HttpClient;
use super::refresh_by_login::log_in_instead;
use crate::error::Error;
use crate::token::{RefreshToken, Tokens};

/// Logs in to an OAuth 2.0 server by one of its grants, refreshes and revokes.
///
/// ```
/// # fn main() -> Result<(), jwt_refresh::Error> {
/// use jwt_refresh::oauth::{Grant, OAuth};
/// use jwt_refresh::{ClientAuth, SecretSource, Session};
///
/// let login = OAuth::builder("https://id.example", Grant::client_credentials())
///     .client_auth(ClientAuth::basic("catalog", SecretSource::env("CLIENT_SECRET")))
///     .scope("read write")
///     .build()?;
/// let session = Session::new(login);
/// # Ok(()) }
/// ```
///
/// Credentials are sent only to `https` or to this machine, no redirect is followed, and no request
/// is sent twice. The whole of an exchange, with the discovery before it, has to end within the
/// time-out of the [`Policy`](crate::Policy). An answer of more than 256 KiB is not read.
///
/// An answer that OAuth 2.0 does not allow, such as one without `token_type` (RFC 6749 §5.1), is
/// none that can be used. For a server that differs from the standard there is
/// [`HttpAuthenticator`](crate::HttpAuthenticator).
///
/// Clones are one authenticator, and read the endpoints of their server once.
#[derive(Clone)]
pub struct OAuth {
    wire: Wire,
    settings: Arc<OAuthSettings>,
    discovery: Arc<Discovery>,
}

impl OAuth {
    async fn request(&self) -> Result<TokenRequest<'_>, Error> {
        let metadata = self.discovery.metadata(&self.wire).await?;
        TokenRequest::new(&self.wire, &self.settings, &metadata).await
    }

    /// Lets a failure show that the endpoints have changed.
    async fn noted<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &answer {
            self.discovery.note(error).await;
        }
        answer
    }
}

impl Authenticator for OAuth {
    fn with_client(&self, client: &HttpClient) -> Result<Self, Error> {
        let other = Self { wire: self.wire.with_client(client), ..self.clone() };
        other.wire.transport(&other.wire.endpoint(self.discovery.server().url())?)?;
        Ok(other)
    }

    /// Returns the issuer, or the token endpoint of a server whose issuer is not known.
    fn server_id(&self) -> Option<String> {
        Some(self.discovery.server().url().to_owned())
    }

    async fn login(&self) -> Result<Tokens, Error> {
        if let GrantKind::RefreshOnly = self.settings.grant.0 {
            return Err(Error::login_unavailable());
        }
        let tokens = Box::pin(self.request().await?.log_in()).await;
        self.noted(tokens).await
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        if let GrantKind::ClientCredentials = self.settings.grant.0 {
            return Box::pin(log_in_instead(self.login())).await;
        }
        let tokens = Box::pin(self.request().await?.refresh(token)).await;
        self.noted(tokens).await
    }

    /// Asks for the headers of the issuer, or of the token endpoint (`HEAD`), whatever they are: an
    /// answer that is no 5xx shows that the server is back.
    async fn probe(&self) -> Option<Result<(), Error>> {
        let endpoint = self.wire.endpoint(self.discovery.server().url());
        let transport = endpoint.and_then(|endpoint| Ok((self.wire.transport(&endpoint)?, endpoint)));
        match transport {
            Ok((transport, endpoint)) => Some(transport.probe(&endpoint).await),
            Err(error) => Some(Err(error)),
        }
    }

    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        let answer = self.request().await?.revoke(token).await;
        self.noted(answer).await
    }
}

impl fmt::Debug for OAuth {
    /// Leaves out the values of secrets, and the client, because its default headers may be API
    /// keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth")
            .field("server", self.discovery.server())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
