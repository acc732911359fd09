//! Which errors and responses are a 401, for `#[refresh_token(retry)]`.

use std::error::Error as StdError;

use http::StatusCode;

use super::shown_status::shows_401;
use crate::error::{Error, ErrorKind};
use crate::send::ResponseHead as _;
use crate::send::answer_head::{AnswerHead, TokenVerdict};

/// An error or a response that can tell whether the access token was rejected.
/// `#[refresh_token(retry)]` asks it.
///
/// An error type of your own that contains the status needs three lines:
///
/// ```
/// # enum ApiError { Status(u16), Other }
/// # use jwt_refresh::Unauthorized;
/// impl Unauthorized for ApiError {
///     fn is_unauthorized(&self) -> bool {
///         matches!(self, Self::Status(401))
///     }
/// }
/// ```
///
/// `reqwest::Error`, `reqwest::Response`, `ureq::Error` and `http::Response` implement this trait.
/// Errors that implement [`std::error::Error`] but not this trait are searched along their
/// [`source`](std::error::Error::source) chain for a `reqwest::Error` or `ureq::Error`. So are
/// `Box<dyn Error>`, `anyhow::Error` and `eyre::Report`. An error with `#[error(transparent)]` of
/// `thiserror` hides the one in it from this search, and is known by its text, which begins as that
/// of the client does. The first time that a method returns an error in which the search finds
/// nothing that it knows, a debug event of `tracing` says so. An error that implements neither
/// trait does not compile with `retry`.
///
/// The search does not find an error of your own in another one, whether or not it implements this
/// trait. A function does:
///
/// ```
/// # use std::{error::Error, fmt};
/// # use jwt_refresh::Unauthorized;
/// # #[derive(Debug)]
/// # struct ApiError(u16);
/// # impl Unauthorized for ApiError {
/// #     fn is_unauthorized(&self) -> bool { self.0 == 401 }
/// # }
/// # impl fmt::Display for ApiError {
/// #     fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result { Ok(()) }
/// # }
/// # impl Error for ApiError {}
/// // With `#[refresh_token(retry_if = is_401)]`:
/// fn is_401(error: &Box<dyn Error + Send + Sync>) -> bool {
///     error.downcast_ref::<ApiError>().is_some_and(Unauthorized::is_unauthorized)
/// }
/// # assert!(is_401(&ApiError(401).into()));
/// ```
///
/// `dyn Error` implements this trait by that search, so an implementation can refine it:
///
/// ```
/// # use std::{error::Error, fmt};
/// # #[derive(Debug)]
/// # enum ApiError { SessionExpired, Other(Box<dyn Error + Send + Sync>) }
/// # impl fmt::Display for ApiError {
/// #     fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result { Ok(()) }
/// # }
/// # impl Error for ApiError {
/// #     fn source(&self) -> Option<&(dyn Error + 'static)> {
/// #         match self {
/// #             Self::SessionExpired => None,
/// #             Self::Other(error) => Some(&**error),
/// #         }
/// #     }
/// # }
/// # use jwt_refresh::Unauthorized;
/// impl Unauthorized for ApiError {
///     fn is_unauthorized(&self) -> bool {
///         matches!(self, Self::SessionExpired) || <dyn Error>::is_unauthorized(self)
///     }
/// }
/// # let ours = jwt_refresh::Error::denied("401");
/// # assert!(ApiError::SessionExpired.is_unauthorized());
/// # assert!(!ApiError::Other(ours.into()).is_unauthorized());
/// ```
///
/// Generated clients often have an error without a `source`, such as `progenitor_client::Error`,
/// but with a method for the status. A function asks it: `#[refresh_token(retry_if = is_401)]`,
/// with
///
/// ```
/// # mod progenitor_client {
/// #     pub struct Error<E>(pub E);
/// #     impl<E> Error<E> { pub fn status(&self) -> Option<http::StatusCode> { None } }
/// # }
/// fn is_401<E>(error: &progenitor_client::Error<E>) -> bool {
///     error.status() == Some(http::StatusCode::UNAUTHORIZED)
/// }
/// # assert!(!is_401(&progenitor_client::Error(())));
/// ```
///
/// Only a 401 is a rejected token. A 403 is not, in particular not one with `insufficient_scope`: a
/// new token would not change the answer (RFC 6750 §3.1). Nor is a 401 with that challenge, or with
/// `insufficient_user_authentication` (RFC 9470 §3): a response shows that, and an error made from
/// it by `error_for_status` does not, because it has no headers.
#[diagnostic::on_unimplemented(
    message = "`retry` has to know a 401 when it sees one, and `{Self}` does not tell",
    label = "does not say whether it is a 401",
    note = "write `impl jwt_refresh::Unauthorized for {Self}`, or name a function that can tell: `retry_if = <path>`",
    note = "an error that implements `std::error::Error` needs neither, if there is a `reqwest::Error` among its `source()`s"
)]
pub trait Unauthorized {
    /// Returns whether the server answered 401, which means that the token of the request is not
    /// valid, unless a challenge says otherwise.
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
        is_rejection(self.head())
    }
}

#[cfg(all(feature = "reqwest", feature = "blocking"))]
impl Unauthorized for reqwest::blocking::Response {
    fn is_unauthorized(&self) -> bool {
        is_rejection(self.head())
    }
}

#[cfg(feature = "ureq")]
impl Unauthorized for ureq::Error {
    fn is_unauthorized(&self) -> bool {
        matches!(self, Self::StatusCode(401))
    }
}

impl<B> Unauthorized for http::Response<B> {
    fn is_unauthorized(&self) -> bool {
        is_rejection(self.head())
    }
}

/// Returns whether an answer says that the token is not valid, and not that its proof is not taken.
fn is_rejection(head: AnswerHead<'_>) -> bool {
    head.verdict() == TokenVerdict::Rejected && head.proof_fault().is_none()
}

/// An error of a session that could not renew its token is not a rejected access token, whatever
/// its status. An error that was made from an answer of the API is one, also if `?` made it from a
/// `reqwest::Error`.
impl Unauthorized for Error {
    fn is_unauthorized(&self) -> bool {
        match self.kind() {
            ErrorKind::Denied => self.status() == Some(StatusCode::UNAUTHORIZED),
            ErrorKind::Other => self.source().is_some_and(Unauthorized::is_unauthorized),
            _ => false,
        }
    }
}

/// Searches the chain from this error along its sources.
impl Unauthorized for dyn StdError + 'static {
    fn is_unauthorized(&self) -> bool {
        known_in_chain(self).unwrap_or(false)
    }
}

/// Returns whether the first error is a 401 that can tell, in the chain from `error` along its
/// sources: that of a client or an [`Error`]. Returns `None` if there is none.
pub(super) fn known_in_chain(error: &(dyn StdError + 'static)) -> Option<bool> {
    let mut next = Some(error);
    while let Some(error) = next {
        #[cfg(feature = "reqwest")]
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            return Some(error.is_unauthorized());
        }
        #[cfg(feature = "ureq")]
        if let Some(error) = error.downcast_ref::<ureq::Error>() {
            return Some(error.is_unauthorized());
        }
        if let Some(error) = error.downcast_ref::<Error>() {
            return Some(error.is_unauthorized());
        }
        if shows_401(error) {
            return Some(true);
        }
        next = error.source();
    }
    None
}
