//! One request on its way: its token, what its answer says about that, and the one retry. This
//! knows no HTTP client, neither sends nor waits for an answer, and is the same for all of them.

use std::borrow::Borrow;
use std::fmt::Display;

use http::{HeaderMap, Method};

use super::answer_head::{AnswerHead, Insufficient, ProofFault, TokenVerdict};
use super::origin::Target;
use super::request_rule::RequestRule;
use super::step_up::step_up;
use super::vain_retry::note_rejected_again;
use crate::counter::count;
use crate::error::Error;
#[cfg(any(feature = "reqwest", feature = "tower"))]
use crate::macro_support::AsyncGuard;
#[cfg(all(feature = "blocking", any(feature = "reqwest", feature = "ureq")))]
use crate::macro_support::BlockingGuard;
use crate::macro_support::served;
use crate::provider::{Renewal, TokenProvider};

/// A request that is sent with a token.
///
/// The provider is told what `#[refresh_token(retry)]` tells it: how each sending ended, and never
/// twice.
pub(super) struct Attempt<'a, P: TokenProvider> {
    provider: &'a P,
    rule: &'a RequestRule,
    token: P::Token,
    sending: Sending,
    proofs: ProofRetries,
    /// Where the request was sent to, if its token is bound to a key.
    proven_for: Option<String>,
}

/// For what the request was sent again with another proof: with a nonce (RFC 9449 §9), or by the
/// time of the API. That is done once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProofRetries {
    Unused,
    Once(ProofFault),
    Both,
}

impl ProofRetries {
    fn after(self, fault: ProofFault) -> Option<Self> {
        match self {
            Self::Unused => Some(Self::Once(fault)),
            Self::Once(other) if other != fault => Some(Self::Both),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    First,
    Second,
    /// After a step-up.
    SteppedUp,
    /// The client can send a request only once.
    #[cfg(feature = "ureq")]
    Only,
}

impl Sending {
    /// Returns whether another token may bring more than this answer.
    fn is_first(self) -> bool {
        !matches!(self, Self::Second | Self::SteppedUp)
    }

    /// Returns whether the client can send a request more than once.
    fn has_copy(self) -> bool {
        match self {
            #[cfg(feature = "ureq")]
            Self::Only => false,
            _ => true,
        }
    }

    /// Returns why a request whose first token was rejected is not sent again.
    fn why_only_once(self) -> &'static str {
        match self {
            #[cfg(feature = "ureq")]
            Self::Only => "a middleware of ureq can send a request only once",
            _ => "the body of the request can be had only once",
        }
    }
}

/// What to do with an answer.
pub(super) enum AfterAnswer<'a, P: TokenProvider, R> {
    /// Give it to the caller, for whom the token is held until the answer is dropped.
    Deliver(Delivery<P::Token>),
    /// Get another token, and send this copy of the request. If that fails, the answer is the
    /// caller's.
    Renew(Refused<'a, P>, R),
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
        let (sending, proofs) = (Sending::First, ProofRetries::Unused);
        if is_kept { None } else { Some(Self { provider, rule, token, sending, proofs, proven_for: None }) }
    }

