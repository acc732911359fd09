//! The configuration of a [`HttpAuthenticator`].

use std::fmt;

use super::HttpAuthenticator;
use super::client_auth::ClientAuth;
use super::description::Description;
use super::request::HttpRequest;
use super::secret_source::SecretSource;
use super::shared_description::shared;
use super::transport::Transport;
use crate::authenticator::http_client::HttpClient;
use crate::error::Error;
use crate::plaintext::Plaintext;
use crate::token::TokenFields;

impl HttpAuthenticator {
    /// Returns a builder for an authenticator that logs in by this request: a URL, to which a JSON
    /// object is posted, or a [`HttpRequest`].
    pub fn builder(login: impl Into<HttpRequest>) -> HttpAuthenticatorBuilder {
        Self::without_login().then(login)
    }

    /// Returns a builder for an authenticator that cannot log in, but can refresh tokens that were
    /// captured elsewhere.
    pub fn without_login() -> HttpAuthenticatorBuilder {
        HttpAuthenticatorBuilder {
            description: Description::default(),
            client: HttpClient::default(),
            plaintext: Plaintext::LoopbackOnly,
        }
    }
}

/// Configures a [`HttpAuthenticator`]. Created by [`HttpAuthenticator::builder`].
///
/// ```
/// use jwt_refresh::{Error, HttpAuthenticator, HttpClient, SecretSource};
///
/// fn login() -> Result<HttpAuthenticator, Error> {
///     HttpAuthenticator::builder("https://api.example/auth/login")
///         .refresh_url("https://api.example/auth/refresh")
///         .revocation_url("https://api.example/auth/revoke")
///         .field("email", "ada@example.com")
///         .secret_field("password", SecretSource::file("/run/secrets/password"))
///         .client(HttpClient::new(|| reqwest::Client::builder().user_agent("catalog/1.0")))
///         .build()
/// }
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct HttpAuthenticatorBuilder {
    description: Description,
    client: HttpClient,
    plaintext: Plaintext,
}

impl HttpAuthenticatorBuilder {
    /// Adds a step to the login, which is sent after the others. The answer to the last step has
    /// the tokens; what the others bring is [captured](HttpRequest::capture).
    pub fn then(mut self, step: impl Into<HttpRequest>) -> Self {
        self.description.login.push(step.into());
        self
    }

    /// Adds a field to the last step of the login, such as `email`: to its form if it has one, else
    /// to its JSON. The value is sent as it is; braces in it mean nothing.
    pub fn field(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.description.give_login_field(name.as_ref(), value.as_ref());
        self
    }

    /// Adds a secret field to the last step of the login, such as `password`. Requests can also
    /// name it: `{password}`.
    pub fn secret_field(mut self, name: impl AsRef<str>, value: impl Into<SecretSource>) -> Self {
        let name = name.as_ref();
        self.description.set_login_field(name, &format!("{{{name}}}"));
        self.secret(name, value)
    }

    /// Gives requests a value that they can name: `{api_key}`. It may be a string, and need not be
    /// secret.
    pub fn secret(mut self, name: impl Into<String>, source: impl Into<SecretSource>) -> Self {
        self.description.secrets.insert(name.into(), source.into());
        self
    }

    /// Authenticates the client in each login, refresh and revocation.
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.description.client_auth = Some(client_auth);
        self
    }

    /// Refreshes by this request. It sends `{refresh_token}`, or `{access_token}` where a server
    /// renews by the access token itself. Without a refresh, the session logs in again instead.
    pub fn refresh(mut self, request: impl Into<HttpRequest>) -> Self {
        self.description.refresh = Some(request.into());
        self
    }

    /// Refreshes by posting `{"refresh_token": …}` to this URL.
    pub fn refresh_url(self, url: impl Into<String>) -> Self {
        self.refresh(HttpRequest::post(url).json_field("refresh_token", "{refresh_token}"))
    }

    /// Revokes refresh tokens by this request: at logout, and when an account is removed from a
    /// pool. It sends `{refresh_token}` or `{access_token}`. Without one, the server is not told.
    pub fn revoke(mut self, request: impl Into<HttpRequest>) -> Self {
        self.description.revocation = Some(request.into());
        self
    }

    /// Revokes refresh tokens at this URL, as RFC 7009 §2.1 says.
    pub fn revocation_url(self, url: impl Into<String>) -> Self {
        let request = HttpRequest::post(url).form_field("token", "{refresh_token}");
        self.revoke(request.form_field("token_type_hint", "refresh_token"))
    }

    /// Sets where an answer contains the tokens, if not in `access_token`, `refresh_token` and
    /// `expires_in`.
    pub fn answer(mut self, fields: TokenFields) -> Self {
        self.description.answer = fields;
        self
    }

    /// Sets where the answer to a refresh contains the tokens, if not where that to a login does.
    pub fn refresh_answer(mut self, fields: TokenFields) -> Self {
        self.description.refresh_answer = Some(fields);
        self
    }

    /// Notes the file that the description was read from, for errors about it.
    #[cfg(feature = "config")]
    pub(super) fn described_in(mut self, file: String) -> Self {
        self.description.file = Some(file);
        self
    }

    /// Sets the HTTP client: proxy, addresses, certificates, headers, cookies. It is a closure that
    /// returns reqwest's client builder, or a [`HttpClient`], from which calls can have their
    /// client, too. By default, all authenticators of the process share one client.
    ///
    /// The authenticator sets redirects, retries, time-outs and idle connections itself. The
    /// time-out is that of the [`Policy`](crate::Policy).
    ///
    /// `localhost` and the names below it are this machine, and no resolver is asked for them. If
    /// an endpoint has such a name, proxies are turned off, because a proxy would look the name up
    /// itself. They are also turned off if an endpoint is plain `http` on this machine, unless
    /// plain `http` is [allowed](Self::allow_plain_http): a proxy may be another machine, which
    /// could read the credentials.
    pub fn client(mut self, client: impl Into<HttpClient>) -> Self {
        self.client = client.into();
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
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if there is a mistake in the
    /// description: the error names the place and says how to write it. So it is if a URL is
    /// malformed, is neither `https` nor `http`, or is plain `http` to another machine, or if the
    /// HTTP client cannot be set up. Whether secrets can be read is only known when they are; see
    /// [`check_secrets`](HttpAuthenticator::check_secrets).
    pub fn build(self) -> Result<HttpAuthenticator, Error> {
        let (description, values) = self.description.prepare(self.plaintext)?;
        let transport = Transport::new(&self.client, &description.local_endpoints())?;
        Ok(HttpAuthenticator::new(transport, shared(description), values))
    }
}

impl fmt::Debug for HttpAuthenticatorBuilder {
    /// Leaves out the values, and the parts of the URLs that may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAuthenticatorBuilder")
            .field("description", &self.description)
            .field("plaintext", &self.plaintext)
            .finish_non_exhaustive()
    }
}
