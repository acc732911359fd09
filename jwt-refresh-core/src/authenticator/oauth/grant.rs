//! By which grant a login gets its tokens.

use std::fmt;

use crate::authenticator::http::SecretSource;

/// How a login gets tokens. For a refresh it makes no difference.
#[derive(Clone, Debug)]
pub struct Grant(pub(super) GrantKind);

#[derive(Clone, Debug)]
pub(super) enum GrantKind {
    ClientCredentials,
    JwtBearer(SecretSource),
    TokenExchange(Box<TokenExchange>),
    RefreshOnly,
}

impl Grant {
    /// The client's own credentials (RFC 6749 §4.4). The session logs in again instead of a
    /// refresh, even if the server has issued a refresh token.
    pub fn client_credentials() -> Self {
        Self(GrantKind::ClientCredentials)
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
        !matches!(self.0, GrantKind::JwtBearer(_) | GrantKind::TokenExchange(_))
    }
}

/// One token in exchange for another (RFC 8693): by default with the rights of its subject, which
/// is impersonation; with an [actor](Self::actor) on behalf of its subject, which is delegation.
/// The tokens are read for each login, and never kept. The client need not authenticate.
///
/// ```
/// # fn main() -> Result<(), jwt_refresh_core::Error> {
/// use jwt_refresh_core::SecretSource;
/// use jwt_refresh_core::oauth::{OAuth, TokenExchange, TokenType};
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
