//! Return types of methods, which must be able to hold the error of a failed refresh.

use crate::error::Error;

/// Carries a refresh error out of a method in the method's own return type.
#[inline]
pub fn fail<R: CarryError>(error: Error) -> R {
    R::carry(error)
}

/// Return types that can hold a refresh error.
#[diagnostic::on_unimplemented(
    message = "a method with `#[refresh_token]` must be able to return the error of a failed refresh, and `{Self}` cannot",
    label = "cannot carry a `jwt_refresh::Error`",
    note = "return a `Result<_, E>` whose error has `impl From<jwt_refresh::Error> for E`; `Box<dyn Error>` and \
            `anyhow::Error` have it already"
)]
pub trait CarryError {
    /// What it holds when all went well.
    type Value;
    /// What it holds otherwise.
    type Failure;

    /// The error as a value of this return type.
    fn carry(error: Error) -> Self;

    /// Which of the two it holds.
    fn sides(&self) -> Result<&Self::Value, &Self::Failure>;
}

// Without this the compiler reports `E: From<Error>`, and the advice above is never read.
#[diagnostic::do_not_recommend]
impl<T, E: From<Error>> CarryError for Result<T, E> {
    type Value = T;
    type Failure = E;

    #[inline]
    fn carry(error: Error) -> Self {
        Err(error.into())
    }

    #[inline]
    fn sides(&self) -> Result<&T, &E> {
        self.as_ref()
    }
}
