//! An account as the pool keeps it.

use std::sync::Arc;

use super::rank::Slot;
use super::time::{LONG_AGO, NEVER};
use crate::pool::account::NamedAuthenticator;
use crate::pool::limits::{ALL, Limits, TagIndex};
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::renewal::RefreshCredential;
use crate::token::{AccessToken, RefreshToken};

/// What an account is to the lease, the exchange and the waiter that name it. A slot is used again once its account was
/// removed; the serial number is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccountHandle {
    pub(super) slot: Slot,
    pub(super) serial: u32,
}

/// When a token is due and expired, in nanoseconds since boot: the clock that nobody can step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges {
    pub(super) due: i64,
    pub(super) expires: i64,
}

/// An account as the pool keeps it. There may be a million, so this is kept small.
pub(super) struct AccountEntry {
    pub(super) identity: Arc<dyn NamedAuthenticator>,
    pub(super) limits: Arc<Limits>,
    pub(super) serial: u32,

    pub(super) token: Option<AccessToken>,
    pub(super) edges: Edges,
    /// See [`AccountEntry::credential`].
    refresh: Option<RefreshToken>,
    in_doubt: bool,
    pub(super) in_exchange: bool,
    /// Exchanges that failed, or did not help, since the last that did.
    pub(super) failures: u8,

    /// See [`Limit`](crate::pool::limit::Limit).
    pub(super) arrival: i64,
    /// The order among those that are ready, where it is not their time that counts.
    pub(super) order: i64,
    pub(super) turn: u32,
    /// Leases that are held.
    pub(super) held: u32,
    /// Leases of the present token.
    pub(super) used: u32,
    /// 429s in a row that did not say how long to rest.
    pub(super) strikes: u8,
    /// Renewals in a row after a 401 that did not help.
    pub(super) relapses: u8,
    /// When its token was last renewed because of a 401.
    pub(super) renewed_after_rejection: i64,
    pub(super) quarantine: Option<Box<Quarantine>>,
}

impl AccountEntry {
    /// Of an account that has not logged in yet.
    pub(super) fn new(identity: Arc<dyn NamedAuthenticator>, limits: Arc<Limits>, order: i64, now: i64) -> Self {
        let joining = Quarantine { cause: QuarantineCause::Joining, until: None, error: None };
        Self {
            identity,
            limits,
            serial: 0,
            token: None,
            edges: Edges { due: NEVER, expires: NEVER },
            refresh: None,
            in_doubt: false,
            in_exchange: false,
            failures: 0,
            arrival: now,
            order,
            turn: 0,
            held: 0,
            used: 0,
            strikes: 0,
            relapses: 0,
            renewed_after_rejection: LONG_AGO,
            quarantine: Some(Box::new(joining)),
        }
    }

    /// What it can refresh with.
    pub(super) fn credential(&self) -> RefreshCredential {
        match &self.refresh {
            Some(token) if self.in_doubt => RefreshCredential::InDoubt(token.clone()),
            token => RefreshCredential::of(token.clone()),
        }
    }

    pub(super) fn set_credential(&mut self, credential: RefreshCredential) {
        self.in_doubt = matches!(credential, RefreshCredential::InDoubt(_));
        self.refresh = match credential {
            RefreshCredential::None => None,
            RefreshCredential::Valid(token) | RefreshCredential::InDoubt(token) => Some(token),
        };
    }

    /// The lines it stands in.
    pub(super) fn tags(&self) -> impl Iterator<Item = TagIndex> {
        std::iter::once(ALL).chain(self.limits.tags.iter().copied())
    }

    pub(super) fn is_in(&self, tag: TagIndex) -> bool {
        tag == ALL || self.limits.tags.contains(&tag)
    }

    /// Whether callers may wait for it: it serves, or new tokens are on their way.
    pub(super) fn is_open(&self) -> bool {
        self.quarantine.as_ref().is_none_or(|quarantine| quarantine.until.is_none())
    }

    /// Whether its token is the `generation`th.
    pub(super) fn holds(&self, generation: u64) -> bool {
        self.token.as_ref().is_some_and(|token| token.generation() == generation)
    }

    /// Until when its token may be used: callers are not kept from a token that lives because it cannot be renewed, but while its
    /// renewal is under way the leeway counts.
    pub(super) fn usable_until(&self) -> i64 {
        if self.failures > 0 { self.edges.expires } else { self.edges.due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small() {
        assert!(size_of::<Option<AccountEntry>>() <= 120, "{} bytes", size_of::<Option<AccountEntry>>());
    }
}
