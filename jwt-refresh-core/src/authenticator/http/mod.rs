//! The ready-made authenticator over reqwest. A server is described, and no code is written for it.

mod answer_match;
mod body;
mod builder;
mod captured;
mod carried;
mod client_auth;
#[cfg(feature = "config")]
mod config;
mod description;
pub(super) mod endpoint;
mod given;
mod har;
mod mistake;
mod prepared;
mod presets;
mod request;
mod secret_source;
mod shared_description;
mod template;
pub(super) mod transport;
mod values;

use std::fmt;
use std::sync::Arc;

use http::StatusCode;

pub use self::answer_match::AnswerMatch;
pub use self::builder::HttpAuthenticatorBuilder;
pub use self::client_auth::ClientAuth;
pub use self::request::HttpRequest;
pub use self::secret_source::SecretSource;

#[cfg(feature = "oauth")]
pub(super) use self::secret_source::DerivedSecret;
#[cfg(feature = "oauth")]
pub(super) use self::template::percent_encoded;

use self::description::PreparedDescription;
use self::given::GivenValues;
use self::mistake::{in_file, mistake};
use self::prepared::PreparedRequest;
use self::transport::Transport;
use self::values::Values;
use super::Authenticator;
use super::http_client::HttpClient;
use super::refresh_by_login::log_in_instead;
use super::refusal::{Asked, is_misunderstood};
use super::response::TokenResponse;
use crate::error::{Error, ErrorKind};
use crate::token::{RefreshToken, TokenFields, Tokens};

/// Logs in to a server that was described, refreshes and revokes.
///
/// By default, the fields of a login are posted as JSON, and so is `{refresh_token}` for a refresh:
///
/// ```
/// # fn main() -> Result<(), jwt_refresh::Error> {
/// use jwt_refresh::HttpAuthenticator;
///
/// let api = HttpAuthenticator::builder("https://api.example/api/auth/login")
///     .refresh_url("https://api.example/api/auth/refresh")
///     .field("email", "ada@example.com")
///     .secret_field("password", "correct horse battery staple")
///     .build()?;
/// # Ok(()) }
/// ```
///
/// Everything else is described by [`HttpRequest`]s and [`TokenFields`]:
///
/// ```
/// # fn main() -> Result<(), jwt_refresh::Error> {
/// use jwt_refresh::{HttpAuthenticator, HttpRequest, SecretSource, TokenFields};
///
/// let login = HttpRequest::post("https://api.example/sessions")
///     .json_field("user.name", "ada")
///     .json_field("user.password", "{password}")
///     .json_field("remember", true)
///     .capture("csrf", "cookie:csrf_refresh");
/// let refresh = HttpRequest::post("https://api.example/sessions/renew")
///     .cookie("refresh", "{refresh_token}")
///     .header("x-csrf-token", "{csrf}");
/// let api = HttpAuthenticator::builder(login)
///     .secret("password", SecretSource::file("/run/secrets/password"))
///     .refresh(refresh)
///     .answer(TokenFields::default().access_token("data.jwt").refresh_token("cookie:refresh"))
///     .build()?;
/// # Ok(()) }
/// ```
///
/// If the refresh or the revocation sends more than one value of an earlier answer, the
/// [refresh token](Tokens::refresh) of its tokens is a JSON object of all of them.
///
/// Credentials are sent only to `https` or to this machine, and no redirect is followed. The
/// connection must be made within 10 s, and the whole answer must arrive within the time-out of the
/// [`Policy`](crate::Policy) of the session or pool that asks. An answer of more than 256 KiB is
/// not read. Every request uses a connection of its own: if the server closed a reused one at that
/// moment, it would be unknown whether the request arrived.
#[derive(Clone)]
pub struct HttpAuthenticator(Arc<Inner>);

struct Inner {
    transport: Transport,
    description: Arc<PreparedDescription>,
    values: GivenValues,
}

impl HttpAuthenticator {
    fn new(transport: Transport, description: Arc<PreparedDescription>, values: GivenValues) -> Self {
        Self(Arc::new(Inner { transport, description, values }))
    }

