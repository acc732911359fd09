//! Tells a pool what an answer says of the account that it was got with.

use http::{HeaderMap, StatusCode};

use super::answer_head::AnswerHead;
use super::response_head::ResponseHead;
use crate::pool::Lease;
use crate::token::AccessToken;

/// Gives responses, and results of them, the method `.observed(&token)`. It tells the pool that the
/// token is from what the server answered, and returns the response as it was:
///
/// ```no_run
/// # use jwt_refresh::pool::Lease;
/// # #[cfg(feature = "reqwest")]
/// # async fn doc(http: reqwest::Client, token: Lease) -> Result<(), reqwest::Error> {
/// use jwt_refresh::{Bearer, Observed};
///
/// let request = http.get("https://api.example/products").bearer(&token);
/// let products = request.send().await?.observed(&token).error_for_status()?.text().await?;
/// # Ok(()) }
/// ```
///
/// [`Lease::answered`] says what the pool does with it. The token of a session is for one account
/// that has no limits, so nothing happens then, and the same code serves both. Only of a token that
/// is bound to a key is the nonce kept that the server gave.
pub trait Observed: Sized {
    /// Tells the pool of `token` what the server answered.
    fn observed(self, token: &impl AnsweredToken) -> Self;
}

/// A token, or what holds one, that can be told what a call with it was answered.
pub trait AnsweredToken {
    /// Takes the URL that an answer comes from, if that is known, its status and its headers. If
    /// the token is bound to a key, an answer of unknown origin is taken for that to the last
    /// request that [`Bearer`](crate::Bearer) made a proof for.
    fn answered(&self, url: Option<&str>, status: StatusCode, headers: &HeaderMap);
}

/// Tells the pool: see [`Lease::answered`](Lease::answered). Keeps a nonce, too.
impl AnsweredToken for Lease {
    fn answered(&self, url: Option<&str>, status: StatusCode, headers: &HeaderMap) {
        Self::answered(self, status, headers);
        let token: &AccessToken = self;
        token.answered(url, status, headers);
    }
}

/// Keeps the nonce for the next requests, if the token is bound to a key (RFC 9449 §8.2).
impl AnsweredToken for AccessToken {
    fn answered(&self, url: Option<&str>, _: StatusCode, headers: &HeaderMap) {
        if let Some(key) = self.key() {
            key.keep_nonce_by_hand(url, headers);
        }
    }
}

impl<R: ResponseHead> Observed for R {
    fn observed(self, token: &impl AnsweredToken) -> Self {
        let AnswerHead { status, headers, url } = self.head();
        token.answered(url, status, headers);
        self
    }
}

/// An error is returned as it is: it says nothing of the account.
impl<R: ResponseHead, E> Observed for Result<R, E> {
    fn observed(self, token: &impl AnsweredToken) -> Self {
        self.map(|response| response.observed(token))
    }
}
