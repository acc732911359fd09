//! The configuration of an [`OAuth`].

use std::sync::Arc;

use huskarl::core::dpop::SessionKeyedDPoP;

use super::OAuth;
use super::client::Client;
use super::client_assertion::AssertionForm;
use super::grant::{Grant, GrantKind};
use super::redirect::Redirect;
use super::server::{Discovery, Server};
use super::settings::OAuthSettings;
use super::signing_key::SigningKey;
use super::wire::{TlsClient, Wire};
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

    /// Lets the client authenticate by the certificate of its TLS connections, instead of by
    /// [`client_auth`](Self::client_auth): one of an authority (`tls_client_auth`, RFC 8705 §2.1),
    /// or one that it has signed itself (`self_signed_tls_client_auth`, §2.2). The certificate and
    /// its key are the identity of the [HTTP client](Self::client), and requests go to the
    /// endpoints that the server has for such clients (`mtls_endpoint_aliases`, RFC 8705 §5), if it
    /// names any.
    ///
    /// ```
    /// # fn login(pem: Vec<u8>) -> Result<jwt_refresh::oauth::OAuth, Box<dyn std::error::Error>> {
    /// use jwt_refresh::oauth::{Grant, OAuth};
    ///
    /// let identity = reqwest::Identity::from_pem(&pem)?; // certificate and private key
    /// let login = OAuth::builder("https://id.example", Grant::client_credentials())
    ///     .tls_client_auth("catalog")
    ///     .client(move || reqwest::Client::builder().identity(identity.clone()))
    ///     .build()?;
    /// # Ok(login) }
    /// ```
    ///
    /// A server may bind the tokens to the certificate (RFC 8705 §3). Then calls need it, too: let
    /// the closure be an [`HttpClient`], and use its [`calls`](HttpClient::calls). A server that
    /// does not take the certificate, or misses one, is [`Unreachable`](ErrorKind::Unreachable),
    /// and no refresh token is lost.
    pub fn tls_client_auth(mut self, client_id: impl Into<String>) -> Self {
        self.settings.client = Some(Client::Certificate { id: client_id.into() });
        self
    }

    pub(super) fn assertion_form(mut self, form: AssertionForm) -> Self {
        self.settings.assertion_form = form;
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

    /// Asks a person for access to this API, too, for which
    /// [`Session::access_for`](crate::Session::access_for) gets a token: the authorization request
    /// names it beside the resources of the session's own token, and the token request does not
    /// (RFC 8707 §2). It can be called several times.
    pub fn other_resource(mut self, resource: impl Into<String>) -> Self {
        self.settings.other_resources.push(resource.into());
        self
    }

    /// Asks for tokens that are bound to a key (DPoP, RFC 9449), and of no use without it. Each
    /// login of a person makes a key, and without a person the authenticator makes one for all its
    /// logins. It stays with the tokens: in the entry of the store too, from which another process
    /// goes on.
    ///
    /// Requests then go out with `Authorization: DPoP …` and a proof for each, by
    /// [`RequestAuth`](crate::RequestAuth) in every form and [`Session::execute`], which send a
    /// request once more if the API asks for a nonce, without a refresh. [`Bearer`](crate::Bearer)
    /// adds a proof too, with a nonce if one is known. What sends the plain
    /// [`header`](crate::AccessToken::header) is refused by the API.
    ///
    /// [`Session::execute`]: crate::Session::execute
    ///
    /// # Errors
    ///
    /// If the server binds the token to no key, a refresh is a [`BadAnswer`](ErrorKind::BadAnswer),
    /// and a login [`Configuration`](ErrorKind::Configuration). If it asks for one nonce after the
    /// other, both are a `BadAnswer`. No person is asked again after that before
    /// [`Session::login`](crate::Session::login).
    pub fn dpop(mut self) -> Self {
        self.settings.dpop = true;
        self
    }

    /// Asks for tokens that are bound to the certificate of the client's TLS connections (RFC 8705
    /// §3), however the client authenticates, and if it does not (§4): requests go to the endpoints
    /// that the server has for clients with a certificate (`mtls_endpoint_aliases`, §5), if it
    /// names any. The certificate is the identity of the [HTTP client](Self::client), as for
    /// [`tls_client_auth`](Self::tls_client_auth), which includes this. Calls need it, too.
    pub fn certificate_bound(mut self) -> Self {
        self.settings.certificate_bound = true;
        self
    }

    /// Sets the HTTP client, as [`HttpAuthenticatorBuilder::client`] does.
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
        let is_certified = self.settings.certificate_bound || self.settings.has_certificate();
        let connection = if is_certified { TlsClient::Certified } else { TlsClient::Anonymous };
        let wire = Wire::new(self.http, self.plaintext, connection);
        let wire = wire.with_local_hosts(self.server.local_hosts(&wire)?);
        self.server.check(&wire)?;
        self.settings.check(&self.server)?;
        // A client that cannot be set up is a mistake that shows here.
        wire.transport(&wire.endpoint(self.server.url())?)?;
        let (settings, discovery) = (Arc::new(self.settings), Arc::new(Discovery::new(self.server)));
        let (registration, key) = (Arc::default(), Arc::default());
        Ok(OAuth { wire, settings, discovery, registration, proofs: SessionKeyedDPoP::new(), key })
    }
}

impl OAuthSettings {
    /// Returns whether the client does not authenticate.
    fn has_no_credentials(&self) -> bool {
        match &self.client {
            None => true,
            Some(Client::Secret(auth)) => auth.secret().is_none(),
            Some(Client::Key { .. } | Client::Certificate { .. }) => false,
        }
    }

    fn check(&self, server: &Server) -> Result<(), Error> {
        let mistake = |what: &str| Err(Error::new(ErrorKind::Configuration, what.to_owned()));
        if server.is_named_by_resource() && !(self.grant.is_by_person() && self.has_no_credentials()) {
            let error =
                Error::new(ErrorKind::Configuration, "a resource may lead to any server, which gets no credentials");
            return Err(error.advising("name the server yourself: `OAuth::builder`, and the resource by `resource`"));
        }
        let registers = server.is_named_by_resource();
        if self.client.is_none() && self.grant.needs_client() && !registers {
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
