//! What the macro's output uses, under the name `__private`. It is not part of the public
//! interface: it changes together with the macro, whose version `jwt-refresh` pins.

mod answer;
mod blocking;
mod output;
mod predicate;
mod rerun;
mod response;
mod shown_status;
mod unauthorized;
mod unknown_error;
mod unused_lease;

use crate::provider::{Renewal, TokenProvider};
pub use crate::send::vain_retry::VainRetry;

pub use answer::{UnknownError, answer, answer_generic};
pub use blocking::{BlockingGuard, FeatureBlocking};
pub use output::{CarryError, GenericError};
pub use predicate::{UnauthorizedPredicate, UnfitPredicate, retry_if};
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
pub(crate) use rerun::served;
pub use rerun::{Again, BodyRun, Keep, Kept, OtherField, Reused, field, next_run, rejected, rejected_again};
pub use response::response;
pub use unauthorized::Unauthorized;
pub use unused_lease::{UnusedToken, UsedByItsMethod, unused_lease};

/// What the guard of an async method calls first.
#[derive(Debug)]
pub struct AsyncGuard;

impl AsyncGuard {
    /// Makes sure that the token is fresh, for a method that does not use it. Returns `None` if it
    /// is, or else the future that waits for a fresh one.
    #[inline]
    pub fn check<P: TokenProvider<Token = T> + ?Sized, T: Send + 'static>(
        provider: &P,
    ) -> Option<Renewal<UnusedToken<T>>> {
        if provider.is_ready() { None } else { Some(renew(provider)) }
    }

    /// Returns the fresh token for a method that uses it, or else the future that waits for it.
    #[inline]
    pub fn token<P: TokenProvider<Token = T> + ?Sized, T>(provider: &P) -> Result<T, Renewal<T>> {
        provider.ready().ok_or_else(|| provider.fresh())
    }
}

#[cold]
fn renew<P: TokenProvider<Token = T> + ?Sized, T: Send + 'static>(provider: &P) -> Renewal<UnusedToken<T>> {
    let renewal = provider.fresh();
    Box::pin(async move { renewal.await.map(|token| unused_lease(&token)) })
}
