//! Detects methods that do not use their token. That is right if the token is a session's, which
//! all calls share, and a mistake if it was taken from a pool for one call.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::pool::Lease;

/// The type of a token that a method does not use.
///
/// *Deref-based specialization*, as in `answer`, decides whether it may be unused: the compiler
/// looks for a method of a type before it looks for one of the target of its [`Deref`]. So it finds
/// [`unused_lease`](Self::unused_lease) if the token is for one call, and that of `SharedToken`
/// if it is not, or if its type is unknown as in generic code.
pub struct UnusedToken<T>(SharedToken, PhantomData<fn() -> T>);

/// A token that may be unused.
#[derive(Debug)]
pub struct SharedToken;

/// States that a method does not use `_token`.
pub fn unused_lease<T>(_token: &T) -> UnusedToken<T> {
    UnusedToken::new()
}

impl<T> UnusedToken<T> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self(SharedToken, PhantomData)
    }
}

impl<T: ForOneCall> UnusedToken<T> {
    /// Cannot be called, because no type implements [`UsedByItsMethod`]. The compiler's error says
    /// what to do instead.
    pub fn unused_lease(&self)
    where
        T: UsedByItsMethod,
    {
    }
}

impl SharedToken {
    /// Does nothing.
    #[expect(clippy::unused_self, reason = "it stands in for the method of `UnusedToken`")]
    #[inline]
    pub fn unused_lease(&self) {}
}

impl<T> Deref for UnusedToken<T> {
    type Target = SharedToken;

    #[inline]
    fn deref(&self) -> &SharedToken {
        &self.0
    }
}

impl<T> fmt::Debug for UnusedToken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnusedToken")
    }
}

/// Tokens that are taken for one call, which is charged to an account.
pub trait ForOneCall {}

impl ForOneCall for Lease {}

/// Implemented by no type. The compiler's error about that is the message to the user.
#[diagnostic::on_unimplemented(
    message = "this method takes a `{Self}` from a pool, which is charged for a call, and does not use it",
    label = "does not use its `{Self}`",
    note = "bring it into the body's scope: `#[refresh_token(from = …, token)]`; or leave the method alone: \
            `#[refresh_token(skip)]`"
)]
pub trait UsedByItsMethod {}
