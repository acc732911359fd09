//! Telling a 401 from every other outcome, for `#[refresh_token(retry)]`.

use std::error::Error as StdError;
use std::ops::Deref;

use http::StatusCode;

use super::output::CarryError;
use crate::error::{Error, ErrorKind};

/// An error, or an answer, that can say that the access token was rejected. `#[refresh_token(retry)]` asks it.
///
/// An error type of your own that has the status in it needs three lines:
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
/// `reqwest::Error`, `reqwest::Response` and `http::Response` have it. Errors that implement [`std::error::Error`] and do not
/// have it are searched along their [`source`](std::error::Error::source) chain for a `reqwest::Error`; so are
/// `Box<dyn Error>`, `anyhow::Error` and `eyre::Report`.
///
/// Only a 401 is a rejected token. A 403, `insufficient_scope` in particular, is not: a new token would be as good or as bad
/// as the old one (RFC 6750 §3.1).
#[diagnostic::on_unimplemented(
    message = "`retry` has to know a 401 when it sees one, and `{Self}` does not tell",
    label = "does not say whether it is a 401",
    note = "write `impl jwt_refresh::Unauthorized for {Self}`, or name a function that can tell: `retry_if = <path>`",
    note = "an error with a `reqwest::Error` among its `source()`s needs neither, if it implements `std::error::Error`"
)]
pub trait Unauthorized {
    /// Whether the server answered 401, that is: the token that the request was sent with is no good.
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

/// That a session could not renew its token is no rejected access token, whatever status it ended with. An error made of an
/// answer of the API is one, be it by `?` on a `reqwest::Error`.
impl Unauthorized for Error {
    fn is_unauthorized(&self) -> bool {
        match self.kind() {
            ErrorKind::Denied => self.status() == Some(StatusCode::UNAUTHORIZED),
            ErrorKind::Other => self.source().is_some_and(chain_is_unauthorized),
            _ => false,
        }
    }
}

/// Looks for a 401 from the error down to its first cause.
fn chain_is_unauthorized(error: &(dyn StdError + 'static)) -> bool {
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

/// The two sides of a result, each of which is asked in the best way it knows.
///
/// "Best" is for the compiler to find out, which looks for a method in a type before it looks behind its [`Deref`]. So the
/// ways are one behind the other: a type whose bound does not hold has no such method, and the next has its turn.
#[derive(Debug)]
pub struct Answer<'a, T, E> {
    pub value: Value<'a, T>,
    pub error: Failure<'a, E>,
}

/// Looks at the result of a method.
pub fn answer<R: CarryError>(result: &R) -> Answer<'_, R::Value, R::Failure> {
    let (value, error) = match result.sides() {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error)),
    };
    Answer { value: Value(Indifferent(value)), error: Failure(Chain(Reference(SendReference(Unknown(error))))) }
}

/// A value that is [`Unauthorized`] itself, such as a response.
#[derive(Debug)]
pub struct Value<'a, T>(Indifferent<'a, T>);

/// Any other value, which is none.
#[derive(Debug)]
pub struct Indifferent<'a, T>(Option<&'a T>);

/// An error that is [`Unauthorized`] itself.
#[derive(Debug)]
pub struct Failure<'a, E>(Chain<'a, E>);

/// One that has sources.
#[derive(Debug)]
pub struct Chain<'a, E>(Reference<'a, E>);

/// One that holds such a one: `Box<dyn Error>`.
#[derive(Debug)]
pub struct Reference<'a, E>(SendReference<'a, E>);

/// The same for `Box<dyn Error + Send + Sync>`, `anyhow::Error` and `eyre::Report`.
#[derive(Debug)]
pub struct SendReference<'a, E>(Unknown<'a, E>);

/// Any other error. It should have been [`Unauthorized`], which the compiler says in our words.
#[derive(Debug)]
pub struct Unknown<'a, E>(Option<&'a E>);

impl<T: Unauthorized> Value<'_, T> {
    pub fn is_rejection(&self) -> bool {
        self.0.0.is_some_and(T::is_unauthorized)
    }
}

impl<T> Indifferent<'_, T> {
    #[expect(clippy::unused_self, reason = "it stands in for the method of `Value`")]
    pub fn is_rejection(&self) -> bool {
        false
    }
}

impl<E: Unauthorized> Failure<'_, E> {
    pub fn is_rejection(&self) -> bool {
        self.0.0.0.0.0.is_some_and(E::is_unauthorized)
    }
}

impl<E: StdError + 'static> Chain<'_, E> {
    pub fn is_rejection(&self) -> bool {
        self.0.0.0.0.is_some_and(|error| chain_is_unauthorized(error))
    }
}

impl<E: AsRef<dyn StdError + 'static>> Reference<'_, E> {
    pub fn is_rejection(&self) -> bool {
        self.0.0.0.is_some_and(|error| chain_is_unauthorized(error.as_ref()))
    }
}

impl<E: AsRef<dyn StdError + Send + Sync + 'static>> SendReference<'_, E> {
    pub fn is_rejection(&self) -> bool {
        self.0.0.is_some_and(|error| chain_is_unauthorized(error.as_ref()))
    }
}

impl<E> Unknown<'_, E> {
    pub fn is_rejection(&self) -> bool
    where
        E: Unauthorized,
    {
        self.0.is_some_and(E::is_unauthorized)
    }
}

impl<'a, T> Deref for Value<'a, T> {
    type Target = Indifferent<'a, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, E> Deref for Failure<'a, E> {
    type Target = Chain<'a, E>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, E> Deref for Chain<'a, E> {
    type Target = Reference<'a, E>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, E> Deref for Reference<'a, E> {
    type Target = SendReference<'a, E>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, E> Deref for SendReference<'a, E> {
    type Target = Unknown<'a, E>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
