//! What the macro's output calls, under the name `__private`. Not part of the public interface: it changes together with the
//! macro, which pins it.

mod answer;
pub mod blocking;
mod output;
mod rerun;
mod unused_lease;

use crate::provider::{Renewal, TokenProvider};

pub use answer::{Unauthorized, answer};
pub use output::{CarryError, fail};
pub use rerun::{Keep, Kept, again, again_from, rejected, rejected_again, retry_if};
pub use unused_lease::{UnusedToken, unused_lease};

/// Makes sure that the token is fresh, for a method that does without it: `None` if it is.
#[inline]
pub fn check<P: TokenProvider<Token = T> + ?Sized, T: Send + 'static>(provider: &P) -> Option<Renewal<UnusedToken<T>>> {
    if provider.is_ready() { None } else { Some(renew(provider)) }
}

#[cold]
fn renew<P: TokenProvider<Token = T> + ?Sized, T: Send + 'static>(provider: &P) -> Renewal<UnusedToken<T>> {
    let renewal = provider.fresh();
    Box::pin(async move { renewal.await.map(|token| unused_lease(&token)) })
}

/// The fresh token, for a method that binds it, or the wait for it.
#[inline]
pub fn token<P: TokenProvider<Token = T> + ?Sized, T>(provider: &P) -> Result<T, Renewal<T>> {
    provider.ready().ok_or_else(|| provider.fresh())
}
