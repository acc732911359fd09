//! The ready-made authenticator over reqwest: login and refresh in JSON, configured instead of
//! coded.

mod builder;
mod endpoint;
mod transport;

use std::fmt;

use http::StatusCode;
use serde_json::{Map, Value};
use url::form_urlencoded;

pub use self::builder::HttpAuthenticatorBuilder;

use self::endpoint::Endpoint;
use self::transport::Transport;
use super::Authenticator;
use super::refusal::{Asked, is_misunderstood};
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;
use crate::token::{RefreshToken, TokenFields, Tokens};

/// Logs in and refreshes by `POST`ing JSON: `{email, password}` or the fields that the server
/// requires for a login, and `{refresh_token}` for a refresh.
///
/// Credentials are sent only to `https` or to this machine, and no redirect is followed. The
/// connection must be made within 10 s, and the whole answer must arrive within the time-out of the
/// [`Policy`](crate::Policy) of the session or pool that asks. An answer of more than 256 KiB is
/// not read. Every exchange uses a connection of its own: if the server closed a reused one at that
/// moment, it would be unknown whether the request arrived.
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
    /// Posts `fields` as JSON and returns the tokens in the answer.
    async fn request_tokens<'a>(
        &self,
        action: &'static str,
        asked: Asked,
        endpoint: &Endpoint,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Tokens, Error> {
        let fields: Map<String, Value> = fields.map(|(name, value)| (name.to_owned(), value.into())).collect();
        let answer =
            self.transport.post(action, endpoint, "application/json", Value::Object(fields).to_string()).await?;
        answer.tokens(action, Some(asked), &self.answer).map_err(|error| error.at(endpoint))
    }
}

impl Authenticator for HttpAuthenticator {
    /// Returns the origin of the refresh URL, or of the login URL if there is none.
    fn server_id(&self) -> Option<String> {
        let endpoint = self.refresh.as_ref().unwrap_or(&self.login);
        Some(endpoint.url().origin().ascii_serialization())
    }

    async fn login(&self) -> Result<Tokens, Error> {
        let fields = self.credentials.iter().map(|(name, value)| (name.as_str(), value.expose()));
        self.request_tokens("login", Asked::Login, &self.login, fields).await.map_err(advise_on_format)
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        let Some(endpoint) = &self.refresh else { return self.login().await.map_err(Error::by_login) };
        self.request_tokens("refresh", Asked::Refresh, endpoint, std::iter::once(("refresh_token", token.expose())))
            .await
    }

    /// Asks for the headers of the login URL (`HEAD`), whatever they are: an answer that is no 5xx
    /// shows that the server is back.
    async fn probe(&self) -> Option<Result<(), Error>> {
        Some(self.transport.probe(&self.login).await)
    }

    /// Posts the token in a form (RFC 7009 §2.1). Any 200 means that the token is no longer valid
    /// (RFC 7009 §2.2).
    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        let Some(endpoint) = &self.revocation else { return Ok(()) };
        let fields = [("token", token.expose()), ("token_type_hint", "refresh_token")];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let answer = self.transport.post("revocation", endpoint, "application/x-www-form-urlencoded", form).await?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(answer.refusal("revocation", Some(Asked::Refresh)).at(endpoint))
        }
    }
}

/// Says what else may be wrong with a login than the password. A server that expects a form finds
/// nothing in JSON, and what it says of that reads as if the password were wrong.
fn advise_on_format(error: Error) -> Error {
    let code = error.code();
    let may_be_format = match error.status() {
        Some(StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) => code.is_none(),
        _ => false,
    };
    let is_client = matches!(code, Some("invalid_client" | "unauthorized_client"));
    if is_misunderstood(&error) {
        return error.advising(
            "it was sent as JSON, and the endpoint may want a form: check which format it takes, and the names of the fields",
        );
    }
    if error.kind() == ErrorKind::Denied && (may_be_format || is_client) {
        return error.advising("check the credentials, and that the endpoint takes JSON with these fields");
    }
    error
}

impl fmt::Debug for HttpAuthenticator {
    /// Leaves out the client, because its default headers may be API keys.
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
