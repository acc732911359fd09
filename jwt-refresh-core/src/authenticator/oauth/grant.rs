//! By which grant a login gets its tokens.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::device_code::DeviceCode;
use super::service_account::ServiceAccount;
use crate::authenticator::http::SecretSource;
use crate::error::{Error, ErrorKind};

/// How a login gets tokens. For a refresh it makes no difference.
#[derive(Clone, Debug)]
pub struct Grant(pub(super) GrantKind);

#[derive(Clone)]
pub(super) enum GrantKind {
    AuthorizationCode(AuthorizationCode),
    ClientCredentials,
    DeviceCode(Arc<dyn Fn(&DeviceCode) + Send + Sync>),
    JwtBearer(SecretSource),
    ServiceAccount(ServiceAccount),
    TokenExchange(Box<TokenExchange>),
    RefreshOnly,
}

impl Grant {
    /// The client's own credentials (RFC 6749 §4.4). The session logs in again instead of a
    /// refresh, even if the server has issued a refresh token.
    pub fn client_credentials() -> Self {
        Self(GrantKind::ClientCredentials)
    }

    /// A person logs in on another device (RFC 8628). `show` is called with what they have to be
    /// shown, and returns at once; it is called anew for each login.
    ///
    /// They have as long as the code is good for, and less than the time-out of a login:
    /// [`Policy::login_timeout`](crate::Policy::login_timeout), which is 30 s unless it is set. If
    /// that passes, the login fails with [`ErrorKind::LoginUnavailable`], and is not tried again by
    /// itself: `session.login()` shows another code.
    ///
    /// ```
    /// # fn main() -> Result<(), jwt_refresh::Error> {
    /// use std::time::Duration;
    ///
    /// use jwt_refresh::oauth::{Grant, OAuth};
    /// use jwt_refresh::{ClientAuth, Policy, Session};
    ///
    /// let grant = Grant::device_code(|code| {
    ///     println!("Enter {} at {}", code.user_code(), code.verification_uri());
    /// });
    /// let login = OAuth::builder("https://id.example", grant)
    ///     .client_auth(ClientAuth::public("tv"))
    ///     .scope("offline_access")
    ///     .build()?;
    /// let policy = Policy::default().login_timeout(Duration::from_secs(600));
    /// let session = Session::builder(login).policy(policy).build();
    /// # Ok(()) }
    /// ```
    pub fn device_code(show: impl Fn(&DeviceCode) + Send + Sync + 'static) -> Self {
        Self(GrantKind::DeviceCode(Arc::new(show)))
    }

    /// A signed JWT of an authority that the server trusts (RFC 7523 §2.1). It is read for each
    /// login, and never kept: a file that another program replaces, such as the projected token of
    /// a Kubernetes workload, is read anew. The client need not authenticate.
    pub fn jwt_bearer(assertion: impl Into<SecretSource>) -> Self {
        Self(GrantKind::JwtBearer(assertion.into()))
    }

    /// No login: only refreshes of tokens that were got elsewhere and
    /// [adopted](crate::Session::adopt).
    pub fn refresh_only() -> Self {
        Self(GrantKind::RefreshOnly)
    }

    /// Returns whether the client has to say who it is.
    pub(super) fn needs_client(&self) -> bool {
        !matches!(self.0, GrantKind::JwtBearer(_) | GrantKind::ServiceAccount(_) | GrantKind::TokenExchange(_))
    }

    /// Returns whether a person logs in at the server.
    pub(super) fn is_by_person(&self) -> bool {
        matches!(self.0, GrantKind::AuthorizationCode(_) | GrantKind::DeviceCode(_))
    }
}

impl Grant {
    /// Returns the error of a login whose person has done their part. What would come again is no
    /// reason to ask them again and again: another login is theirs to begin.
    pub(super) fn failed_after_login(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::BadAnswer | ErrorKind::Configuration if self.is_by_person() => error.of_person(),
            _ => error,
        }
    }
}

type Opener = dyn Fn(&str) -> io::Result<()> + Send + Sync;

/// A person logs in in a browser on this machine: authorization code with PKCE (RFC 6749 §4.1,
/// RFC 7636, RFC 8252). The server sends the browser back to a port of this machine, where the
/// login waits for it. If the server takes pushed requests (RFC 9126), the request is pushed. An ID
/// token is verified (`OpenID` Connect Core 1.0 §3.1.3.7).
///
/// They have less than the time-out of a login:
/// [`Policy::login_timeout`](crate::Policy::login_timeout), which is 30 s unless it is set. If that
/// passes, or if a browser comes with something else than the answer to this login, the login fails
/// with [`ErrorKind::LoginUnavailable`], and is not tried again by itself: `session.login()` opens
/// the browser again.
///
/// ```
/// # fn main() -> Result<(), jwt_refresh::Error> {
/// use std::process::Command;
/// use std::time::Duration;
///
/// use jwt_refresh::oauth::{AuthorizationCode, OAuth};
/// use jwt_refresh::{ClientAuth, Policy, Session};
///
/// let grant = AuthorizationCode::new(|url| Command::new("xdg-open").arg(url).spawn().map(drop));
/// let login = OAuth::builder("https://id.example", grant)
///     .client_auth(ClientAuth::public("cli"))
///     .scope("openid offline_access")
///     .build()?;
/// let policy = Policy::default().login_timeout(Duration::from_secs(600));
/// let session = Session::builder(login).policy(policy).build();
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AuthorizationCode {
    open: Arc<Opener>,
    pub(super) redirect_uri: String,
}

