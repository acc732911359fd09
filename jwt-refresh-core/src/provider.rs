//! [`TokenProvider`]: the trait from which the macro's output gets fresh tokens, and to which it
//! reports rejected ones.

use std::borrow::Borrow;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::error::Error;
use crate::send::Challenge;
use crate::token::AccessToken;

/// A boxed future.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A future that waits for a fresh token. It owns what it awaits, so a caller's future that awaits
/// it borrows nothing from the provider.
///
/// # Cancel safety
///
/// The future can be dropped at any time. The exchange that it waits for goes on.
pub type Renewal<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Provides access tokens to `#[refresh_token]`: a [`Session`](crate::Session), a
/// [`Pool`](crate::pool::Pool), or a type of your own.
///
/// Only [`fresh`](Self::fresh) and [`rejected`](Self::rejected) are required.
/// [`ready`](Self::ready) is the fast path: a provider that knows without waiting that its token is
/// fresh returns it there, and no future is created.
///
/// ```
/// use jwt_refresh::{AccessToken, Error, ErrorKind, Renewal, TokenProvider};
///
/// /// A token that a person has pasted, and that nothing can renew.
/// struct Pasted(AccessToken);
///
/// impl TokenProvider for Pasted {
///     type Token = AccessToken;
///
///     fn ready(&self) -> Option<AccessToken> {
///         Some(self.0.clone())
///     }
///
///     fn fresh(&self) -> Renewal<AccessToken> {
///         let token = self.0.clone();
///         Box::pin(async { Ok(token) })
///     }
///
///     fn rejected(&self, _: &AccessToken) -> Renewal<AccessToken> {
///         let what = "the pasted token is not valid any more";
///         Box::pin(async move { Err(Error::new(ErrorKind::ReauthenticationRequired, what)) })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not provide access tokens",
    label = "not a `TokenProvider`",
    note = "`#[refresh_token]` takes its token from `self.session` unless told otherwise; to take it from elsewhere, write \
            `#[refresh_token(from = self.path.to.session)]`",
    note = "a `Session` is a `TokenProvider`, and so is a reference, `Box`, `Rc` or `Arc` of one; of a lock guard write `*guard`, of a `LazyLock` `*SESSION`"
)]
pub trait TokenProvider {
    /// The type of the tokens: an [`AccessToken`], or a value that holds one for as long as the
    /// method runs. A method with both `token` and `retry` gets a clone for each run, so the type
    /// must be `Clone` there.
    type Token: Borrow<AccessToken> + Send + 'static;

    /// Returns a fresh token if there is one at once: without waiting, holding a lock for long, or
    /// starting a renewal. The default returns `None`.
    #[inline]
    fn ready(&self) -> Option<Self::Token> {
        None
    }

    /// Returns whether the token is fresh: like [`ready`](Self::ready), for a caller that does not
    /// need the token.
    #[inline]
    fn is_ready(&self) -> bool {
        self.ready().is_some()
    }

    /// Returns a future that waits until there is a fresh token. The renewal may begin at once,
    /// before the future is polled.
    ///
    /// # Errors
    ///
    /// The future returns an error if there is no token that may be used and none can be obtained.
    fn fresh(&self) -> Renewal<Self::Token>;

    /// Reports that the server answered 401 to `token`, and returns a future that waits for a newer
    /// token.
    ///
    /// A provider that already has a newer token returns that one and does not renew again. It
    /// compares the tokens by [`generation`](AccessToken::generation), never by their bytes: two
    /// tokens that were issued within one second may be equal.
    ///
    /// # Errors
    ///
    /// As for [`fresh`](Self::fresh).
    fn rejected(&self, token: &Self::Token) -> Renewal<Self::Token>;

    /// Reports that the server also answered 401 to `token`, which replaced one that was
    /// [`rejected`](Self::rejected). No newer token is requested: the call has failed.
    ///
    /// This is for providers of many tokens, which can go on without this one. The default does
    /// nothing: if the only token is invalid, the next call reports that.
    fn rejected_again(&self, token: &Self::Token) {
        let _ = token;
    }

    /// Reports that a call with `token` ended otherwise than by a 401. `#[refresh_token(retry)]`
    /// calls this after each such call, so it must be cheap. The default does nothing.
    ///
    /// This is for providers that tell tokens that never worked from those that worked until the
    /// server revoked them.
    #[inline]
    fn served(&self, token: &Self::Token) {
        let _ = token;
    }

    /// Reports what a call with `token` was answered, other than by a 401.
    /// `#[refresh_token(retry)]` calls this after each call whose method returns the response. The
    /// default does nothing.
    ///
    /// This is for providers of many tokens, whose accounts have limits.
    #[inline]
    fn answered(&self, token: &Self::Token, status: StatusCode, headers: &HeaderMap) {
        let _ = (token, status, headers);
    }

    /// Returns another token with which the call runs again, if it was answered 429 and another
    /// account can serve it at once. `#[refresh_token(retry)]` asks this after each first run of a
    /// body that did not end in a 401. The default returns `None`.
    #[inline]
    fn rerun(&self, token: &Self::Token) -> Option<Self::Token> {
        let _ = token;
        None
    }

    /// Reports that the API wants more than `token` has, such as a scope, and returns a future that
    /// waits for a token with which the call runs again. Returns `None`, as by default, if none can
    /// be had: then the answer of the API is that of the call.
    ///
    /// As with [`rejected`](Self::rejected), the login may begin at once, and a provider that
    /// already has such a token returns that one.
    ///
    /// # Errors
    ///
    /// The future returns the reason why the login failed. The provider serves the tokens that it
    /// had.
    fn step_up(&self, token: &Self::Token, challenge: &Challenge) -> Option<Renewal<Self::Token>> {
        let _ = (token, challenge);
        None
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
            #[inline]
            fn served(&self, token: &P::Token) {
                (**self).served(token);
            }
            #[inline]
            fn answered(&self, token: &P::Token, status: StatusCode, headers: &HeaderMap) {
                (**self).answered(token, status, headers);
            }
            #[inline]
            fn rerun(&self, token: &P::Token) -> Option<P::Token> {
                (**self).rerun(token)
            }
            fn step_up(&self, token: &P::Token, challenge: &Challenge) -> Option<Renewal<P::Token>> {
                (**self).step_up(token, challenge)
            }
        }
    )+};
}

forward_to_pointee!(&P, &mut P, Box<P>, Rc<P>, Arc<P>);
