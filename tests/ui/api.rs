//! What the methods in `pass` use: a session without a server, and an API that rejects the first
//! token.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jwt_refresh::{AccessToken, Authenticator, Error, Session, Tokens, Unauthorized};

pub(super) type Result<T, E = ApiError> = std::result::Result<T, E>;

/// Logs in without a server.
pub(super) struct Issuer;

impl Authenticator for Issuer {
    async fn login(&self) -> Result<Tokens, Error> {
        std::future::ready(Tokens::new("token")).await
    }
}

/// A session that has its first token.
pub(super) async fn session() -> Session {
    let session = Session::new(Issuer);
    session.token().await.expect("a login");
    session
}

/// The API. Clones count their calls together.
#[derive(Clone, Default)]
pub(super) struct Server(Arc<AtomicU64>);

impl Server {
    /// Returns the number of the call, or a 401 if the token is the first one.
    pub(super) fn call(&self, token: &AccessToken) -> Result<u64> {
        let calls = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        if token.generation() > 1 { Ok(calls) } else { Err(ApiError::Status(401)) }
    }
}

/// An error type of the user's own.
#[derive(Debug)]
pub(super) enum ApiError {
    Auth(Error),
    Status(u16),
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auth(error) => error.fmt(f),
            Self::Status(status) => write!(f, "status {status}"),
        }
    }
}

impl std::error::Error for ApiError {}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Auth(error)
    }
}

impl Unauthorized for ApiError {
    fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Status(401))
    }
}

pub(super) const fn assert_send<T: Send>(value: T) -> T {
    value
}
