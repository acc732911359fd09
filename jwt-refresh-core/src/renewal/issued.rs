//! An access token with its lifetime and with what it can be renewed with.

use super::credential::RefreshCredential;
use super::lifetime::{Lifetime, RequestTimes, expiry, expiry_of_captured, server_ahead};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::token::{AccessToken, RefreshToken, Tokens};

/// An access token and what belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct IssuedTokens {
    pub(crate) token: AccessToken,
    /// When the life of the access token began, as far as is known.
    pub(crate) begins: Moment,
    pub(crate) life: Lifetime,
    pub(crate) credential: RefreshCredential,
    /// When the refresh token expires, if the server has said so.
    pub(crate) login_ends: Option<Moment>,
    /// By how many nanoseconds the server's clock is ahead of this process's, if that is known.
    pub(crate) server_ahead: Option<i64>,
    /// The number of this token among all that were issued to the account, in all processes that
    /// share its store.
    pub(crate) sequence: u64,
}

impl IssuedTokens {
    /// Returns the tokens of a server's answer. `old` is the refresh token that was sent, if one
    /// was.
    ///
    /// # Errors
    ///
    /// If the access token has already expired, or must not be used. With the error comes what to
    /// go on with.
    pub(crate) fn issued(
        policy: &Policy,
        tokens: Tokens,
        times: RequestTimes,
        old: Option<RefreshToken>,
        sequence: u64,
    ) -> Result<Self, (Error, RefreshCredential)> {
        let expires = expiry(policy, &tokens, times);
        let login_ends = tokens.refresh_lifetime().map(|lifetime| times.sent + lifetime);
        let server_ahead = server_ahead(&tokens, times);
        let credential = match (tokens.refresh, old) {
            // RFC 6749 §6: a new refresh token replaces the old one; without a new one the old one
            // stays.
            (Some(new), Some(old)) if new == old => RefreshCredential::Reusable(old),
            (Some(new), _) => RefreshCredential::Valid(new),
            // The old one may have been replaced by one that cannot be read.
            (None, Some(old)) if tokens.refresh_is_unreadable => RefreshCredential::InDoubt(old),
            (None, Some(old)) => RefreshCredential::Reusable(old),
            (None, None) => RefreshCredential::None,
        };
        if let Some(error) = tokens.refused {
            return Err((error, credential));
        }
        if expires.is_some_and(|expires| expires <= times.answered.wall) {
            let error = Error::new(ErrorKind::BadAnswer, "the server issued an access token that has already expired")
                .advising("check the clocks, and in which unit the server states lifetimes");
            return Err((error, credential));
        }
        let life = Lifetime::new(policy, times.sent, expires, fastrand::f64());
        Ok(Self { token: tokens.access, begins: times.sent, life, credential, login_ends, server_ahead, sequence })
    }

    /// Returns tokens that were captured elsewhere, for example at a login in a browser.
    pub(crate) fn captured(policy: &Policy, tokens: Tokens, now: Moment, sequence: u64) -> Self {
        let expires = expiry_of_captured(policy, &tokens, now.wall);
        let login_ends = tokens.refresh_lifetime().map(|lifetime| now + lifetime);
        let life = Lifetime::new(policy, now, expires, fastrand::f64());
        let credential = RefreshCredential::of(tokens.refresh);
        Self { token: tokens.access, begins: now, life, credential, login_ends, server_ahead: None, sequence }
    }
}