    /// Returns this authenticator for another account: with another value for the
    /// [field](HttpAuthenticatorBuilder::field) or the [secret](HttpAuthenticatorBuilder::secret)
    /// of this name. Both share the description and the HTTP client, so this costs little more than
    /// the values.
    ///
    /// ```
    /// # fn doc(logins: Vec<(String, String)>) -> Result<(), jwt_refresh::Error> {
    /// use jwt_refresh::HttpAuthenticator;
    ///
    /// let login = HttpAuthenticator::builder("https://api.example/auth/login")
    ///     .field("email", "")
    ///     .secret_field("password", "")
    ///     .build()?;
    /// for (email, password) in logins {
    ///     let login = login.with_value("email", email)?.with_value("password", password)?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if there is no value of that name. The error says which there
    /// are.
    pub fn with_value(&self, name: &str, value: impl Into<SecretSource>) -> Result<Self, Error> {
        let Inner { transport, description, values } = &*self.0;
        let Some(values) = description.given.replaced(values, name, &value.into()) else {
            let names: Vec<_> = description.given.replaceable().map(|name| format!("`{name}`")).collect();
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let what = format!("no field or secret of this name was described, so it has no value; there are {there}");
            return Err(in_file(mistake(name, what), description.file.as_deref()));
        };
        Ok(Self::new(transport.clone(), Arc::clone(description), values))
    }

    /// Reads the values that these requests send.
    async fn values_of(&self, requests: impl IntoIterator<Item = &PreparedRequest>) -> Result<Values, Error> {
        let Inner { description, values, .. } = &*self.0;
        let requests: Vec<_> = requests.into_iter().collect();
        let is_sent = |name: &str| requests.iter().any(|request| request.names().contains(name));
        description.given.read(values, is_sent, description.file.as_deref()).await
    }

    /// Reads all secrets, and sends nothing. Each may take 15 s.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SecretUnavailable`] if a secret cannot be read.
    pub async fn check_secrets(&self) -> Result<(), Error> {
        self.values_of(self.0.description.requests()).await.map(drop)
    }

    /// Sends the steps of the login. The values that the earlier ones capture are in the later
    /// ones.
    async fn send_login(&self, steps: &[PreparedRequest]) -> Result<Tokens, Error> {
        let Inner { transport, description, .. } = &*self.0;
        let Some((last, earlier)) = steps.split_last() else { return Err(Error::login_unavailable()) };
        let mut values = self.values_of(steps).await?;
        for (number, step) in earlier.iter().enumerate() {
            let action = (&*format!("step {} of the login", number + 1), Asked::Login);
            let answer = step.send(transport, action, &values).await.map_err(|error| advise_on_format(error, step))?;
            step.capture(&answer, action, &mut values)?;
        }
        let action = ("login", Asked::Login);
        let answer = last.send(transport, action, &values).await.map_err(|error| advise_on_format(error, last))?;
        let mut tokens =
            read_tokens(&answer, action, &description.answer, last).map_err(|error| advise_on_format(error, last))?;
        last.capture_found(&answer, &mut values);
        self.keep_captured(&mut tokens, &values);
        description.carried.pack(&mut tokens, &mut values, None);
        Ok(tokens)
    }

    async fn send_refresh(&self, request: &PreparedRequest, token: &RefreshToken) -> Result<Tokens, Error> {
        let Inner { transport, description, .. } = &*self.0;
        let mut values = self.values_of([request]).await?;
        description.carried.unpack(token, &mut values);
        // Without a login nothing could replace the refresh token, so it is kept.
        let kind = if description.login.is_empty() { ErrorKind::Configuration } else { ErrorKind::Denied };
        expect_values(request, "refresh", &values, kind)?;
        let action = ("refresh", Asked::Refresh);
        let answer = request.send(transport, action, &values).await?;
        let mut tokens = read_tokens(&answer, action, &description.refresh_answer, request)?;
        // What the login captured may come anew.
        for captures in description.login.iter().chain([request]) {
            captures.capture_found(&answer, &mut values);
        }
        self.keep_captured(&mut tokens, &values);
        description.carried.pack(&mut tokens, &mut values, Some(token));
        Ok(tokens)
    }

