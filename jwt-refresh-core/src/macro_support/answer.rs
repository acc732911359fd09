//! Tells a result that is a 401 from every other result, for `#[refresh_token(retry)]`.
//!
//! The type of the result is known only to the compiler, which chooses how to look at it by
//! *deref-based specialization*: it looks for a method of a type before it looks for one of the
//! target of its [`Deref`]. Each type below has a method `is_rejection` for values or errors that
//! meet a bound, and dereferences to a type whose bound is another one. Where a bound is not met,
//! the method does not exist, and the compiler goes on to the next type. Errors are asked with the
//! name of the annotated method.
//!
//! - values: [`KnownValue`], then [`OtherValue`];
//! - errors: [`KnownError`], [`ErrorWithSources`], [`ErrorReference`], [`SendErrorReference`], then
//!   [`UnknownError`].

use std::error::Error as StdError;
use std::ops::Deref;
use std::panic::Location;

use super::output::CarryError;
use super::unauthorized::{Unauthorized, known_in_chain};
use super::unknown_error::report;

/// The value or the error of a result. The other one is empty, and not a rejection.
#[derive(Debug)]
pub struct Answer<'a, T, E> {
    pub value: KnownValue<'a, T>,
    pub error: KnownError<'a, E>,
}

/// Returns the value or the error of `result`, so that its `is_rejection` can be called.
pub fn answer<R: CarryError>(result: &R) -> Answer<'_, R::Value, R::Failure> {
    of_either(result.as_result())
}

/// Does the same where the error is a type parameter.
pub fn answer_generic<T, E>(result: &Result<T, E>) -> Answer<'_, T, E> {
    of_either(result.as_ref())
}

fn of_either<'a, T, E>(result: Result<&'a T, &'a E>) -> Answer<'a, T, E> {
    let (value, error) = match result {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error)),
    };
    let error = KnownError(ErrorWithSources(ErrorReference(SendErrorReference(UnknownError(error)))));
    Answer { value: KnownValue(OtherValue(value)), error }
}

/// A value that implements [`Unauthorized`], such as a response.
#[derive(Debug)]
pub struct KnownValue<'a, T>(OtherValue<'a, T>);

/// Any other value. It is never a rejection.
#[derive(Debug)]
pub struct OtherValue<'a, T>(Option<&'a T>);

/// An error that implements [`Unauthorized`].
#[derive(Debug)]
pub struct KnownError<'a, E>(ErrorWithSources<'a, E>);

/// An error that implements [`std::error::Error`], and so has sources.
#[derive(Debug)]
pub struct ErrorWithSources<'a, E>(ErrorReference<'a, E>);

/// An error that refers to one that implements [`std::error::Error`]: `Box<dyn Error>`.
#[derive(Debug)]
pub struct ErrorReference<'a, E>(SendErrorReference<'a, E>);

/// The same for `Box<dyn Error + Send + Sync>`, `anyhow::Error` and `eyre::Report`.
#[derive(Debug)]
pub struct SendErrorReference<'a, E>(UnknownError<'a, E>);

/// Any other error. It would have to implement [`Unauthorized`]: the compiler's error says so in
/// the words of that trait.
#[derive(Debug)]
pub struct UnknownError<'a, E>(Option<&'a E>);

impl<T: Unauthorized> KnownValue<'_, T> {
    pub fn is_rejection(&self) -> bool {
        self.0.0.is_some_and(T::is_unauthorized)
    }
}

impl<T> OtherValue<'_, T> {
    #[expect(clippy::unused_self, reason = "it stands in for the method of `KnownValue`")]
    pub fn is_rejection(&self) -> bool {
        false
    }
}

impl<E: Unauthorized> KnownError<'_, E> {
    pub fn is_rejection(&self, _: &'static str) -> bool {
        self.0.0.0.0.0.is_some_and(E::is_unauthorized)
    }
}

impl<E: StdError + 'static> ErrorWithSources<'_, E> {
    #[track_caller]
    pub fn is_rejection(&self, method: &'static str) -> bool {
        search::<E>(self.0.0.0.0.map(|error| error as _), method)
    }
}

impl<E: AsRef<dyn StdError + 'static>> ErrorReference<'_, E> {
    #[track_caller]
    pub fn is_rejection(&self, method: &'static str) -> bool {
        search::<E>(self.0.0.0.map(AsRef::as_ref), method)
    }
}

impl<E: AsRef<dyn StdError + Send + Sync + 'static>> SendErrorReference<'_, E> {
    #[track_caller]
    pub fn is_rejection(&self, method: &'static str) -> bool {
        search::<E>(self.0.0.map(|error| error.as_ref() as _), method)
    }
}

impl<E> UnknownError<'_, E> {
    pub fn is_rejection(&self, _: &'static str) -> bool
    where
        E: Unauthorized,
    {
        self.0.is_some_and(E::is_unauthorized)
    }
}

/// Searches the chain of `error`, which is or refers to an `E`.
#[track_caller]
fn search<E>(error: Option<&(dyn StdError + 'static)>, method: &'static str) -> bool {
    let Some(error) = error else { return false };
    known_in_chain(error).unwrap_or_else(|| {
        report::<E>(method, Location::caller());
        false
    })
}

impl<'a, T> Deref for KnownValue<'a, T> {
    type Target = OtherValue<'a, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, E> Deref for KnownError<'a, E> {
    type Target = ErrorWithSources<'a, E>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, E> Deref for ErrorWithSources<'a, E> {
    type Target = ErrorReference<'a, E>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, E> Deref for ErrorReference<'a, E> {
    type Target = SendErrorReference<'a, E>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, E> Deref for SendErrorReference<'a, E> {
    type Target = UnknownError<'a, E>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
