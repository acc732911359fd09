//! What a pool holds of one account.

use std::sync::Arc;

use super::endpoints::DueExchange;
use super::groups::tags_of;
use super::rank::Slot;
use super::rare::Rare;
use super::slots::Priority;
use super::time::{LONG_AGO, NEVER};
use crate::pool::account::NamedAuthenticator;
use crate::pool::limits::{ALL, Limits, TagIndex};
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::renewal::RefreshCredential;
use crate::token::{AccessToken, RefreshToken};

/// Identifies an account for its leases and exchanges, even after it was removed. A slot is used
/// again once its account was removed; a serial number is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccountHandle {
    pub(super) slot: Slot,
    pub(super) serial: u32,
}

/// When a token is due and when it expires, in nanoseconds since boot: that clock cannot be
/// stepped.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenTimes {
    /// When callers are to wait for new tokens: the leeway before the token expires.
    pub(super) due: i64,
    pub(super) expires: i64,
}

/// How far an account's next login or refresh is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExchangeState {
    /// It is planned for some time, or for none.
    Planned,
    /// It is due, and has not begun yet.
    Due(Priority),
    /// It is under way.
    Running,
    /// There is none: the account's tokens are supplied by another process of its fleet.
    #[cfg(feature = "redis")]
    Supplied,
}

/// What a refresh token is worth, as its [`RefreshCredential`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefreshKind {
    Valid,
    Reusable,
    InDoubt,
}

/// What a pool holds of one account. A pool may have a million accounts, so an entry is kept small.
pub(super) struct AccountEntry {
    pub(super) identity: Arc<dyn NamedAuthenticator>,
    pub(super) limits: Arc<Limits>,
    pub(super) serial: u32,

    pub(super) token: Option<AccessToken>,
    pub(super) times: TokenTimes,
    /// The token of the refresh [`credential`](Self::credential), which takes less room in two
    /// fields.
    refresh: Option<RefreshToken>,
    refresh_kind: RefreshKind,
    pub(super) exchange: ExchangeState,
    /// Whether the account has ever had tokens.
    pub(super) has_joined: bool,
    /// Whether callers' keys can belong to the account: it has a token and is not in quarantine.
    pub(super) is_live: bool,
    /// How many exchanges failed since the last success.
    pub(super) failures: u8,

    /// The theoretical arrival time, see [`Limit`](crate::pool::limit::Limit).
    pub(super) arrival: i64,
    /// The number of its last lease, as the pool counts leases.
    pub(super) last_lease: u32,
    /// How many leases were given so far.
    pub(super) calls: u32,
    /// How many leases are held.
    pub(super) held: u32,
    /// How many leases the present token has served.
    pub(super) used: u32,
    /// What few accounts have, such as a quarantine.
    pub(super) rare: Rare,
}

impl AccountEntry {
    /// Returns the entry of an account that has not logged in yet.
    pub(super) fn new(identity: Arc<dyn NamedAuthenticator>, limits: Arc<Limits>, now: i64) -> Self {
        let joining = Quarantine { cause: QuarantineCause::Joining, until: None, error: None };
        let mut rare = Rare::default();
        rare.change(|rare| rare.quarantine = Some(joining));
        Self {
            identity,
            limits,
            serial: 0,
            token: None,
            times: TokenTimes { due: NEVER, expires: NEVER },
            refresh: None,
            refresh_kind: RefreshKind::Valid,
            exchange: ExchangeState::Planned,
            has_joined: false,
            is_live: false,
            failures: 0,
            arrival: now,
            last_lease: 0,
            calls: 0,
            held: 0,
            used: 0,
            rare,
        }
    }

    /// Returns whether the account never logs in here, since its tokens are supplied.
    #[cfg_attr(not(feature = "redis"), expect(clippy::unused_self, reason = "only fleets have such"))]
    pub(super) fn is_supplied(&self) -> bool {
        #[cfg(feature = "redis")]
        return self.exchange == ExchangeState::Supplied;
        #[cfg(not(feature = "redis"))]
        false
    }