impl AuthorizationCode {
    /// Calls `open` with the URL at which the person logs in, to open a browser there or to show
    /// it. It returns at once, and is called anew for each login.
    ///
    /// If it returns an error, such as that the browser is not installed, the login fails with
    /// [`ErrorKind::LoginUnavailable`].
    pub fn new(open: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { open: Arc::new(open), redirect_uri: "http://127.0.0.1/callback".to_owned() }
    }

    /// Sets the redirect URI that the client has at the server. The default is
    /// `http://127.0.0.1/callback`. Without a port, each login has a free one, which servers have
    /// to allow (RFC 8252 §7.3); for one that does not, write the port.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = uri.into();
        self
    }

    pub(super) fn open(&self, url: &str) -> Result<(), Error> {
        (self.open)(url).map_err(|error| {
            let error = Error::new(ErrorKind::LoginUnavailable, "the browser cannot be opened").caused_by(error);
            error.advising("install it, or show the URL to the person")
        })
    }
}

impl From<AuthorizationCode> for Grant {
    fn from(grant: AuthorizationCode) -> Self {
        Self(GrantKind::AuthorizationCode(grant))
    }
}

impl fmt::Debug for AuthorizationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationCode").field("redirect_uri", &self.redirect_uri).finish_non_exhaustive()
    }
}

impl fmt::Debug for GrantKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthorizationCode(grant) => grant.fmt(f),
            Self::ClientCredentials => f.write_str("ClientCredentials"),
            Self::DeviceCode(_) => f.write_str("DeviceCode"),
            Self::JwtBearer(assertion) => f.debug_tuple("JwtBearer").field(assertion).finish(),
            Self::ServiceAccount(account) => account.fmt(f),
            Self::TokenExchange(exchange) => exchange.fmt(f),
            Self::RefreshOnly => f.write_str("RefreshOnly"),
        }
    }
}

/// One token in exchange for another (RFC 8693): by default with the rights of its subject, which
/// is impersonation; with an [actor](Self::actor) on behalf of its subject, which is delegation.
/// The tokens are read for each login, and never kept. The client need not authenticate.
///
/// ```
/// # fn main() -> Result<(), jwt_refresh::Error> {
/// use jwt_refresh::SecretSource;
/// use jwt_refresh::oauth::{OAuth, TokenExchange, TokenType};
///
/// let workload = SecretSource::file("/var/run/secrets/tokens/workload");
/// let api = OAuth::builder("https://sts.example", TokenExchange::new(workload, TokenType::jwt()))
///     .audience("https://api.example")
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TokenExchange {
    pub(super) subject: (SecretSource, TokenType),
    pub(super) actor: Option<(SecretSource, TokenType)>,
    pub(super) requested: Option<TokenType>,
}

impl TokenExchange {
    /// Exchanges this token (`subject_token`, RFC 8693 §2.1).
    pub fn new(subject: impl Into<SecretSource>, subject_type: TokenType) -> Self {
        Self { subject: (subject.into(), subject_type), actor: None, requested: None }
    }

    /// Acts for the subject as this party (`actor_token`).
    pub fn actor(mut self, actor: impl Into<SecretSource>, actor_type: TokenType) -> Self {
        self.actor = Some((actor.into(), actor_type));
        self
    }

    /// Asks for a token of this type (`requested_token_type`). By default the server chooses.
    pub fn requested_type(mut self, requested: TokenType) -> Self {
        self.requested = Some(requested);
        self
    }
}

impl From<TokenExchange> for Grant {
    fn from(exchange: TokenExchange) -> Self {
        Self(GrantKind::TokenExchange(Box::new(exchange)))
    }
}

/// What a token in a [`TokenExchange`] is (RFC 8693 §3).
#[derive(Clone, PartialEq, Eq)]
pub struct TokenType(String);

impl TokenType {
    /// An access token of OAuth 2.0.
    pub fn access_token() -> Self {
        Self::registered("access_token")
    }

    /// An ID token of `OpenID` Connect.
    pub fn id_token() -> Self {
        Self::registered("id_token")
    }

    /// Any other JWT.
    pub fn jwt() -> Self {
        Self::registered("jwt")
    }

    /// A type by its URI, such as `urn:ietf:params:oauth:token-type:saml2`.
    pub fn uri(uri: impl Into<String>) -> Self {
        Self(uri.into())
    }

    fn registered(name: &str) -> Self {
        Self(format!("urn:ietf:params:oauth:token-type:{name}"))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
