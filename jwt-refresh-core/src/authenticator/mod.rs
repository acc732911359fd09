//! Authenticators, which get tokens from a server by a login or a refresh. A user writes one in a
//! dozen lines, or configures [`HttpAuthenticator`]. An authenticator knows the server, and nothing
//! of locks, clocks or stores: a session never has two logins or refreshes under way.

mod chain;
mod dynamic;
#[cfg(feature = "reqwest")]
mod http;
#[cfg(feature = "reqwest")]
mod http_client;
#[cfg(feature = "oauth")]
pub mod oauth;
mod refresh_by_login;
mod refusal;
mod response;
mod time_limit;

use std::sync::Arc;

pub use self::chain::Chain;
pub(crate) use self::dynamic::DynAuthenticator;
#[cfg(feature = "reqwest")]
pub use self::http::{AnswerMatch, ClientAuth, HttpAuthenticator, HttpAuthenticatorBuilder, HttpRequest, SecretSource};
#[cfg(feature = "reqwest")]
pub use self::http_client::HttpClient;
pub(crate) use self::refresh_by_login::refresh_only;
pub(crate) use self::refusal::{Asked, judged, outcome_unknown};
pub(crate) use self::response::retry_after;
pub(crate) use self::time_limit::within_timeout;

use self::refresh_by_login::log_in_instead;
use crate::error::{Error, ErrorKind};
use crate::send::Challenge;
use crate::token::{AccessParameters, RefreshToken, Tokens};