    /// Returns what the account can refresh with.
    pub(super) fn credential(&self) -> RefreshCredential {
        match (&self.refresh, self.refresh_kind) {
            (Some(token), RefreshKind::InDoubt) => RefreshCredential::InDoubt(token.clone()),
            (Some(token), RefreshKind::Reusable) => RefreshCredential::Reusable(token.clone()),
            (token, _) => RefreshCredential::of(token.clone()),
        }
    }

    pub(super) fn set_credential(&mut self, credential: RefreshCredential) {
        self.refresh_kind = match &credential {
            RefreshCredential::InDoubt(_) => RefreshKind::InDoubt,
            other if other.is_reusable() => RefreshKind::Reusable,
            _ => RefreshKind::Valid,
        };
        self.refresh = credential.into_token();
    }

    /// Returns the account's tags, with the one that stands for all accounts.
    pub(super) fn tags(&self) -> impl Iterator<Item = TagIndex> {
        tags_of(&self.limits)
    }

    /// Returns whether the account has the tag.
    pub(super) fn is_in(&self, tag: TagIndex) -> bool {
        tag == ALL || self.limits.tags.contains(&tag)
    }

    /// Returns whether the account is open: callers may wait for it, since it serves or new tokens
    /// are on their way.
    pub(super) fn is_open(&self) -> bool {
        self.quarantine().is_none_or(|quarantine| quarantine.until.is_none())
    }

    /// Returns whether the account has a token to serve with, and a lease to give.
    pub(super) fn serves(&self) -> bool {
        self.quarantine().is_none() && self.token.is_some() && self.held < self.limits.concurrency
    }

    /// Returns whether the account has limits that are not just one rate of calls.
    pub(super) fn is_metered(&self) -> bool {
        !self.limits.further.is_empty() || self.limits.group.is_some() || self.rare.get().limits.is_some()
    }

    /// Returns why the account does not serve, if it is in quarantine.
    pub(super) fn quarantine(&self) -> Option<&Quarantine> {
        self.rare.get().quarantine.as_ref()
    }

    /// Returns the account's exchange as one that is due now. Of accounts that have served, one
    /// without a token goes first, and then the one whose token expires first; of accounts that
    /// join, the one that was added first.
    pub(super) fn due_exchange(&self, slot: Slot) -> DueExchange {
        let priority = match self.has_joined {
            _ if self.failures > 0 => Priority::Failing,
            true => Priority::Serving,
            false => Priority::Joining,
        };
        self.due_at(priority, slot)
    }

    /// Returns the account's exchange that is due with this priority.
    pub(super) fn due_at(&self, priority: Priority, slot: Slot) -> DueExchange {
        let key = match priority {
            Priority::Serving => self.token.as_ref().map_or(LONG_AGO, |_| self.times.expires),
            Priority::Joining | Priority::Revocation => i64::from(self.serial),
            Priority::Failing => self.rare.get().retry_at.unwrap_or(LONG_AGO),
        };
        (priority, key, slot)
    }

    /// Returns whether the account's token is the one of that generation.
    pub(super) fn holds(&self, generation: u64) -> bool {
        self.token.as_ref().is_some_and(|token| token.generation() == generation)
    }

    /// Returns whether callers may use the token.
    pub(super) fn has_usable_token(&self, now: i64) -> bool {
        self.token.is_some() && now < self.usable_until()
    }

    /// Returns until when callers may use the token: until it is due, so that they wait for new
    /// tokens within the leeway. After a failed renewal there is nothing to wait for, so they may
    /// use it until it expires.
    pub(super) fn usable_until(&self) -> i64 {
        if self.failures > 0 { self.times.expires } else { self.times.due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_at_most_120_bytes() {
        assert!(size_of::<Option<AccountEntry>>() <= 120, "{} bytes", size_of::<Option<AccountEntry>>());
    }
}
