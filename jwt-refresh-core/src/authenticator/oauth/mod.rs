//! The grants of OAuth 2.0, with discovery: an [`OAuth`] is an [`Authenticator`] for a session or a
//! pool. Its requests and what OAuth 2.0 asks of them come from the crate `huskarl`; what their
//! answers mean for a session is decided as for every authenticator.
//!
//! This module needs the feature `oauth`, and Rust 1.92.

mod answer_body;
mod browser;
mod builder;
mod client;
mod client_assertion;
mod device;
mod device_code;
mod dpop;
mod exchange;
mod grant;
mod login;
mod presets;
mod redirect;
mod registration;
mod resource;
mod server;
mod service_account;
mod settings;
mod signing_key;
mod step_up;
mod verifier;
mod wire;

use std::fmt;
use std::sync::Arc;

use huskarl::core::dpop::SessionKeyedDPoP;
use huskarl::core::server_metadata::AuthorizationServerMetadata;

pub use self::builder::OAuthBuilder;
pub use self::device_code::DeviceCode;
pub use self::grant::{AuthorizationCode, Grant, TokenExchange, TokenType};
pub use self::server::Server;
pub use self::signing_key::SigningKey;

use self::client::Client;
use self::dpop::{is_bound, proving, unbound};
use self::grant::GrantKind;
use self::login::TokenRequest;
use self::registration::{RegisteredClient, Registration};
use self::server::{Discovery, ServerFacts};
use self::settings::OAuthSettings;
use self::wire::Wire;
use super::Authenticator;
use super::http::ClientAuth;
use super::http_client::HttpClient;
use super::refresh_by_login::log_in_instead;
use crate::error::{Error, ErrorKind};
use crate::send::Challenge;
use crate::sync::Mutex;
use crate::token::{AccessParameters, ProofKey, RefreshToken, Tokens};

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
    registration: Arc<Registration>,
    /// The nonce of the server, for proofs by any key (RFC 9449 §8).
    proofs: SessionKeyedDPoP,
    /// The key of the logins without a person, so that one instead of a refresh keeps the nonces.
    key: Arc<Mutex<Option<ProofKey>>>,
}

/// What an exchange asks for, and where.
struct ResolvedRequest {
    metadata: Arc<AuthorizationServerMetadata>,
    settings: OAuthSettings,
    /// The client, if it has registered itself.
    registered: Option<RegisteredClient>,
}

impl OAuth {
    /// Returns what a login is sent with. A client that registers itself does so by now.
    async fn for_login(&self) -> Result<ResolvedRequest, Error> {
        let facts = self.discovery.known(&self.wire, None).await?;
        let registered = match self.registered_grant() {
            Some(grant) => Some(self.registration.client(grant, &facts.metadata, &self.wire).await?),
            None => None,
        };
        Ok(self.resolved(facts, registered))
    }

    /// Returns what a refresh token is sent with: to the server that issued it, as the client that
    /// it was issued to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Denied`] if a resource has named the server, and it is another one, or it is
    /// not known which one or which client it was.
    async fn for_token(&self, token: &RefreshToken) -> Result<ResolvedRequest, Error> {
        let facts = self.discovery.known(&self.wire, token.issuer()).await?;
        if !self.discovery.server().is_named_by_resource() {
            return Ok(self.resolved(facts, None));
        }
        let Some(issuer) = token.issuer().filter(|issuer| *issuer == facts.metadata.issuer) else {
            return Err(of_another_server(&facts));
        };
        let registered = match (self.registered_grant(), token.client()) {
            (None, _) => None,
            (Some(_), Some(id)) => Some(RegisteredClient { issuer: issuer.to_owned(), id: id.to_owned() }),
            (Some(_), None) => return Err(of_another_server(&facts)),
        };
        if let Some(client) = &registered {
            self.registration.recall(client).await;
        }
        Ok(self.resolved(facts, registered))
    }

    fn resolved(&self, facts: ServerFacts, registered: Option<RegisteredClient>) -> ResolvedRequest {
        let mut settings = self.settings.for_server(&facts);
        if let Some(client) = &registered {
            settings.client = Some(Client::Secret(ClientAuth::public(&client.id)));
        }
        ResolvedRequest { metadata: facts.metadata, settings, registered }
    }

    /// Returns the grant, if the client registers itself for it.
    fn registered_grant(&self) -> Option<&Grant> {
        let registers = self.discovery.server().is_named_by_resource() && self.settings.client.is_none();
        registers.then_some(&self.settings.grant)
    }

