//! The configuration of an [`OAuth`].

use std::sync::Arc;

use super::OAuth;
use super::client::Client;
use super::grant::{Grant, GrantKind};
use super::redirect::Redirect;
use super::server::{Discovery, Server};
use super::settings::OAuthSettings;
use super::signing_key::SigningKey;
use super::wire::Wire;
use crate::authenticator::http::ClientAuth;
use crate::authenticator::http_client::HttpClient;
use crate::error::{Error, ErrorKind};
use crate::plaintext::Plaintext;

/// Configures an [`OAuth`]. Created by [`OAuth::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct OAuthBuilder {
    server: Server,
    settings: OAuthSettings,
    http: HttpClient,
    plaintext: Plaintext,
}

impl OAuth {
    /// Returns a builder for an authenticator that logs in to this server by this grant. A string
    /// is the issuer of the server.
    pub fn builder(server: impl Into<Server>, grant: impl Into<Grant>) -> OAuthBuilder {
        OAuthBuilder {
            server: server.into(),
            settings: OAuthSettings::new(grant.into()),
            http: HttpClient::default(),
            plaintext: Plaintext::LoopbackOnly,
        }
    }
}

impl OAuthBuilder {
    /// Sets who the client is, and its secret, if it has one (RFC 6749 §2.3): in each login,
    /// refresh and revocation. What the server says of the methods that it takes does not count.
    pub fn client_auth(mut self, client: ClientAuth) -> Self {
        self.settings.client = Some(Client::Secret(client));
        self
    }

    /// Lets the client authenticate by a JWT that it signs (`private_key_jwt`, RFC 7523 §2.2,
    /// `OpenID` Connect Core 1.0 §9), instead of [`client_auth`](Self::client_auth).
    ///
    /// ```
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use jwt_refresh::SecretSource;
    /// use jwt_refresh::oauth::{Grant, OAuth, SigningKey};
    ///
    /// let key = SigningKey::pem(SecretSource::file("/run/secrets/client.pem")).id("2026-11");
    /// let api = OAuth::builder("https://id.example", Grant::client_credentials())
    ///     .private_key_jwt("catalog", key)
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn private_key_jwt(mut self, client_id: impl Into<String>, key: SigningKey) -> Self {
        self.settings.client = Some(Client::Key { id: client_id.into(), key });
        self
    }

    /// Asks for these scopes, which are separated by spaces (RFC 6749 §3.3). A refresh asks for
    /// none, and gets those of the login.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        let scopes: Vec<_> = scope.as_ref().split_ascii_whitespace().map(str::to_owned).collect();
        self.settings.scope = Some(scopes).filter(|scopes| !scopes.is_empty());
        self
    }

    /// Asks for a token for this API, at servers with a parameter `audience` (such as Auth0, or in
    /// RFC 8693 §2.1).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.settings.audience = Some(audience.into());
        self
    }

    /// Asks for a token for this API by its URI, at servers with a parameter `resource` (RFC 8707
    /// §2). It can be called several times.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.settings.resource.get_or_insert_default().push(resource.into());
        self
    }

    /// Sets the HTTP client, as [`HttpAuthenticatorBuilder::client`] does. With a certificate in it
    /// and [`ClientAuth::public`], the client authenticates by TLS (RFC 8705 §2).
    ///
    /// [`HttpAuthenticatorBuilder::client`]: crate::HttpAuthenticatorBuilder::client
    pub fn client(mut self, client: impl Into<HttpClient>) -> Self {
        self.http = client.into();
        self
    }

    /// Allows credentials to be sent over plain `http` to other machines, where everyone on the way
    /// can read them.
    pub fn allow_plain_http(mut self) -> Self {
        self.plaintext = Plaintext::Anywhere;
        self
    }

    /// Returns the authenticator. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if a URL is malformed, or plain `http` to another machine, or
    /// if something is missing that the grant needs.
    pub fn build(self) -> Result<OAuth, Error> {
        let wire = Wire::new(self.http, self.plaintext);
        self.server.check(&wire)?;
        self.settings.check(&self.server)?;
        // A client that cannot be set up is a mistake that shows here.
        wire.transport(&wire.endpoint(self.server.url())?)?;
        let (settings, discovery) = (Arc::new(self.settings), Arc::new(Discovery::new(self.server)));
        Ok(OAuth { wire, settings, discovery })
    }
}

impl OAuthSettings {
    fn check(&self, server: &Server) -> Result<(), Error> {
        let mistake = |what: &str| Err(Error::new(ErrorKind::Configuration, what.to_owned()));
        if self.client.is_none() && self.grant.needs_client() {
            return mistake("the grant needs a client: name it by `client_auth`");
        }
        if self.client.is_none() && self.audience.is_some() && !self.grant.has_audience() {
            return mistake("`audience` needs a client: name it by `client_auth`");
        }
        if let GrantKind::AuthorizationCode(wanted) = &self.grant.0 {
            Redirect::parse(&wanted.redirect_uri)?;
            let asks_for_id_token = self.scope.iter().flatten().any(|scope| scope == "openid");
            if asks_for_id_token && !server.has_issuer() {
                return mistake("the scope `openid` needs the issuer, whose keys verify the ID token");
            }
        }
        Ok(())
    }
}
