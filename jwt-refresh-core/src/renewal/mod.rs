//! Getting new tokens for an account: what sessions and pools have in common.
//!
//! An `exchange` goes by a `plan` and asks a server for one `action` or two. It starts from a
//! refresh `credential`, and its `outcome` is `issued` tokens with a `lifetime`, or a failure.
//! `revoke` gives a refresh token back, and `reentrancy` tells a login that asks its own session for
//! a token.

mod action;
mod credential;
mod exchange;
mod issued;
mod lifetime;
mod outcome;
mod plan;
mod reentrancy;
mod revoke;

pub(crate) use action::{Action, count_answer, count_wait};
pub(crate) use credential::RefreshCredential;
pub(crate) use exchange::{RenewalContext, exchange};
pub(crate) use issued::IssuedTokens;
pub(crate) use lifetime::Lifetime;
#[cfg(test)]
pub(crate) use lifetime::RequestTimes;
pub(crate) use outcome::{CutOffGuard, Outcome, Serving};
pub(crate) use plan::Plan;
pub(crate) use reentrancy::{is_within, next_id, within};
pub(crate) use revoke::revoke;
