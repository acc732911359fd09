//! The ready-made authenticator over reqwest: a JSON login and a JSON refresh, both configured and not coded.

use std::fmt;
use std::time::Duration;

use reqwest::redirect;
use serde_json::{Map, Value};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::authenticator::Authenticator;
use crate::error::public_part;
use crate::http::{Answer, Endpoint, Plaintext};
use crate::{Error, ErrorKind, RefreshToken, Secret, TokenFields, Tokens};

/// No token endpoint's answer is longer.
const LONGEST_BODY: usize = 256 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A little less than a session waits by default, so that the error names the endpoint.
const TIMEOUT: Duration = Duration::from_secs(29);

/// Logs in and refreshes by `POST`ing JSON: `{email, password}` or whatever fields the server wants, and `{refresh_token}`.
///
/// Credentials go to `https` or to this machine alone, no redirect is followed, and an answer of over 256 KiB is not
/// read. Every exchange has a connection of its own: one that the server has just closed would leave it unknown whether the
/// request arrived.
///
/// ```
/// # fn main() -> Result<(), jwt_refresh_core::Error> {
/// use jwt_refresh_core::HttpAuthenticator;
///
/// let api = HttpAuthenticator::builder("https://api.example/api/auth/login")
///     .refresh_url("https://api.example/api/auth/refresh")
///     .field("email", "ada@example.com")
///     .secret_field("password", "correct horse battery staple")
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpAuthenticator {
    client: reqwest::Client,
    login: Endpoint,
    refresh: Option<Endpoint>,
    revocation: Option<Endpoint>,
    credentials: Vec<(String, Secret)>,
    answer: TokenFields,
}

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

    /// Asks for tokens, by JSON.
    async fn ask<'a>(
        &self,
        action: &'static str,
        endpoint: &Endpoint,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Tokens, Error> {
        let fields: Map<String, Value> = fields.map(|(name, value)| (name.to_owned(), value.into())).collect();
        let answer = self.post(action, endpoint, "application/json", Value::Object(fields).to_string()).await?;
        answer.tokens(action, &self.answer).map_err(|error| error.at(endpoint))
    }

    async fn post(
        &self,
        action: &'static str,
        endpoint: &Endpoint,
        content_type: &'static str,
        body: String,
    ) -> Result<Answer, Error> {
        let request = self.client.post(endpoint.url()).header(http::header::CONTENT_TYPE, content_type).body(body);
        let exchange = async { read(action, request.send().await.map_err(|error| transport(action, error))?).await };
        exchange.await.map_err(|error: Error| error.at(endpoint))
    }
}

impl Authenticator for HttpAuthenticator {
    async fn login(&self) -> Result<Tokens, Error> {
        let fields = self.credentials.iter().map(|(name, value)| (name.as_str(), value.expose()));
        self.ask("login", &self.login, fields).await
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        let Some(endpoint) = &self.refresh else { return self.login().await.map_err(Error::by_login) };
        self.ask("refresh", endpoint, std::iter::once(("refresh_token", token.expose()))).await
    }

    /// RFC 7009 §2.1: a form, and by §2.2 any 200 means that the token is gone.
    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        let Some(endpoint) = &self.revocation else { return Ok(()) };
        let fields = [("token", token.expose()), ("token_type_hint", "refresh_token")];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let answer = self.post("revocation", endpoint, "application/x-www-form-urlencoded", form).await?;
        if answer.status.is_success() { Ok(()) } else { Err(answer.refusal("revocation").at(endpoint)) }
    }
}

impl fmt::Debug for HttpAuthenticator {
    /// Not the client: its default headers may be API keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAuthenticator")
            .field("login", &self.login)
            .field("refresh", &self.refresh)
            .field("revocation", &self.revocation)
            .field("credentials", &self.credentials)
            .field("answer", &self.answer)
            .finish_non_exhaustive()
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
        let client = client
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Configuration, "the HTTP client cannot be set up").caused_by(error)
            })?;
        Ok(HttpAuthenticator { client, login, refresh, revocation, credentials: self.credentials, answer: self.answer })
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

async fn read(action: &str, mut response: reqwest::Response) -> Result<Answer, Error> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(action, error))? {
        if body.len() + chunk.len() > LONGEST_BODY {
            let what = format!("the answer to the {action} is longer than {} KiB", LONGEST_BODY / 1024);
            return Err(Error::new(ErrorKind::BadAnswer, what).answered(status));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body })
}

fn transport(action: &str, error: reqwest::Error) -> Error {
    let (kind, what) = if error.is_connect() {
        (ErrorKind::Unreachable, format!("the {action} did not reach the server"))
    } else {
        (ErrorKind::Unanswered, format!("the {action} was sent, and its answer did not come"))
    };
    Error::new(kind, what).caused_by(error.without_url())
}

/// For authenticators that call reqwest themselves and pass its errors on with `?`: a status is taken for what it means at a
/// token endpoint, so that a 400, 401 or 403 is final and all else is transient.
impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        let endpoint = error.url().map(ToString::to_string);
        let told = match error.status() {
            Some(status) => {
                let answer = Answer { status, headers: http::HeaderMap::new(), body: Zeroizing::default() };
                answer.refusal("request")
            }
            // What serde says of a body may quote it, so that is left out.
            None if error.is_decode() => Self::new(ErrorKind::BadAnswer, "the answer is not what was expected"),
            None if error.is_builder() => {
                Self::new(ErrorKind::Configuration, "the request cannot be built").caused_by(error.without_url())
            }
            None => transport("request", error),
        };
        endpoint.into_iter().fold(told, Self::at)
    }
}
