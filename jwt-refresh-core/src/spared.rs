//! Methods that do without the token: fine if it is a session's, which all calls share, and a mistake if it was taken for one call.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::Lease;

/// The token that a method does without, by its type alone.
///
/// Whether it may is for the compiler to find out, as in `rejection`: it looks for a method in a type before it looks behind its
/// [`Deref`]. So a token for one call is found out where its type is known, and nothing is asked of any other, nor where the
/// type is not known.
pub struct Spared<T>(Shared, PhantomData<fn() -> T>);

/// A token that is as good if nobody takes it.
#[derive(Debug)]
pub struct Shared;

impl<T> Spared<T> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self(Shared, PhantomData)
    }
}

impl<T: ForOneCall> Spared<T> {
    /// Cannot be called.
    pub fn spared(&self)
    where
        T: UsedByItsMethod,
    {
    }
}

impl Shared {
    /// Does nothing.
    #[expect(clippy::unused_self, reason = "a method, for those of a type come before those behind its `Deref`")]
    #[inline]
    pub fn spared(&self) {}
}

impl<T> Deref for Spared<T> {
    type Target = Shared;

    #[inline]
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl<T> fmt::Debug for Spared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spared")
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