    /// Returns an exchange whose requests have a proof by `key`, if there is one.
    async fn request<'a>(
        &'a self,
        asked: &'a ResolvedRequest,
        key: Option<&ProofKey>,
    ) -> Result<TokenRequest<'a>, Error> {
        let dpop = proving(&self.proofs, key)?;
        TokenRequest::new(&self.wire, &asked.settings, &asked.metadata, dpop).await
    }

    /// Returns the key for a login, if its tokens are to be bound to one.
    fn login_key(&self) -> Result<Option<ProofKey>, Error> {
        if !self.settings.dpop {
            return Ok(None);
        }
        if self.settings.grant.is_by_person() {
            return ProofKey::generate().map(Some);
        }
        let mut known = self.key.lock();
        if known.is_none() {
            *known = Some(ProofKey::generate()?);
        }
        Ok(known.clone())
    }

    /// Refreshes with the key that the refresh token is bound to. Tokens from before there was one
    /// get one. If the server binds the access token to none, that is not used, but the refresh
    /// token in the answer is kept: the one that was sent is spent.
    async fn refreshed(&self, token: &RefreshToken, parameters: Option<&AccessParameters>) -> Result<Tokens, Error> {
        let key = match token.key() {
            Some(key) => Some(key.clone()),
            None => self.login_key()?,
        };
        let asked = self.for_token(token).await?;
        let tokens = Box::pin(self.request(&asked, key.as_ref()).await?.refresh(token, parameters)).await;
        let tokens = self.noted(tokens, &asked).await.map(|tokens| self.issued(tokens, &asked))?;
        Ok(match key {
            Some(key) if is_bound(&tokens) => tokens.bound_to(&key),
            Some(_) => tokens.refused(unbound(ErrorKind::BadAnswer, "refresh"), token.key().cloned()),
            None => tokens,
        })
    }

    /// Returns the tokens with what has to be known to send the refresh token again.
    fn issued(&self, tokens: Tokens, asked: &ResolvedRequest) -> Tokens {
        let by_resource = self.discovery.server().is_named_by_resource();
        let issuer = by_resource.then(|| asked.metadata.issuer.clone());
        tokens.issued(issuer, asked.registered.as_ref().map(|client| client.id.clone()))
    }

    /// Lets a failure show that the endpoints have changed, or that the client is not known.
    async fn noted<T>(&self, answer: Result<T, Error>, asked: &ResolvedRequest) -> Result<T, Error> {
        if let Err(error) = &answer {
            self.discovery.note(error).await;
            if let Some(client) = &asked.registered {
                self.registration.note(client, error).await;
            }
        }
        answer.map_err(|error| match error.code() {
            Some("invalid_client") if self.settings.has_certificate() => {
                error.advising("register the certificate of the HTTP client, and its client ID, at the server")
            }
            _ => error,
        })
    }
}

/// Returns the error for a refresh token that is not the server's, which does not get it.
fn of_another_server(facts: &ServerFacts) -> Error {
    let error = Error::denied("the resource names another server than the one that issued the refresh token");
    error.at(&facts.metadata.issuer).advising("log in again: `session.login()`")
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
        let key = self.login_key()?;
        let asked = Box::pin(self.for_login()).await?;
        let tokens = Box::pin(self.request(&asked, key.as_ref()).await?.log_in()).await;
        let tokens = self.noted(tokens, &asked).await.map(|tokens| self.issued(tokens, &asked))?;
        match key {
            Some(key) if is_bound(&tokens) => Ok(tokens.bound_to(&key)),
            Some(_) => Err(self.settings.grant.failed_after_login(unbound(ErrorKind::Configuration, "login"))),
            None => Ok(tokens),
        }
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        if let GrantKind::ClientCredentials = self.settings.grant.0 {
            return Box::pin(log_in_instead(self.login())).await;
        }
        self.refreshed(token, None).await
    }

    /// Refreshes for another resource (RFC 8707 §2.2), audience or scope (RFC 6749 §6).
    async fn refresh_for(&self, token: &RefreshToken, parameters: &AccessParameters) -> Result<Tokens, Error> {
        self.refreshed(token, Some(parameters)).await
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

    /// Asks for the union of scopes, for the `acr_values` and the `max_age`, or for the claims that
    /// the challenge names. Only [`AuthorizationCode`] can ask for a stronger or more recent login,
    /// since with the other grants nobody logs in at the server.
    fn step_up(&self, challenge: &Challenge) -> Result<Self, Error> {
        Ok(Self { settings: Arc::new(self.settings.stepped_up(challenge)?), ..self.clone() })
    }

    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        let asked = self.for_token(token).await?;
        let answer = self.request(&asked, None).await?.revoke(token).await;
        self.noted(answer, &asked).await
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
