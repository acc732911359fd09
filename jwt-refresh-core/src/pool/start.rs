//! What an account of a pool begins with: a login, tokens that were captured elsewhere, or an API
//! key, which is never renewed.

use crate::authenticator::Authenticator;
#[cfg(feature = "reqwest")]
use crate::authenticator::HttpClient;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::renewal::IssuedTokens;
use crate::secret::Secret;
use crate::token::{AccessToken, Tokens};

/// What a user gives an account to begin with.
#[derive(Default)]
pub(super) enum Start {
    #[default]
    LogIn,
    Tokens(Box<Tokens>),
    /// `header` is that of the key, if it is not sent as `Authorization: Bearer …`.
    Key {
        secret: Secret,
        header: Option<String>,
    },
}

/// What an account serves with before its first exchange.
pub(super) enum FirstToken {
    /// Tokens, of which the access token may have expired.
    Issued(Box<IssuedTokens>),
    Key(AccessToken),
    /// None: it never logs in here. Its tokens are supplied by another process of its fleet.
    #[cfg(feature = "redis")]
    Supplied,
}

impl Start {
    /// Returns the account's first token, if it has one without a login. `account` names it in
    /// errors, which repeat no secret.
    pub(super) fn first_token(self, account: &str, policy: &Policy, now: Moment) -> Result<Option<FirstToken>, Error> {
        Ok(Some(match self {
            Self::LogIn => return Ok(None),
            Self::Tokens(tokens) => FirstToken::Issued(Box::new(IssuedTokens::captured(policy, *tokens, now, 0))),
            Self::Key { secret, header } => {
                let key = AccessToken::api_key(&secret, header.as_deref()).map_err(|error| {
                    let what = format!("the account {account:?}: {}", error.what());
                    error.restated(ErrorKind::Configuration, what)
                })?;
                FirstToken::Key(key)
            }
        }))
    }
}

/// The authenticator of an account that has no login.
pub(super) struct NoLogin;

impl Authenticator for NoLogin {
    async fn login(&self) -> Result<Tokens, Error> {
        Err(Error::login_unavailable())
    }

    #[cfg(feature = "reqwest")]
    fn with_client(&self, _: &HttpClient) -> Result<Self, Error> {
        Ok(Self)
    }
}
