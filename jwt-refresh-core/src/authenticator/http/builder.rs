//! The configuration of a [`HttpAuthenticator`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::HttpAuthenticator;
use super::endpoint::{Endpoint, Plaintext};
use super::transport::Transport;
use crate::error::{Error, public_part};
use crate::secret::Secret;
use crate::token::TokenFields;

/// Where the names of this machine lead. The port is that of the URL.
const LOOPBACK: [SocketAddr; 2] =
    [SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0)];

impl HttpAuthenticator {
    /// Returns a builder that posts logins to `login_url`.
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

/// Configures a [`HttpAuthenticator`]. Created by [`HttpAuthenticator::builder`].
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
    /// Sets the URL to which refreshes are posted. Without one, the session logs in again instead.
    pub fn refresh_url(mut self, url: impl Into<String>) -> Self {
        self.refresh_url = Some(url.into());
        self
    }

    /// Sets the URL at which refresh tokens are revoked (RFC 7009): at logout, and when an account
    /// is removed from a pool. Without one, the server is not told.
    pub fn revocation_url(mut self, url: impl Into<String>) -> Self {
        self.revocation_url = Some(url.into());
        self
    }

    /// Adds a field to the JSON of the login, such as `email`.
    pub fn field(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.secret_field(name, value.into())
    }

    /// Adds a secret field to the JSON of the login, such as `password`.
    pub fn secret_field(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.credentials.push((name.into(), value.into()));
        self
    }

    /// Sets where an answer contains the tokens, if not in `access_token`, `refresh_token` and
    /// `expires_in`.
    pub fn answer(mut self, fields: TokenFields) -> Self {
        self.answer = fields;
        self
    }

    /// Sets the HTTP client: proxy, addresses, certificates, headers. It takes a builder and not a
    /// client, because the authenticator sets redirects, retries, time-outs and idle connections
    /// itself. The time-out is that of the [`Policy`](crate::Policy).
    ///
    /// `localhost` and the names below it are this machine, and no resolver is asked for them. If
    /// an endpoint has such a name, proxies are turned off, because a proxy would look the name up
    /// itself. They are also turned off if an endpoint is plain `http` on this machine, unless
    /// plain `http` is [allowed](Self::allow_plain_http): a proxy may be another machine, which
    /// could read the credentials.
    pub fn client(mut self, client: reqwest::ClientBuilder) -> Self {
        self.client = client;
        self
    }

    /// Allows credentials to be sent over plain `http` to other machines, where everyone on the way
    /// can read them.
    pub fn allow_plain_http(mut self) -> Self {
        self.plaintext = Plaintext::Anywhere;
        self
    }

    /// Returns the authenticator.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a URL is malformed, is
    /// neither `https` nor `http`, or is plain `http` to another machine, or if the HTTP client
    /// cannot be set up.
    pub fn build(self) -> Result<HttpAuthenticator, Error> {
        let login = Endpoint::parse(&self.login_url, self.plaintext)?;
        let optional = |url: Option<String>| url.map(|url| Endpoint::parse(&url, self.plaintext)).transpose();
        let (refresh, revocation) = (optional(self.refresh_url)?, optional(self.revocation_url)?);
        let endpoints = || std::iter::once(&login).chain(&refresh).chain(&revocation);
        let local_names: Vec<&str> = endpoints().filter_map(Endpoint::local_name).collect();
        let is_local = self.plaintext == Plaintext::LoopbackOnly && endpoints().any(Endpoint::is_plaintext);
        // `no_proxy` also turns off the proxies of the environment.
        let client = if is_local || !local_names.is_empty() { self.client.no_proxy() } else { self.client };
        // The last address that a client is given for a name counts, so it is not the user's.
        let pin = |client: reqwest::ClientBuilder, name: &str| client.resolve_to_addrs(name, &LOOPBACK);
        let client = local_names.into_iter().fold(client, pin);
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
    /// Leaves out the credentials and the parts of the URLs that may be secret.
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
