//! One request on its way: its token, what its answer says about that, and the one retry. This
//! knows no HTTP client, neither sends nor waits for an answer, and is the same for all of them.

use std::borrow::Borrow;

use http::HeaderMap;

use super::answer_head::{AnswerHead, Insufficient, TokenVerdict};
use super::origin::Target;
use super::request_rule::RequestRule;
use super::vain_retry::note_rejected_again;
use crate::counter::count;
use crate::error::Error;
#[cfg(any(feature = "reqwest", feature = "tower"))]
use crate::macro_support::AsyncGuard;
#[cfg(all(feature = "blocking", any(feature = "reqwest", feature = "ureq")))]
use crate::macro_support::BlockingGuard;
use crate::macro_support::served;
use crate::provider::TokenProvider;

/// A request that is sent with a token.
///
/// The provider is told what `#[refresh_token(retry)]` tells it: how each sending ended, and never
/// twice.
pub(super) struct Attempt<'a, P: TokenProvider> {
    provider: &'a P,
    rule: &'a RequestRule,
    token: P::Token,
    sending: Sending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    First,
    Second,
}

/// What to do with an answer.
pub(super) enum AfterAnswer<'a, P: TokenProvider, R> {
    /// Give it to the caller, for whom the token is held until the answer is dropped.
    Deliver(Delivery<P::Token>),
    /// Renew the token, and send this copy of the request. If that fails, the answer is the
    /// caller's.
    Renew(Rejected<'a, P>, R),
    /// Send this copy of the request with another token.
    SendAgain(Attempt<'a, P>, R),
}

/// What goes to the caller along with an answer.
pub(super) struct Delivery<T> {
    pub(super) token: T,
    /// What the token lacked, if the answer says so.
    pub(super) insufficient: Option<Insufficient>,
}

impl<'a, P: TokenProvider> Attempt<'a, P> {
    /// Waits for a fresh token. Returns `None` if the request gets none.
    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(super) async fn begin(
        provider: &'a P,
        rule: &'a RequestRule,
        target: Option<Target<'_>>,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Error> {
        if !rule.admits(target, headers) {
            return Ok(None);
        }
        let token = match AsyncGuard::token(provider) {
            Ok(token) => token,
            Err(renewal) => renewal.await?,
        };
        Ok(Self::with(provider, rule, token, headers))
    }

    /// Does the same, and blocks the thread.
    #[cfg(all(feature = "blocking", any(feature = "reqwest", feature = "ureq")))]
    pub(super) fn begin_blocking(
        provider: &'a P,
        rule: &'a RequestRule,
        target: Option<Target<'_>>,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Error> {
        if !rule.admits(target, headers) {
            return Ok(None);
        }
        let token = BlockingGuard::token(provider)?;
        Ok(Self::with(provider, rule, token, headers))
    }

    fn with(provider: &'a P, rule: &'a RequestRule, token: P::Token, headers: &HeaderMap) -> Option<Self> {
        let is_kept = rule.keeps_header_of(token.borrow(), headers);
        if is_kept { None } else { Some(Self { provider, rule, token, sending: Sending::First }) }
    }

    /// Returns an error if a client that follows redirects would take the token to another origin.
    #[cfg(feature = "reqwest")]
    pub(super) fn check_redirects(&self) -> Result<(), Error> {
        self.rule.check_redirects(self.token.borrow())
    }

    /// Returns whether the token goes into `Authorization`, which clients treat as a secret.
    #[cfg(feature = "ureq")]
    pub(super) fn is_in_authorization(&self) -> bool {
        self.rule.is_in_authorization(self.token.borrow())
    }

    /// Puts the token into the request.
    pub(super) fn attach(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        self.rule.attach(self.token.borrow(), headers)
    }

    /// Returns a copy of the request for a second sending, if there may be one and `copy` has one.
    pub(super) fn copy<R>(&self, copy: impl FnOnce() -> Option<R>) -> Option<R> {
        if self.sending == Sending::First { copy() } else { None }
    }

    /// Reports that there was no answer.
    pub(super) fn unanswered(&self) {
        let _ = served(self.provider, &self.token, None, true);
    }

    /// Reports nothing, because the answer does not come from where the token was sent to. Returns
    /// what goes to the caller.
    #[cfg(any(feature = "reqwest", feature = "ureq"))]
    pub(super) fn answered_elsewhere(self) -> Delivery<P::Token> {
        Delivery { token: self.token, insufficient: None }
    }

    /// Reports the answer to the provider, and returns what to do with it. `again` is a copy of the
    /// request, if there can be one.
    pub(super) fn answered<R>(self, head: AnswerHead<'_>, again: Option<R>) -> AfterAnswer<'a, P, R> {
        let deliver = |token, insufficient| AfterAnswer::Deliver(Delivery { token, insufficient });
        let served = |is_rerun| served(self.provider, &self.token, Some((head.status, head.headers)), is_rerun);
        match (self.rule.verdict(head), self.sending, again) {
            (TokenVerdict::Accepted, Sending::First, Some(again)) => match served(false) {
                Some(token) => AfterAnswer::SendAgain(Attempt { token, sending: Sending::Second, ..self }, again),
                None => deliver(self.token, None),
            },
            (TokenVerdict::Accepted, ..) => {
                served(true);
                deliver(self.token, None)
            }
            (TokenVerdict::Insufficient(insufficient), ..) => {
                served(true);
                let (status, code) = (head.status.as_u16(), insufficient.code());
                tracing::debug!(target: "jwt_refresh", status, code, "not retried: a new token would not suffice either");
                deliver(self.token, Some(insufficient))
            }
            (TokenVerdict::Rejected, Sending::First, Some(again)) => AfterAnswer::Renew(Rejected(self), again),
            (TokenVerdict::Rejected, Sending::First, None) => {
                // For the next request. The renewal goes on if nobody waits for it.
                drop(self.provider.rejected(&self.token));
                not_retried("the body of the request can be had only once");
                deliver(self.token, None)
            }
            (TokenVerdict::Rejected, Sending::Second, _) => {
                self.provider.rejected_again(&self.token);
                note_rejected_again();
                let status = head.status.as_u16();
                tracing::debug!(target: "jwt_refresh", status, "the token was rejected, and so was the one that replaced it");
                deliver(self.token, None)
            }
        }
    }
}

/// A request whose token was rejected.
pub(super) struct Rejected<'a, P: TokenProvider>(Attempt<'a, P>);

impl<'a, P: TokenProvider> Rejected<'a, P> {
    /// Waits for a newer token, with which the request is to be sent again.
    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(super) async fn renewed(self) -> Result<Attempt<'a, P>, Error> {
        let renewal = self.0.provider.rejected(&self.0.token);
        self.with(renewal.await)
    }

    /// Does the same, and blocks the thread.
    #[cfg(all(feature = "blocking", any(feature = "reqwest", feature = "ureq")))]
    pub(super) fn renewed_blocking(self) -> Result<Attempt<'a, P>, Error> {
        let token = BlockingGuard::rejected(self.0.provider, &self.0.token);
        self.with(token)
    }

    fn with(self, token: Result<P::Token, Error>) -> Result<Attempt<'a, P>, Error> {
        match token {
            Ok(token) => Ok(Attempt { token, sending: Sending::Second, ..self.0 }),
            Err(error) => {
                not_retried("there is no newer token");
                tracing::debug!(target: "jwt_refresh", %error, "the renewal after a rejection failed");
                Err(error)
            }
        }
    }
}

/// Counts a request that was rejected and is not sent again.
fn not_retried(why: &'static str) {
    count("jwt_refresh_not_retried_total");
    tracing::debug!(target: "jwt_refresh", why, "a request whose token was rejected is not sent again");
}
