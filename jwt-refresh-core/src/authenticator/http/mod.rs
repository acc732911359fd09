//! The ready-made authenticator over reqwest: a JSON login and a JSON refresh, both configured and not coded.

mod builder;
mod endpoint;
mod response;
mod transport;

use std::fmt;

use serde_json::{Map, Value};
use url::form_urlencoded;

pub use self::builder::HttpAuthenticatorBuilder;

use self::endpoint::Endpoint;
use self::transport::Transport;
use super::Authenticator;
use crate::error::Error;
use crate::secret::Secret;
use crate::token::{RefreshToken, TokenFields, Tokens};

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
    transport: Transport,
    login: Endpoint,
    refresh: Option<Endpoint>,
    revocation: Option<Endpoint>,
    credentials: Vec<(String, Secret)>,
    answer: TokenFields,
}

impl HttpAuthenticator {
    /// Asks for tokens, by JSON.
    async fn ask<'a>(
        &self,
        action: &'static str,
        endpoint: &Endpoint,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Tokens, Error> {
        let fields: Map<String, Value> = fields.map(|(name, value)| (name.to_owned(), value.into())).collect();
        let answer =
            self.transport.post(action, endpoint, "application/json", Value::Object(fields).to_string()).await?;
        answer.tokens(action, &self.answer).map_err(|error| error.at(endpoint))
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
        let answer = self.transport.post("revocation", endpoint, "application/x-www-form-urlencoded", form).await?;
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
