//! How tokens are got: a login, and a refresh. Written by the user in a dozen lines, or configured ([`HttpAuthenticator`]).
//! An authenticator knows the server and nothing of locks, clocks or stores: the session calls it once at a time.

mod dynamic;
#[cfg(feature = "reqwest")]
mod http;

use std::sync::Arc;

pub(crate) use self::dynamic::DynAuthenticator;
#[cfg(feature = "reqwest")]
pub use self::http::{HttpAuthenticator, HttpAuthenticatorBuilder};

use crate::error::Error;
use crate::token::{RefreshToken, Tokens};

/// Gets tokens from a server. The session sees to it that at most one of these calls runs at a time, in a task of its own,
/// under a time-out.
///
/// ```
/// use jwt_refresh_core::{Authenticator, Error, Secret, Tokens};
///
/// struct KeyAndSecret { http: reqwest::Client, host: String, key: String, secret: Secret }
///
/// impl Authenticator for KeyAndSecret {
///     async fn login(&self) -> Result<Tokens, Error> {
///         let request = self.http.post(format!("{}/token", self.host)).basic_auth(&self.key, Some(self.secret.expose()));
///         let answer = request.send().await?.error_for_status()?;
///         Tokens::from_json(&answer.bytes().await?)
///     }
/// }
/// ```
///
/// # Errors decide what happens next
///
/// [`Error::denied`] (a 400, 401 or 403, if a `reqwest::Error` is passed on with `?`) is final: a denied refresh is followed
/// by one login, a denied login ends in [`ReauthenticationRequired`](crate::ErrorKind::ReauthenticationRequired). All else is
/// transient: the session serves the token it has, and tries again after a pause.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an `Authenticator`",
    note = "implement `async fn login(&self) -> Result<Tokens, jwt_refresh::Error>`, or configure a `HttpAuthenticator`"
)]
pub trait Authenticator: Send + Sync + 'static {
    /// Logs in with whatever the authenticator has: a password, a key and its secret.
    ///
    /// One that cannot log in by itself answers [`Error::login_unavailable`].
    fn login(&self) -> impl Future<Output = Result<Tokens, Error>> + Send;

    /// Exchanges a refresh token for new tokens (RFC 6749 §6). Logs in again unless written otherwise.
    ///
    /// Must not try a second time by itself after an answer that did not come: a refresh token that is sent twice can be
    /// taken for a stolen one (RFC 9700 §4.14.2).
    fn refresh(&self, token: &RefreshToken) -> impl Future<Output = Result<Tokens, Error>> + Send {
        let _ = token;
        let login = self.login();
        async move { login.await.map_err(Error::by_login) }
    }

    /// Tells the server that a refresh token is no longer wanted, at logout, and when the account is removed from a pool (RFC 7009).
    /// Does nothing unless written otherwise.
    fn revoke(&self, token: &RefreshToken) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = token;
        async { Ok(()) }
    }
}

impl<T: Authenticator> Authenticator for Arc<T> {
    fn login(&self) -> impl Future<Output = Result<Tokens, Error>> + Send {
        T::login(self)
    }

    fn refresh(&self, token: &RefreshToken) -> impl Future<Output = Result<Tokens, Error>> + Send {
        T::refresh(self, token)
    }

    fn revoke(&self, token: &RefreshToken) -> impl Future<Output = Result<(), Error>> + Send {
        T::revoke(self, token)
    }
}
