//! What the macro talks to: something that has a fresh token, and that can be told that a token was rejected.

use std::borrow::Borrow;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::Error;
use crate::token::AccessToken;

/// A future in a box.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A token on its way. It owns what it awaits, so that a future that waits for it borrows nothing from its provider.
/// Dropping it is safe at any time: the exchange it waits for goes on.
pub type Renewal<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Where `#[refresh_token]` gets its tokens from: a [`Session`](crate::Session), or anything of yours that has two answers.
///
/// Only [`fresh`](Self::fresh) and [`rejected`](Self::rejected) must be written. [`ready`](Self::ready) is the fast path: a
/// provider that can tell without waiting that its token is fresh says so there, and no future is made at all.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not provide access tokens",
    label = "not a `TokenProvider`",
    note = "`#[refresh_token]` takes its token from `self.session` unless told otherwise; to take it from elsewhere, write \
            `#[refresh_token(from = self.path.to.session)]`",
    note = "a `Session` is a `TokenProvider`, and so is a reference, `Box` or `Arc` of one; of a lock guard, write `*guard`"
)]
pub trait TokenProvider {
    /// What a method gets: an [`AccessToken`], or something that holds one for as long as the method runs. A method that has
    /// both `token` and `retry` gets a clone of it for each run, so it must be `Clone` there.
    type Token: Borrow<AccessToken> + Send + 'static;

    /// A fresh token, if that can be told at once: without waiting, locking for long, or starting anything.
    #[inline]
    fn ready(&self) -> Option<Self::Token> {
        None
    }

    /// Whether the token is fresh. The same question as [`ready`](Self::ready), for a caller that does not want the token.
    #[inline]
    fn is_ready(&self) -> bool {
        self.ready().is_some()
    }

    /// A fresh token, after as long as it takes. The work may begin at once, before the future is polled.
    fn fresh(&self) -> Renewal<Self::Token>;

    /// Says that the server answered 401 to `token`, and asks for a newer one.
    ///
    /// A provider that already has a newer one hands that out; it does not renew again (compare the token's
    /// [`generation`](AccessToken::generation), never its bytes: two tokens issued in one second may be equal).
    fn rejected(&self, token: &Self::Token) -> Renewal<Self::Token>;

    /// Says that the server answered 401 to `token`, too, which took the place of one that was [`rejected`](Self::rejected).
    /// Nobody waits for another: the call has failed.
    ///
    /// That is for a provider of many tokens to know, which can do without this one. The default does nothing, for if the only
    /// token is no good, the next call says so.
    fn rejected_again(&self, token: &Self::Token) {
        let _ = token;
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),+) => {$(
        impl<P: TokenProvider + ?Sized> TokenProvider for $pointer {
            type Token = P::Token;
            #[inline]
            fn ready(&self) -> Option<P::Token> {
                (**self).ready()
            }
            #[inline]
            fn is_ready(&self) -> bool {
                (**self).is_ready()
            }
            fn fresh(&self) -> Renewal<P::Token> {
                (**self).fresh()
            }
            fn rejected(&self, token: &P::Token) -> Renewal<P::Token> {
                (**self).rejected(token)
            }
            fn rejected_again(&self, token: &P::Token) {
                (**self).rejected_again(token);
            }
        }
    )+};
}

forward_to_pointee!(&P, &mut P, Box<P>, Arc<P>);
