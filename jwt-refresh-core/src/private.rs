//! What the macro's output calls. Not part of the public interface: it changes together with the macro, which pins it.

pub mod blocking {
    //! For methods that are not async.
    pub use crate::blocking::{check, rejected, token};
}

use crate::{Error, Renewal, TokenProvider};

/// Makes sure that the token is fresh, for a method that does not look at it: `None` if it is.
#[inline]
pub fn check<P: TokenProvider + ?Sized>(provider: &P) -> Option<Renewal<()>> {
    if provider.is_ready() { None } else { Some(renew(provider)) }
}

#[cold]
fn renew<P: TokenProvider + ?Sized>(provider: &P) -> Renewal<()> {
    let renewal = provider.fresh();
    Box::pin(async move { renewal.await.map(drop) })
}

/// The fresh token, for a method that binds it, or the wait for it.
#[inline]
pub fn token<P: TokenProvider<Token = T> + ?Sized, T>(provider: &P) -> Result<T, Renewal<T>> {
    provider.ready().ok_or_else(|| provider.fresh())
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
    /// The error as a value of this return type.
    fn carry(error: Error) -> Self;
}

// Without this the compiler reports `E: From<Error>`, and the advice above is never read.
#[diagnostic::do_not_recommend]
impl<T, E: From<Error>> CarryError for Result<T, E> {
    #[inline]
    fn carry(error: Error) -> Self {
        Err(error.into())
    }
}