    /// Adds what was captured to the tokens.
    fn keep_captured(&self, tokens: &mut Tokens, values: &Values) {
        let names = self.0.description.requests().flat_map(PreparedRequest::captures).map(|(name, _)| name);
        for (name, value) in names.filter_map(|name| Some((name, values.json(name)?))) {
            tokens.capture(name, value);
        }
    }
}

/// Returns an error of this kind if a value is missing that the request has to send. The server
/// would get an empty one instead.
fn expect_values(request: &PreparedRequest, action: &str, values: &Values, kind: ErrorKind) -> Result<(), Error> {
    let Some(name) = request.names().iter().find(|name| !values.has(name)) else { return Ok(()) };
    let what = format!("the {action} has to send `{name}`, which did not come with this refresh token");
    Err(Error::new(kind, what).advising("log in again, and keep what the login brings").at(&request.endpoint))
}

/// Returns the tokens in an answer that is a success.
fn read_tokens(
    answer: &TokenResponse,
    (action, asked): (&str, Asked),
    fields: &TokenFields,
    request: &PreparedRequest,
) -> Result<Tokens, Error> {
    answer.tokens_of_success(action, Some(asked), fields).map_err(|error| error.at(&request.endpoint))
}

impl Authenticator for HttpAuthenticator {
    /// Returns an authenticator that shares the description.
    fn with_client(&self, client: &HttpClient) -> Result<Self, Error> {
        let Inner { description, values, .. } = &*self.0;
        let transport = Transport::new(client, &description.local_endpoints())?;
        Ok(Self::new(transport, Arc::clone(description), values.clone()))
    }

    /// Returns the origin that refresh tokens are sent to, or of the login if there is no refresh.
    fn server_id(&self) -> Option<String> {
        let description = &self.0.description;
        description.refresh.as_ref().or(description.login.last()).map(|request| request.endpoint.origin())
    }

    async fn login(&self) -> Result<Tokens, Error> {
        self.send_login(&self.0.description.login).await
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        match &self.0.description.refresh {
            Some(request) => self.send_refresh(request, token).await,
            None => log_in_instead(self.login()).await,
        }
    }

    /// Asks for the headers of the first URL of the login (`HEAD`), whatever they are: an answer
    /// that is no 5xx shows that the server is back.
    async fn probe(&self) -> Option<Result<(), Error>> {
        let request = self.0.description.requests().next()?;
        Some(self.0.transport.probe(&request.endpoint).await)
    }

    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        let Inner { transport, description, .. } = &*self.0;
        let Some(request) = &description.revocation else { return Ok(()) };
        let mut values = self.values_of([request]).await?;
        description.carried.unpack(token, &mut values);
        expect_values(request, "revocation", &values, ErrorKind::Configuration)?;
        request.send(transport, ("revocation", Asked::Refresh), &values).await.map(drop)
    }
}

/// Says what else may be wrong with a login than the password. A server that expects a form finds
/// nothing in JSON, and what it says of that reads as if the password were wrong.
fn advise_on_format(error: Error, request: &PreparedRequest) -> Error {
    let code = error.code();
    let may_be_format = match error.status() {
        Some(StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) => code.is_none(),
        _ => false,
    };
    let is_client = matches!(code, Some("invalid_client" | "unauthorized_client"));
    if is_misunderstood(&error) {
        return error.advising(if request.is_form() {
            "it was sent as a form, and the endpoint may want JSON: check which format it takes, and the names of the fields"
        } else {
            "it was sent as JSON, and the endpoint may want a form (`form_field`): check which format it takes, and the names of the fields"
        });
    }
    if error.kind() == ErrorKind::Denied && (may_be_format || is_client) {
        return error.advising(if request.is_form() {
            "check the credentials, and that the endpoint takes a form with these fields"
        } else {
            "check the credentials, and that the endpoint takes JSON with these fields"
        });
    }
    error
}

impl fmt::Debug for HttpAuthenticator {
    /// Leaves out the values, and the client, because its default headers may be API keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { description, values, .. } = &*self.0;
        let PreparedDescription { login, refresh, revocation, answer, given, .. } = &**description;
        f.debug_struct("HttpAuthenticator")
            .field("login", login)
            .field("refresh", refresh)
            .field("revocation", revocation)
            .field("values", &given.shown(values))
            .field("answer", answer)
            .finish_non_exhaustive()
    }
}
