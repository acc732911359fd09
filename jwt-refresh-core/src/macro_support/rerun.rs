//! Support for methods whose body may run twice: what they keep for the second run, and when there
//! is one.

use std::any::Any;
use std::borrow::Borrow;
use std::future::ready;
use std::ops::Deref;

use http::StatusCode;

use crate::error::{Error, ErrorKind};
use crate::provider::{Renewal, TokenProvider};
use crate::send::answer_head::{AnswerHead, ProofFault};
use crate::send::step_up::step_up;
use crate::token::AccessToken;

/// A provider, or a reference to one, that a method keeps until it has run.
#[derive(Debug)]
pub struct Kept<T>(pub T);

/// A reference to a provider that is `Clone` is replaced by a clone, which borrows nothing. The
/// compiler prefers this `keep` to that of [`Keep`] where both apply.
impl<P: TokenProvider + Clone> Kept<&P> {
    pub fn keep(self) -> P {
        self.0.clone()
    }
}

/// Keeps all other providers as they are.
pub trait Keep<T> {
    /// Returns the provider.
    fn keep(self) -> T;
}

impl<T> Keep<T> for Kept<T> {
    fn keep(self) -> T {
        self.0
    }
}

/// Reports that `token` was rejected, and returns the future that waits for a newer one.
pub fn rejected<P: TokenProvider<Token = T> + ?Sized, T>(provider: &P, token: &T) -> Renewal<T> {
    provider.rejected(token)
}

/// Reports to the provider that the call with `token` ended otherwise than by a 401, and what the
/// answer was, if the result has it. Returns another token if the body is to run again with that;
/// after its second run, with `is_rerun`, it does not.
#[inline]
pub(crate) fn served<P: TokenProvider<Token = T> + ?Sized, T>(
    provider: &P,
    token: &T,
    head: Option<AnswerHead<'_>>,
    is_rerun: bool,
) -> Option<T> {
    provider.served(token);
    if let Some(AnswerHead { status, headers, .. }) = head {
        provider.answered(token, status, headers);
    }
    if is_rerun { None } else { provider.rerun(token) }
}

/// Reports the same. Returns the future of the token with which the body is to run again: one of
/// another account, one after a step-up, or the same with another proof, unless a request in the
/// body has stepped up `in_vain`.
#[inline]
pub fn next_run<P: TokenProvider<Token = T> + ?Sized, T: Borrow<AccessToken> + Send + 'static>(
    provider: &P,
    token: &T,
    head: Option<AnswerHead<'_>>,
    is_rerun: bool,
    in_vain: bool,
) -> Option<Renewal<T>> {
    let has_nonce = head.is_some_and(|head| keeps_nonce(token.borrow(), head));
    if let Some(other) = served(provider, token, head, is_rerun) {
        return Some(Box::pin(ready(Ok(other))));
    }
    let head = head.filter(|head| head.status.is_client_error() && !is_rerun && !in_vain)?;
    // Another lease would be another account's, with another key.
    if (token as &dyn Any).is::<AccessToken>() && has_other_proof(token.borrow(), head, has_nonce) {
        return Some(provider.fresh());
    }
    step_up(provider, token, head)
}

/// Returns whether the answer to a request with `token` takes no proof of it, and another one may
/// be taken: with the nonce that it had, or by its time.
#[cold]
fn has_other_proof(token: &AccessToken, head: AnswerHead<'_>, has_nonce: bool) -> bool {
    let Some(key) = token.key() else { return false };
    match head.proof_fault() {
        Some(ProofFault::Nonce) => has_nonce,
        Some(ProofFault::Refused) => key.follow_clock(head.headers),
        None => false,
    }
}

/// Keeps the nonce in the answer to a request with `token` (RFC 9449 §8.2). Returns whether there
/// was one.
fn keeps_nonce(token: &AccessToken, head: AnswerHead<'_>) -> bool {
    token.key().is_some_and(|key| key.keep_nonce_by_hand(head.url, head.headers))
}

/// Reports to the provider that the newer token was rejected too, and returns the error for the
/// caller.
#[cold]
pub fn rejected_again<P: TokenProvider + ?Sized>(provider: &P, token: &P::Token) -> Error {
    provider.rejected_again(token);
    Error::new(
        ErrorKind::RejectedAsIssued,
        "the access token was rejected with 401, and so was the one that replaced it",
    )
    .answered(StatusCode::UNAUTHORIZED)
}

/// One run of the body.
#[derive(Debug)]
pub struct BodyRun;

impl BodyRun {
    /// Returns a clone of an argument for this run, because the other run needs the argument too.
    /// Takes the argument by `&mut` so that the run does not borrow it by `&`, which would require
    /// `Sync`.
    #[inline]
    pub fn argument<T: Again>(argument: &mut T) -> T {
        argument.clone()
    }
}

/// Arguments that can be cloned for each run.
#[diagnostic::on_unimplemented(
    message = "`retry` may run the body twice, and `{Self}` can be had only once",
    label = "not `Clone`",
    note = "derive `Clone` for it, make it in the body, take it by reference or in an `Arc`, or do without `retry` on this method"
)]
pub trait Again: Clone {}

impl<T: Clone> Again for T {}

/// Returns what says whether the body can use the value of a field of `self` twice.
pub fn field<T>(field: &T) -> Field<'_, T> {
    Field(OtherField(field))
}

/// A field of `self` whose value the body uses.
///
/// *Deref-based specialization*, as in `answer`: a mutable reference is reborrowed where it is
/// used. Every other value is copied or moved, which [`OtherField`] tells apart.
#[derive(Debug)]
pub struct Field<'a, T>(OtherField<'a, T>);

/// A field that is no mutable reference.
#[derive(Debug)]
pub struct OtherField<'a, T>(#[expect(dead_code, reason = "only its type is used")] &'a T);

impl<T: ?Sized> Field<'_, &mut T> {
    /// Does nothing.
    #[expect(clippy::unused_self, reason = "it stands in for the method of `OtherField`")]
    pub fn reused(&self) {}
}

impl<T> OtherField<'_, T> {
    /// Does nothing. The compiler's error about [`Reused`] is the message to the user.
    pub fn reused(&self)
    where
        T: Reused,
    {
    }
}

impl<'a, T> Deref for Field<'a, T> {
    type Target = OtherField<'a, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Fields that the body can use again after it has used their value.
#[diagnostic::on_unimplemented(
    message = "`retry` may run the body twice, and this moves a `{Self}` out of `self`",
    label = "can be moved only once",
    note = "use a clone of it, or do without `retry` on this method"
)]
pub trait Reused {}

// Without this attribute the compiler reports the missing `Copy`, and does not show the advice
// above.
#[diagnostic::do_not_recommend]
impl<T: Copy> Reused for T {}
