//! What the macro's output calls. Not part of the public interface: it changes together with the macro, which pins it.

pub mod blocking {
    //! For methods that are not async.
    pub use crate::blocking::{check, rejected, token};
}

use http::StatusCode;

pub use crate::rejection::answer;
pub use crate::spared::Spared;
use crate::{Error, ErrorKind, Renewal, TokenProvider};

/// Makes sure that the token is fresh, for a method that does without it: `None` if it is.
#[inline]
pub fn check<P: TokenProvider<Token = T> + ?Sized, T: Send + 'static>(provider: &P) -> Option<Renewal<Spared<T>>> {
    if provider.is_ready() { None } else { Some(renew(provider)) }
}

#[cold]
fn renew<P: TokenProvider<Token = T> + ?Sized, T: Send + 'static>(provider: &P) -> Renewal<Spared<T>> {
    let renewal = provider.fresh();
    Box::pin(async move { renewal.await.map(|token| spared(&token)) })
}

/// That a method does without the token.
pub fn spared<T>(_: &T) -> Spared<T> {
    Spared::new()
}

/// The fresh token, for a method that binds it, or the wait for it.
#[inline]
pub fn token<P: TokenProvider<Token = T> + ?Sized, T>(provider: &P) -> Result<T, Renewal<T>> {
    provider.ready().ok_or_else(|| provider.fresh())
}

/// A provider, or a reference to one, to be kept until the method has run.
#[derive(Debug)]
pub struct Kept<T>(pub T);

/// What can be cloned is kept as a clone, which borrows nothing. The compiler prefers this `keep` where both apply.
impl<P: TokenProvider + Clone> Kept<&P> {
    pub fn keep(self) -> P {
        self.0.clone()
    }
}

/// All else is kept as it is.
pub trait Keep<T> {
    /// The provider.
    fn keep(self) -> T;
}

impl<T> Keep<T> for Kept<T> {
    fn keep(self) -> T {
        self.0
    }
}

/// A newer token than the one that was rejected.
pub fn rejected<P: TokenProvider<Token = T> + ?Sized, T>(provider: &P, token: &T) -> Renewal<T> {
    provider.rejected(token)
}

/// Tells the provider that the newer one was rejected, too, and the caller.
#[cold]
pub fn rejected_again<P: TokenProvider + ?Sized>(provider: &P, token: &P::Token) -> Error {
    provider.rejected_again(token);
    Error::new(
        ErrorKind::RejectedAsIssued,
        "the access token was rejected with 401, and so was the one that replaced it",
    )
    .answered(StatusCode::UNAUTHORIZED)
}

/// An argument for one run of the body: the other one needs it, too. Takes it by `&mut` so that the run does not borrow it
/// by `&`, which would ask for `Sync`.
#[inline]
pub fn again<T: Again>(argument: &mut T) -> T {
    argument.clone()
}

/// The same for an argument that cannot be had by `&mut`.
#[inline]
pub fn again_from<T: Again>(argument: &T) -> T {
    argument.clone()
}

/// Arguments that can be had twice.
#[diagnostic::on_unimplemented(
    message = "`retry` may run the body twice, and `{Self}` can be had only once",
    label = "not `Clone`",
    note = "derive `Clone` for it, or take it by reference or in an `Arc`, or do without `retry` on this method"
)]
pub trait Again: Clone {}

impl<T: Clone> Again for T {}

/// What `retry_if` says of a result.
#[inline]
pub fn retry_if<R, By>(predicate: impl Predicate<R, By>, result: &R) -> bool {
    predicate.ask(result)
}

/// Functions that look at an error, or at a whole result.
#[diagnostic::on_unimplemented(
    message = "`retry_if` takes a function that looks at the method's error or at its result, and says whether that is a 401",
    label = "not a `fn(&E) -> bool` or `fn(&Result<T, E>) -> bool`"
)]
pub trait Predicate<R, By> {
    /// Whether the body must run again.
    fn ask(self, result: &R) -> bool;
}

/// Marks functions that look at the error.
#[derive(Debug)]
pub struct ByError;

/// Marks functions that look at the result.
#[derive(Debug)]
pub struct ByResult;

#[diagnostic::do_not_recommend]
impl<T, E, F: FnOnce(&E) -> bool> Predicate<Result<T, E>, ByError> for F {
    #[inline]
    fn ask(self, result: &Result<T, E>) -> bool {
        result.as_ref().is_err_and(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T, E, F: FnOnce(&Result<T, E>) -> bool> Predicate<Result<T, E>, ByResult> for F {
    #[inline]
    fn ask(self, result: &Result<T, E>) -> bool {
        self(result)
    }
}

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
