//! What a session holds: an access token and its life, and what it can be renewed with.

use super::lifetime::{Exchange, Lifetime, expiry, expiry_of_captured};
use crate::clock::Moment;
use crate::{AccessToken, Error, ErrorKind, Policy, RefreshToken, Tokens};

/// An access token with all that belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    pub(crate) token: AccessToken,
    pub(crate) life: Lifetime,
    pub(crate) grant: Grant,
    /// Counts the tokens that were issued to this account, in all processes that share its store.
    pub(crate) issue: u64,
}

/// What the session can refresh with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Nothing: it has to log in.
    None,
    /// A refresh token that the server has not seen since it issued it.
    Sound(RefreshToken),
    /// One that was sent without an answer: spent, or not. Sending it again may look like theft (RFC 9700 §4.14.2), so it is
    /// the last resort.
    Doubtful(RefreshToken),
}

impl Grant {
    pub(crate) fn of(token: Option<RefreshToken>) -> Self {
        token.map_or(Self::None, Self::Sound)
    }

    /// After it was sent, and nobody knows what came of it.
    pub(crate) fn in_doubt(self) -> Self {
        match self {
            Self::Sound(token) => Self::Doubtful(token),
            other => other,
        }
    }
}

impl Holding {
    /// What a server's answer comes to. `old` is the refresh token that was sent, if one was.
    ///
    /// # Errors
    ///
    /// If the access token has already expired, with what can be refreshed with all the same, if the answer brought it.
    pub(crate) fn issued(
        policy: &Policy,
        tokens: Tokens,
        exchange: Exchange,
        old: Option<RefreshToken>,
        issue: u64,
    ) -> Result<Self, (Error, Option<RefreshToken>)> {
        let expires = expiry(policy, &tokens, exchange);
        // RFC 6749 §6: a new refresh token replaces the old one; without a new one the old one stays.
        let refresh = tokens.refresh.or(old);
        if expires.is_some_and(|expires| expires <= exchange.answered.wall) {
            let error = Error::new(ErrorKind::BadAnswer, "the server issued an access token that has already expired");
            return Err((error, refresh));
        }
        let life = Lifetime::new(policy, exchange.asked, expires, fastrand::f64());
        Ok(Self { token: tokens.access, life, grant: Grant::of(refresh), issue })
    }

    /// What tokens come to that were captured elsewhere.
    pub(crate) fn captured(policy: &Policy, tokens: Tokens, now: Moment, issue: u64) -> Self {
        let expires = expiry_of_captured(policy, &tokens, now.wall);
        let life = Lifetime::new(policy, now, expires, fastrand::f64());
        Self { token: tokens.access, life, grant: Grant::of(tokens.refresh), issue }
    }
}
