//! What the macro's output uses, under the name `__private`. It is not part of the public
//! interface: it changes together with the macro, whose version `jwt-refresh` pins.

mod answer;
pub mod blocking;
mod output;
mod predicate;
mod rerun;
mod unauthorized;
mod unknown_error;
mod unused_lease;

use crate::provider::{Renewal, TokenProvider};

pub use answer::{answer, answer_generic};
pub use output::{CarryError, fail, fail_generic};
pub use predicate::retry_if;
pub use rerun::{Keep, Kept, again, field, rejected, rejected_again, served};
pub use unauthorized::Unauthorized;
pub use unused_lease::{UnusedToken, unused_lease};

/// Makes sure that the token is fresh, for a method that does not use it. Returns `None` if it is,
/// or else the future that waits for a fresh one.
#[inline]
pub fn check<P: TokenProvider<Token = T> + ?Sized, T: Send + 'static>(provider: &P) -> Option<Renewal<UnusedToken<T>>> {
    if provider.is_ready() { None } else { Some(renew(provider)) }
}

#[cold]
fn renew<P: TokenProvider<Token = T> + ?Sized, T: Send + 'static>(provider: &P) -> Renewal<UnusedToken<T>> {
    let renewal = provider.fresh();
    Box::pin(async move { renewal.await.map(|token| unused_lease(&token)) })
}

/// Returns the fresh token for a method that uses it, or else the future that waits for it.
#[inline]
pub fn token<P: TokenProvider<Token = T> + ?Sized, T>(provider: &P) -> Result<T, Renewal<T>> {
    provider.ready().ok_or_else(|| provider.fresh())
}
