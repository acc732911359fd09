//! Methods that do without the token: fine if it is a session's, which all calls share, and a mistake if it was taken for one call.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::pool::Lease;

/// The token that a method does without, by its type alone.
///
/// Whether it may is for the compiler to find out, as in `answer`: it looks for a method in a type before it looks behind its
/// [`Deref`]. So a token for one call is found out where its type is known, and nothing is asked of any other, nor where the
/// type is not known.
pub struct UnusedToken<T>(SharedToken, PhantomData<fn() -> T>);

/// A token that is as good if nobody takes it.
#[derive(Debug)]
pub struct SharedToken;

/// That a method does without `token`.
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
    /// Cannot be called.
    pub fn unused_lease(&self)
    where
        T: UsedByItsMethod,
    {
    }
}

impl SharedToken {
    /// Does nothing.
    #[expect(clippy::unused_self, reason = "a method, for those of a type come before those behind its `Deref`")]
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

/// Tokens that are taken for one call, and charged to somebody.
pub trait ForOneCall {}

impl ForOneCall for Lease {}

/// Implemented by nothing: its absence is the message.
#[diagnostic::on_unimplemented(
    message = "this method takes a `{Self}` from a pool, which is charged for a call, and does not use it",
    label = "does not use its `{Self}`",
    note = "bring it into the body's scope: `#[refresh_token(from = …, token)]`; or leave the method alone: \
            `#[refresh_token(skip)]`"
)]
pub trait UsedByItsMethod {}