/// Gets tokens from a server. For each account at most one login or refresh runs at a time, in a
/// task of its own. A call that exceeds the time-outs of the [`Policy`](crate::Policy) is dropped.
/// An `Arc` of an authenticator is one too, so that many sessions can share it.
///
/// ```
/// # #[cfg(feature = "reqwest")] mod doc {
/// use jwt_refresh::{Authenticator, Error, Secret, TokenFields, Tokens};
///
/// struct KeyAndSecret { http: reqwest::Client, host: String, key: String, secret: Secret }
///
/// impl KeyAndSecret {
///     fn new(host: &str, key: &str, secret: &str) -> Result<Self, Error> {
///         // A client of its own, without connections that are kept alive.
///         let http = reqwest::Client::builder().pool_max_idle_per_host(0).build()?;
///         Ok(Self { http, host: host.to_owned(), key: key.to_owned(), secret: secret.into() })
///     }
/// }
///
/// impl Authenticator for KeyAndSecret {
///     async fn login(&self) -> Result<Tokens, Error> {
///         let request = self.http.post(format!("{}/token", self.host));
///         let answer = request.basic_auth(&self.key, Some(self.secret.expose())).send().await?;
///         Tokens::from_response(answer, &TokenFields::default()).await
///     }
/// }
/// # }
/// ```
///
/// # Errors decide what happens next
///
/// [`Error::denied`] is final: after a denied refresh the session logs in once, and after a denied
/// login it fails with [`ReauthenticationRequired`](crate::ErrorKind::ReauthenticationRequired).
/// [`Error::login_unavailable`] is final too. All other errors are transient: the session serves
/// the token that it has, and tries again after a pause.
///
/// Which answer of a server is which need not be decided by the authenticator: hand the answer to
/// `Tokens::from_response` (reqwest) or [`Tokens::from_answer`], which go by its status, its error
/// code and its body. A `reqwest::Error` that `error_for_status` made and `?` passed on is judged
/// by its status alone, and a `Retry-After` is lost.
///
/// # An HTTP client of its own
///
/// `HttpAuthenticator` sees to all of this. An authenticator of your own should have an HTTP client
/// that nothing else uses, and that keeps no connections (with reqwest,
/// `pool_max_idle_per_host(0)`):
///
/// - A server may close an idle connection just when a request is sent on it. Then it is unknown
///   whether the request arrived, so the refresh token is in doubt, the callers fail, and a login
///   follows. Many servers close connections after a few seconds.
/// - A connection that is kept alive belongs to the runtime that opened it. If that runtime ends,
///   or its threads are busy or wait for the renewal, the request on it gets no answer.
/// - A redirect would take the credentials elsewhere (`redirect(Policy::none())`), and what is
///   default for other calls (a proxy, a time-out, headers) may not be right for this one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an `Authenticator`",
    note = "implement `async fn login(&self) -> Result<Tokens, jwt_refresh::Error>`, or configure a `HttpAuthenticator`",
    note = "a builder has to be built first: `.build()?`"
)]
pub trait Authenticator: Send + Sync + 'static {
    /// Logs in with the credentials of the authenticator, such as a password, or a key and its
    /// secret.
    ///
    /// # Errors
    ///
    /// An authenticator that cannot log in by itself returns [`Error::login_unavailable`]. For
    /// other errors see [above](Self#errors-decide-what-happens-next).
    fn login(&self) -> impl Future<Output = Result<Tokens, Error>> + Send;

    /// Exchanges a refresh token for new tokens (RFC 6749 §6). The default logs in again.
    ///
    /// An implementation must not repeat a request whose answer did not arrive: a server may take a
    /// refresh token that is sent twice for a stolen one (RFC 9700 §4.14.2).
    ///
    /// # Errors
    ///
    /// See [above](Self#errors-decide-what-happens-next).
    fn refresh(&self, token: &RefreshToken) -> impl Future<Output = Result<Tokens, Error>> + Send {
        let _ = token;
        log_in_instead(self.login())
    }

    /// Finds out whether the server answers again after an outage, without a credential. Returns
    /// `None` if this authenticator cannot find out, as by default.
    ///
    /// While callers wait for the end of an outage, a session asks this every second or so, and
    /// logs in when the server is back, not when the pause after the last login ends.
    ///
    /// # Errors
    ///
    /// The outage goes on. A [`retry_after`](Error::retry_after) is honoured.
    fn probe(&self) -> impl Future<Output = Option<Result<(), Error>>> + Send {
        async { None }
    }

    /// Returns a name for the server that the tokens are for. The default has none.
    ///
    /// By it a session sees that an entry in its store belongs to another server: see
    /// [`SessionBuilder::server_id`](crate::SessionBuilder::server_id). Without one it takes the
    /// entries of any server. Accounts of a [`Pool`](crate::pool::Pool) whose servers have the same
    /// name leave the server alone together when it is overloaded or out of order. Without one,
    /// each account finds that out for itself.
    fn server_id(&self) -> Option<String> {
        None
    }

    /// Returns this authenticator with another HTTP client, for an account of a pool that is given
    /// [one of its own](crate::pool::Account::client). An authenticator of yours sends its requests
    /// by [`HttpClient::exchanges`].
    ///
    /// # Errors
    ///
    /// The default cannot do it, and returns [`ErrorKind::Configuration`].
    #[cfg(feature = "reqwest")]
    fn with_client(&self, client: &HttpClient) -> Result<Self, Error>
    where
        Self: Sized,
    {
        let _ = client;
        let error = Error::new(ErrorKind::Configuration, "this authenticator takes no HTTP client from outside");
        Err(error.advising("implement `Authenticator::with_client` for it, or use a `HttpAuthenticator`"))
    }

    /// Returns this authenticator with logins that also ask for what an API has challenged a token
    /// for: a scope (RFC 6750 §3.1), or a stronger or more recent login (RFC 9470). Nothing is
    /// sent. A session then logs in with it, once for all callers, and uses it from then on.
    ///
    /// ```
    /// # use std::collections::BTreeSet;
    /// # use jwt_refresh::{Authenticator, Challenge, Error, Tokens};
    /// struct Login { scopes: BTreeSet<String> }
    ///
    /// impl Authenticator for Login {
    /// #   async fn login(&self) -> Result<Tokens, Error> { Tokens::new("a") }
    ///     fn step_up(&self, challenge: &Challenge) -> Result<Self, Error> {
    ///         let lacking = challenge.parameter("scope").ok_or_else(Error::cannot_step_up)?;
    ///         let all = self.scopes.iter().map(String::as_str).chain(lacking.split(' '));
    ///         Ok(Self { scopes: all.map(str::to_owned).collect() })
    ///     }
    ///     // …
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The default returns [`Error::cannot_step_up`]. Then the call ends with the answer of the
    /// API.
    fn step_up(&self, challenge: &Challenge) -> Result<Self, Error>
    where
        Self: Sized,
    {
        let _ = challenge;
        Err(Error::cannot_step_up())
    }

    /// Exchanges a refresh token for new tokens, of which the access token is for `parameters`: a
    /// session calls this for [another access token](crate::Session::access_for) of its login. What
    /// [`refresh`](Self::refresh) says of requests that are not answered holds here, too.
    ///
    /// # Errors
    ///
    /// See [above](Self#errors-decide-what-happens-next). The default cannot do it, and returns
    /// [`ErrorKind::Configuration`].
    fn refresh_for(
        &self,
        token: &RefreshToken,
        parameters: &AccessParameters,
    ) -> impl Future<Output = Result<Tokens, Error>> + Send {
        let _ = (token, parameters);
        async { Err(Error::new(ErrorKind::Configuration, "this authenticator gets one access token for each login")) }
    }

    /// Tells the server that a refresh token is no longer needed (RFC 7009): at logout, and when
    /// the account is removed from a pool. The default does nothing.
    ///
    /// # Errors
    ///
    /// If the server could not be told. The token may then be valid until it expires by itself.
    fn revoke(&self, token: &RefreshToken) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = token;
        async { Ok(()) }
    }
}

impl<T: Authenticator> Authenticator for Arc<T> {
    fn server_id(&self) -> Option<String> {
        T::server_id(self)
    }

    fn login(&self) -> impl Future<Output = Result<Tokens, Error>> + Send {
        T::login(self)
    }

    fn refresh(&self, token: &RefreshToken) -> impl Future<Output = Result<Tokens, Error>> + Send {
        T::refresh(self, token)
    }

    fn probe(&self) -> impl Future<Output = Option<Result<(), Error>>> + Send {
        T::probe(self)
    }

    #[cfg(feature = "reqwest")]
    fn with_client(&self, client: &HttpClient) -> Result<Self, Error> {
        T::with_client(self, client).map(Arc::new)
    }

    fn step_up(&self, challenge: &Challenge) -> Result<Self, Error> {
        T::step_up(self, challenge).map(Arc::new)
    }

    fn refresh_for(
        &self,
        token: &RefreshToken,
        parameters: &AccessParameters,
    ) -> impl Future<Output = Result<Tokens, Error>> + Send {
        T::refresh_for(self, token, parameters)
    }

    fn revoke(&self, token: &RefreshToken) -> impl Future<Output = Result<(), Error>> + Send {
        T::revoke(self, token)
    }
}
