//! The return types of annotated methods. They must be able to hold the error of a failed refresh.

use crate::error::Error;

/// A return type that can hold the error of a failed refresh.
#[diagnostic::on_unimplemented(
    message = "a method with `#[refresh_token]` must be able to return the error of a failed refresh, and `{Self}` cannot",
    label = "cannot carry a `jwt_refresh::Error`",
    note = "return a `Result<_, E>` whose error has `impl From<jwt_refresh::Error> for E`; `Box<dyn Error>` and \
            `anyhow::Error` have it already",
    note = "a function that returns a future ends in `async move {{ … }}` or `Box::pin(async move {{ … }})`"
)]
pub trait CarryError {
    /// What it holds after a success.
    type Value;
    /// What it holds after a failure.
    type Failure;

    /// Returns `error` as a value of this return type.
    fn carry(error: Error) -> Self;

    /// Returns the value or the error that it holds.
    fn as_result(&self) -> Result<&Self::Value, &Self::Failure>;
}

// Without this attribute the compiler reports the missing `E: From<Error>`, and does not show the
// advice above.
#[diagnostic::do_not_recommend]
impl<T, E: From<Error>> CarryError for Result<T, E> {
    type Value = T;
    type Failure = E;

    #[inline]
    fn carry(error: Error) -> Self {
        Err(error.into())
    }

    #[inline]
    fn as_result(&self) -> Result<&T, &E> {
        self.as_ref()
    }
}

/// An error that is a type parameter.
#[derive(Debug)]
pub struct GenericError;

impl GenericError {
    /// Returns the error of a failed refresh as a value of the method's return type.
    #[inline]
    pub fn carry<T, E: From<Error>>(error: Error) -> Result<T, E> {
        Err(error.into())
    }
}
