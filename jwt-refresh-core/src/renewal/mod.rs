//! The renewal of an account's tokens, which sessions and pools share.
//!
//! `exchange` sends the requests of one renewal; `plan` says which requests it may send, and
//! `action` names and counts them. `credential`, `issued`, `lifetime` and `outcome` hold what a
//! renewal starts from and what it ends with, `revoke` revokes a refresh token, and `reentrancy`
//! detects a login that asks its own session for a token.

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
pub(crate) use exchange::{RenewalContext, exchange, had_nothing_to_send};
pub(crate) use issued::IssuedTokens;
pub(crate) use lifetime::{Lifetime, RequestTimes, expiry};
pub(crate) use outcome::{CutOffGuard, Outcome, Serving};
pub(crate) use plan::Plan;
pub(crate) use reentrancy::{is_within, next_id, within};
pub(crate) use revoke::revoke;
