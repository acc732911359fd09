//! Asks the function of `#[refresh_token(retry_if = <path>)]` whether a result is a 401.
//!
//! The function looks at the error or at the whole result. Its type is known only to the compiler,
//! which chooses by *deref-based specialization*, as in `answer`: [`OfError`], then [`OfResult`],
//! then [`UnfitPredicate`]. A generic function fits `OfError`, which then tells what it is generic
//! over.

use std::ops::Deref;

/// Returns the question to `predicate` whether `result` is a 401.
pub fn retry_if<F, R>(predicate: F, result: &R) -> OfError<'_, F, R> {
    OfError(OfResult(UnfitPredicate { predicate, result }))
}

/// A function that looks at the error.
#[derive(Debug)]
pub struct OfError<'a, F, R>(OfResult<'a, F, R>);

/// A function that looks at the result.
#[derive(Debug)]
pub struct OfResult<'a, F, R>(UnfitPredicate<'a, F, R>);

/// A function that looks at something else. The compiler's error about [`UnauthorizedPredicate`]
/// says so.
#[derive(Debug)]
pub struct UnfitPredicate<'a, F, R> {
    predicate: F,
    result: &'a R,
}

impl<T, E, F: Fn(&E) -> bool> OfError<'_, F, Result<T, E>> {
    pub fn is_rejection(&self) -> bool {
        let UnfitPredicate { predicate, result } = &self.0.0;
        result.as_ref().is_err_and(predicate)
    }
}

impl<R, F: Fn(&R) -> bool> OfResult<'_, F, R> {
    pub fn is_rejection(&self) -> bool {
        let UnfitPredicate { predicate, result } = &self.0;
        predicate(result)
    }
}

impl<R, F> UnfitPredicate<'_, F, R> {
    /// Cannot be called, because no type implements [`UnauthorizedPredicate`].
    pub fn is_rejection(&self) -> bool
    where
        F: UnauthorizedPredicate<R>,
    {
        unreachable!("nothing implements `UnauthorizedPredicate`")
    }
}

impl<'a, F, R> Deref for OfError<'a, F, R> {
    type Target = OfResult<'a, F, R>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, F, R> Deref for OfResult<'a, F, R> {
    type Target = UnfitPredicate<'a, F, R>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Implemented by no type. The compiler's error about that is the message to the user.
#[diagnostic::on_unimplemented(
    message = "`retry_if` takes a function that looks at the method's error or at its result, and says whether that is a 401",
    label = "not a `fn(&E) -> bool` or `fn(&Result<T, E>) -> bool`",
    note = "the result of this method is `{R}`"
)]
pub trait UnauthorizedPredicate<R> {}
