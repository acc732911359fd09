//! Which errors and responses are a 401, for `#[refresh_token(retry)]`.

use std::error::Error as StdError;

use http::StatusCode;

use crate::error::{Error, ErrorKind};

/// An error or a response that can tell whether the access token was rejected.
/// `#[refresh_token(retry)]` asks it.
///
/// An error type of your own that contains the status needs three lines:
///
/// ```
/// # enum ApiError { Status(u16), Other }
/// # use jwt_refresh_core::Unauthorized;
/// impl Unauthorized for ApiError {
///     fn is_unauthorized(&self) -> bool {
///         matches!(self, Self::Status(401))
///     }
/// }
/// ```
///
/// `reqwest::Error`, `reqwest::Response` and `http::Response` implement this trait. Errors that
/// implement [`std::error::Error`] but not this trait are searched along their
/// [`source`](std::error::Error::source) chain for a `reqwest::Error`. So are `Box<dyn Error>`,
/// `anyhow::Error` and `eyre::Report`.
///
/// Only a 401 is a rejected token. A 403 is not, in particular not one with `insufficient_scope`: a
/// new token would not change the answer (RFC 6750 §3.1).
#[diagnostic::on_unimplemented(
    message = "`retry` has to know a 401 when it sees one, and `{Self}` does not tell",
    label = "does not say whether it is a 401",
    note = "write `impl jwt_refresh::Unauthorized for {Self}`, or name a function that can tell: `retry_if = <path>`",
    note = "an error with a `reqwest::Error` among its `source()`s needs neither, if it implements `std::error::Error`"
)]
pub trait Unauthorized {
    /// Returns whether the server answered 401, which means that the token of the request is not
    /// valid.
    fn is_unauthorized(&self) -> bool;
}

#[cfg(feature = "reqwest")]
impl Unauthorized for reqwest::Error {
    fn is_unauthorized(&self) -> bool {
        self.status() == Some(StatusCode::UNAUTHORIZED)
    }
}

#[cfg(feature = "reqwest")]
impl Unauthorized for reqwest::Response {
    fn is_unauthorized(&self) -> bool {
        self.status() == StatusCode::UNAUTHORIZED
    }
}

#[cfg(all(feature = "reqwest", feature = "blocking"))]
impl Unauthorized for reqwest::blocking::Response {
    fn is_unauthorized(&self) -> bool {
        self.status() == StatusCode::UNAUTHORIZED
    }
}

impl<B> Unauthorized for http::Response<B> {
    fn is_unauthorized(&self) -> bool {
        self.status() == StatusCode::UNAUTHORIZED
    }
}

/// An error of a session that could not renew its token is not a rejected access token, whatever
/// its status. An error that was made from an answer of the API is one, also if `?` made it from a
/// `reqwest::Error`.
impl Unauthorized for Error {
    fn is_unauthorized(&self) -> bool {
        match self.kind() {
            ErrorKind::Denied => self.status() == Some(StatusCode::UNAUTHORIZED),
            ErrorKind::Other => self.source().is_some_and(chain_is_unauthorized),
            _ => false,
        }
    }
}

/// Returns whether `error` is a 401: whether the first `reqwest::Error` or [`Error`] is one, in the
/// chain from `error` along its sources.
pub(super) fn chain_is_unauthorized(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        #[cfg(feature = "reqwest")]
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            return error.is_unauthorized();
        }
        if let Some(error) = error.downcast_ref::<Error>() {
            return error.is_unauthorized();
        }
        next = error.source();
    }
    false
}
