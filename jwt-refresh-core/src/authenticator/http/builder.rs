//! How the ready-made authenticator is configured.

use std::fmt;

use super::HttpAuthenticator;
use super::endpoint::{Endpoint, Plaintext};
use super::transport::Transport;
use crate::error::{Error, public_part};
use crate::secret::Secret;
use crate::token::TokenFields;

impl HttpAuthenticator {
    /// Starts from the URL that a login is posted to.
    pub fn builder(login_url: impl Into<String>) -> HttpAuthenticatorBuilder {
        HttpAuthenticatorBuilder {
            login_url: login_url.into(),
            refresh_url: None,
            revocation_url: None,
            credentials: Vec::new(),
            answer: TokenFields::default(),
            client: reqwest::Client::builder(),
            plaintext: Plaintext::LoopbackOnly,
        }
    }
}

/// Puts a [`HttpAuthenticator`] together: [`HttpAuthenticator::builder`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct HttpAuthenticatorBuilder {
    login_url: String,
    refresh_url: Option<String>,
    revocation_url: Option<String>,
    credentials: Vec<(String, Secret)>,
    answer: TokenFields,
    client: reqwest::ClientBuilder,
    plaintext: Plaintext,
}

impl HttpAuthenticatorBuilder {
    /// The URL that a refresh is posted to. Without one, the session logs in again.
    pub fn refresh_url(mut self, url: impl Into<String>) -> Self {
        self.refresh_url = Some(url.into());
        self
    }

    /// The URL where refresh tokens are revoked at logout, and when an account is removed from a pool (RFC 7009). Without one, the
    /// server is told of neither.
    pub fn revocation_url(mut self, url: impl Into<String>) -> Self {
        self.revocation_url = Some(url.into());
        self
    }

    /// A field of the login's JSON, such as `email`.
    pub fn field(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.secret_field(name, value.into())
    }

    /// A field of the login's JSON that is secret, such as `password`.
    pub fn secret_field(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.credentials.push((name.into(), value.into()));
        self
    }

    /// Where in the answers the tokens stand, if not in `access_token`, `refresh_token` and `expires_in`.
    pub fn answer(mut self, fields: TokenFields) -> Self {
        self.answer = fields;
        self
    }

    /// The way out: proxy, addresses, certificates, headers. A builder and not a client, since redirects are turned off in it,
    /// and proxies too if an endpoint is plain `http` to this machine: a proxy is another one, and would read the credentials.
    pub fn client(mut self, client: reqwest::ClientBuilder) -> Self {
        self.client = client;
        self
    }

    /// Lets credentials go over plain `http` to other machines, where everybody on the way can read them.
    pub fn allow_plain_http(mut self) -> Self {
        self.plaintext = Plaintext::Anywhere;
        self
    }

    /// The authenticator.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if a URL is malformed or plain `http` to another machine, or if reqwest cannot be set up.
    pub fn build(self) -> Result<HttpAuthenticator, Error> {
        let login = Endpoint::parse(&self.login_url, self.plaintext)?;
        let optional = |url: Option<String>| url.map(|url| Endpoint::parse(&url, self.plaintext)).transpose();
        let (refresh, revocation) = (optional(self.refresh_url)?, optional(self.revocation_url)?);
        let is_local = self.plaintext == Plaintext::LoopbackOnly
            && std::iter::once(&login).chain(&refresh).chain(&revocation).any(Endpoint::is_plaintext);
        // The proxies of the environment among them.
        let client = if is_local { self.client.no_proxy() } else { self.client };
        let transport = Transport::new(client)?;
        Ok(HttpAuthenticator {
            transport,
            login,
            refresh,
            revocation,
            credentials: self.credentials,
            answer: self.answer,
        })
    }
}

impl fmt::Debug for HttpAuthenticatorBuilder {
    /// Neither credentials nor the parts of a URL that may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAuthenticatorBuilder")
            .field("login_url", &public_part(&self.login_url))
            .field("refresh_url", &self.refresh_url.as_deref().map(public_part))
            .field("revocation_url", &self.revocation_url.as_deref().map(public_part))
            .field("answer", &self.answer)
            .field("plaintext", &self.plaintext)
            .finish_non_exhaustive()
    }
}