    /// Returns the attempt for a client that can send a request only once.
    #[cfg(feature = "ureq")]
    pub(super) fn only_once(self) -> Self {
        Self { sending: Sending::Only, ..self }
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

    /// Puts the token into the request, with a proof if it is bound to a key.
    pub(super) fn attach(&mut self, method: &Method, url: &impl Display, headers: &mut HeaderMap) -> Result<(), Error> {
        let token = self.token.borrow();
        self.proven_for = token.key().map(|_| url.to_string());
        self.rule.attach(token, method, url, headers)
    }

    /// Returns a copy of the request for another sending, if there may be one and `copy` has one.
    pub(super) fn copy<R>(&self, copy: impl FnOnce() -> Option<R>) -> Option<R> {
        let may_need_proof = self.proofs != ProofRetries::Both && self.token.borrow().key().is_some();
        let is_sent_again = self.sending == Sending::First || (may_need_proof && self.sending.has_copy());
        if is_sent_again { copy() } else { None }
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
        match self.proof_fault(head) {
            Some((fault, has_remedy)) => self.unproven(fault, has_remedy, head, again),
            None => self.judged(head, again),
        }
    }

    /// Does the same for an answer that says what it thinks of the token.
    fn judged<R>(self, head: AnswerHead<'_>, again: Option<R>) -> AfterAnswer<'a, P, R> {
        let deliver = |token, insufficient| AfterAnswer::Deliver(Delivery { token, insufficient });
        let served = |is_rerun| served(self.provider, &self.token, Some(head), is_rerun);
        let renewal = if self.sending.is_first() { step_up(self.provider, &self.token, head) } else { None };
        if let Some(renewal) = renewal {
            served(true);
            if let Some(again) = again {
                return AfterAnswer::Renew(Refused { attempt: self, remedy: Remedy::StepUp(renewal) }, again);
            }
            // For the next request. The login goes on if nobody waits for it.
            drop(renewal);
            not_retried(self.sending.why_only_once());
            let insufficient = head.challenge().map(|(_, insufficient)| insufficient);
            return deliver(self.token, insufficient);
        }
        match (self.rule.verdict(head), self.sending, again) {
            (TokenVerdict::Accepted, Sending::First, Some(again)) => match served(false) {
                Some(token) => AfterAnswer::SendAgain(Attempt { token, sending: Sending::Second, ..self }, again),
                None => deliver(self.token, None),
            },
            (TokenVerdict::Accepted, ..) => {
                served(true);
                deliver(self.token, None)
            }
            (TokenVerdict::Insufficient(insufficient), sending, _) => {
                served(true);
                if sending == Sending::SteppedUp {
                    note_rejected_again();
                }
                let (status, code) = (head.status.as_u16(), insufficient.code());
                tracing::debug!(target: "jwt_refresh", status, code, "not retried: a new token would not suffice either");
                deliver(self.token, Some(insufficient))
            }
            (TokenVerdict::Rejected, Sending::First, Some(again)) => {
                AfterAnswer::Renew(Refused { attempt: self, remedy: Remedy::Renewal }, again)
            }
            (TokenVerdict::Rejected, Sending::Second | Sending::SteppedUp, _) => {
                self.provider.rejected_again(&self.token);
                note_rejected_again();
                let status = head.status.as_u16();
                tracing::debug!(target: "jwt_refresh", status, "the token was rejected, and so was the one that replaced it");
                deliver(self.token, None)
            }
            (TokenVerdict::Rejected, sending, _) => {
                // For the next request. The renewal goes on if nobody waits for it.
                drop(self.provider.rejected(&self.token));
                not_retried(sending.why_only_once());
                deliver(self.token, None)
            }
        }
    }
}

impl<'a, P: TokenProvider> Attempt<'a, P> {
    /// Keeps the nonce in an answer for the proofs of the next requests, and its time if it takes
    /// no proof. Returns what it says is wrong with the proof, if anything, and whether another
    /// proof may be taken: one with the nonce that it has, or by its time.
    fn proof_fault(&self, head: AnswerHead<'_>) -> Option<(ProofFault, bool)> {
        let (key, url) = (self.token.borrow().key()?, self.proven_for.as_ref()?);
        let has_nonce = key.keep_nonce(url, head.headers);
        let fault = head.proof_fault()?;
        Some((fault, if fault == ProofFault::Nonce { has_nonce } else { key.follow_clock(head.headers) }))
    }

    /// Returns what to do with an answer that does not take the proof: send the request with
    /// another one, if it says what that has to be. The token is as good as before, so nothing is
    /// renewed.
    fn unproven<R>(
        self,
        fault: ProofFault,
        has_remedy: bool,
        head: AnswerHead<'_>,
        again: Option<R>,
    ) -> AfterAnswer<'a, P, R> {
        served(self.provider, &self.token, Some(head), true);
        let remedy = self.proofs.after(fault).filter(|_| has_remedy);
        match (remedy, again) {
            (Some(proofs), Some(again)) => AfterAnswer::SendAgain(Self { proofs, ..self }, again),
            (Some(_), None) => {
                not_retried(self.sending.why_only_once());
                AfterAnswer::Deliver(Delivery { token: self.token, insufficient: None })
            }
            (None, _) => {
                let insufficient = Some(Insufficient::of_proof(fault, has_remedy));
                AfterAnswer::Deliver(Delivery { token: self.token, insufficient })
            }
        }
    }
}

/// A request whose token was rejected, or does not suffice.
pub(super) struct Refused<'a, P: TokenProvider> {
    attempt: Attempt<'a, P>,
    remedy: Remedy<P::Token>,
}

/// What may bring a token that is not refused.
enum Remedy<T> {
    Renewal,
    /// The login for what the token lacks, which has begun.
    StepUp(Renewal<T>),
}

impl<'a, P: TokenProvider> Refused<'a, P> {
    /// Waits for another token, with which the request is to be sent again.
    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(super) async fn renewed(self) -> Result<Attempt<'a, P>, Error> {
        let Self { attempt, remedy } = self;
        match remedy {
            Remedy::Renewal => {
                let renewal = attempt.provider.rejected(&attempt.token);
                attempt.with_token(renewal.await, Sending::Second)
            }
            Remedy::StepUp(renewal) => attempt.with_token(renewal.await, Sending::SteppedUp),
        }
    }

    /// Does the same, and blocks the thread.
    #[cfg(all(feature = "blocking", any(feature = "reqwest", feature = "ureq")))]
    pub(super) fn renewed_blocking(self) -> Result<Attempt<'a, P>, Error> {
        let Self { attempt, remedy } = self;
        match remedy {
            Remedy::Renewal => {
                let token = BlockingGuard::rejected(attempt.provider, &attempt.token);
                attempt.with_token(token, Sending::Second)
            }
            Remedy::StepUp(renewal) => attempt.with_token(BlockingGuard::wait(renewal), Sending::SteppedUp),
        }
    }
}

impl<P: TokenProvider> Attempt<'_, P> {
    fn with_token(self, token: Result<P::Token, Error>, sending: Sending) -> Result<Self, Error> {
        match token {
            // It may be bound to another key, which knows no nonce yet.
            Ok(token) => Ok(Self { token, sending, proofs: ProofRetries::Unused, ..self }),
            Err(error) => {
                not_retried("there is no newer token");
                tracing::debug!(target: "jwt_refresh", %error, "the renewal or login after that failed");
                Err(error)
            }
        }
    }
}

/// Counts a request that was rejected and is not sent again.
fn not_retried(why: &'static str) {
    count("jwt_refresh_not_retried_total");
    tracing::debug!(target: "jwt_refresh", why, "a request whose token was refused is not sent again");
}
