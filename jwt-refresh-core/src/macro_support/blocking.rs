//! What the macro's output calls in methods that are not async. Without the feature `blocking` the
//! same functions exist but cannot be called: the compiler's error names the missing feature.

use crate::error::Error;
use crate::macro_support::unused_lease::UnusedToken;
#[cfg(feature = "blocking")]
use crate::macro_support::unused_lease::unused_lease;
use crate::provider::{Renewal, TokenProvider};
#[cfg(feature = "blocking")]
use crate::runtime;

/// What the guard of a method that is not async calls.
#[derive(Debug)]
pub struct BlockingGuard;

/// Implemented by no type. The compiler's error about that is the message to the user.
#[diagnostic::on_unimplemented(
    message = "`#[refresh_token]` on a method that is not async needs the feature `blocking` of `jwt-refresh`",
    label = "needs the feature `blocking`",
    note = "in Cargo.toml: `jwt-refresh = {{ version = \"…\", features = [\"blocking\"] }}`; or make the method `async`"
)]
pub trait FeatureBlocking {}

#[cfg(feature = "blocking")]
impl BlockingGuard {
    /// Waits until the token is fresh, for a method that does not use it.
    #[inline]
    pub fn check<P: TokenProvider<Token = T> + ?Sized, T: Send + 'static>(
        provider: &P,
    ) -> Result<UnusedToken<T>, Error> {
        if provider.is_ready() { Ok(UnusedToken::new()) } else { wait(provider).map(|token| unused_lease(&token)) }
    }

    /// Waits for a fresh token, for a method that uses it.
    #[inline]
    pub fn token<P: TokenProvider + ?Sized>(provider: &P) -> Result<P::Token, Error> {
        provider.ready().map_or_else(|| wait(provider), Ok)
    }

    /// Reports that `token` was rejected, and waits for a newer one.
    pub fn rejected<P: TokenProvider + ?Sized>(provider: &P, token: &P::Token) -> Result<P::Token, Error> {
        runtime::wait(|| provider.rejected(token))
    }

    /// Waits for a token that is on its way.
    pub fn wait<T: Send + 'static>(renewal: Renewal<T>) -> Result<T, Error> {
        runtime::wait(|| renewal)
    }
}

#[cfg(feature = "blocking")]
#[cold]
fn wait<P: TokenProvider + ?Sized>(provider: &P) -> Result<P::Token, Error> {
    runtime::wait(|| provider.fresh())
}

#[cfg(not(feature = "blocking"))]
impl BlockingGuard {
    /// Cannot be called.
    pub fn check<P: TokenProvider<Token = T> + FeatureBlocking + ?Sized, T>(_: &P) -> Result<UnusedToken<T>, Error> {
        unreachable!("nothing implements `FeatureBlocking`")
    }

    /// Cannot be called.
    pub fn token<P: TokenProvider + FeatureBlocking + ?Sized>(_: &P) -> Result<P::Token, Error> {
        unreachable!("nothing implements `FeatureBlocking`")
    }

    /// Cannot be called.
    pub fn rejected<P: TokenProvider + FeatureBlocking + ?Sized>(_: &P, _: &P::Token) -> Result<P::Token, Error> {
        unreachable!("nothing implements `FeatureBlocking`")
    }

    /// Is not called, because there is no token before.
    pub fn wait<T>(_: Renewal<T>) -> Result<T, Error> {
        unreachable!("nothing implements `FeatureBlocking`")
    }
}
