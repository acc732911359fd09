//! A share of an account: the part of its limits that one process of a fleet may use, and what is
//! handed over with it to the process that has it next.
//!
//! All times in what is handed over are in nanoseconds of a *reference clock*, which is the time
//! since boot of the process that hands over, or takes over, plus an `offset` that its caller
//! knows. The quota of a day goes by the wall clock as it is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::limit::{RuleState, Totals};
use super::limits::Limits;
use super::quarantine::{Quarantine, QuarantineCause};
use super::strikes::Strikes;
use crate::clock::Moment;
use crate::token::AccessToken;

/// How much of an account a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) units: u32,
    /// Into how many units the account is divided.
    pub(super) of: u32,
    /// Leases that earlier holders still hold: they count against the concurrency.
    pub(super) held_elsewhere: u32,
    /// What calls of earlier holders have cost beside, as was told since this one was given it.
    pub(super) late_cost: u64,
}

impl Share {
    /// Returns the limits of the share of an account with these limits.
    pub(super) fn limits(self, whole: &Arc<Limits>) -> Arc<Limits> {
        let Self { units, of, held_elsewhere, .. } = self;
        if units >= of && held_elsewhere == 0 {
            return Arc::clone(whole);
        }
        let concurrency = match whole.concurrency {
            _ if units == 0 => 0,
            u32::MAX => u32::MAX,
            all => part(all, units, of).saturating_sub(held_elsewhere),
        };
        Arc::new(Limits { rate: whole.rate.part(units, of), concurrency, ..Limits::clone(whole) })
    }
}

/// Returns the part of `number` that belongs to `units` of an account that is divided into `of`.
fn part(number: u32, units: u32, of: u32) -> u32 {
    if units >= of {
        return number;
    }
    u32::try_from(u64::from(number) * u64::from(units) / u64::from(of)).unwrap_or(number)
}

/// What is known of the state of an account when a process is given a share of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KnownState {
    /// Nothing was spent.
    #[default]
    Unused,
    /// This, as the last holder has released it.
    Exactly(AccountState),
    /// At least this, and the worst is assumed beside: the last holder is gone, or others have
    /// shares of the account.
    AtLeast(Option<AccountState>),
}

impl KnownState {
    pub(super) fn is_unused(&self) -> bool {
        *self == Self::Unused
    }

    /// Returns the state that was told, if any was.
    pub(super) fn told(&self) -> Option<&AccountState> {
        match self {
            Self::Unused => None,
            Self::Exactly(state) => Some(state),
            Self::AtLeast(state) => state.as_ref(),
        }
    }

    /// Takes in what is known of units that come to a share.
    pub(super) fn add(&mut self, other: &Self) {
        if !other.is_unused() {
            *self = Self::AtLeast(other.told().or(self.told()).cloned());
        }
    }

    /// Returns how much of the [late cost](Share::late_cost) of the share is known already.
    pub(super) fn late_cost(&self) -> u64 {
        self.told().map_or(0, |state| state.late_cost)
    }
}

/// What the policy of a pool must know of an account that goes to another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AccountState {
    /// How many units the share has whose state this is.
    pub(super) units: u32,
    /// The theoretical arrival time of the account's own even rate of calls.
    pub(super) arrival: i64,
    /// The states of its further limits, in the order of its definition; none if nothing was spent.
    pub(super) limits: Vec<RuleState>,
    /// The sequence of its last token, and how many leases that has served.
    pub(super) served: Option<(u64, u32)>,
    /// The sequence of the last token that may not be used any more, and why.
    pub(super) spent: Option<(u64, QuarantineCause)>,
    pub(super) strikes: Strikes,
    /// Why the account rests, if it does, and until when.
    pub(super) rest: Option<(QuarantineCause, i64)>,
    /// Leases that are still held.
    pub(super) held: u32,
    /// How much of quotas may have been spent beside, since this was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reserved: Option<Totals>,
    /// How much of the [late cost](Share::late_cost) of its share is in it.
    #[serde(default)]
    pub(super) late_cost: u64,
}

impl AccountState {
    /// Returns the state of an account that has `units`, and of whose quotas nothing was spent.
    pub(super) fn unspent(units: u32) -> Self {
        Self {
            units,
            arrival: 0,
            limits: Vec::new(),
            served: None,
            spent: None,
            strikes: Strikes::NONE,
            rest: None,
            held: 0,
            reserved: Some(Totals::default()),
            late_cost: 0,
        }
    }
}

/// A token of an account, as it goes from the process that gets it to those that use it.
#[derive(Clone, Debug)]
pub(super) struct SuppliedToken {
    pub(super) token: AccessToken,
    /// The number of the token among all that were issued to the account.
    pub(super) sequence: u64,
    pub(super) expires: Moment,
}

/// What is true of an account that has changed.
#[derive(Clone, Debug)]
pub(super) struct AccountChange {
    pub(super) name: String,
    /// The token that the account has.
    pub(super) token: Option<SuppliedToken>,
    /// Why it does not serve. Of an account whose tokens are supplied, only what this process has
    /// found out: a rest, or that it waits for a token.
    pub(super) quarantine: Option<Quarantine>,
    /// The sequence of the token for which a new one is wanted, and why.
    pub(super) wants: Option<(u64, QuarantineCause)>,
    /// How many of its leases are held.
    pub(super) held: u32,
    /// What its calls have cost beside since others have it, as far as it was not told before.
    pub(super) late_cost: u64,
    /// Whether more of its quotas is to be [reserved](super::local::Pool::reserve).
    pub(super) is_short: bool,
    /// The account was removed. Nothing else is known of it then.
    pub(super) is_removed: bool,
}

/// What callers ask a pool for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Demand {
    /// How many callers wait, by the tag that they asked for (`None`: any account).
    pub(super) waiting: Vec<(Option<String>, u32)>,
    /// For which accounts callers with keys wait, and how many.
    pub(super) wanted: Vec<(String, u32)>,
    /// What callers with a tag use, by that: of tags that callers wait for, and of those that are
    /// used most.
    pub(super) used: Vec<(String, TagUse)>,
    /// How many leases are held, by callers with a tag and without.
    pub(super) held: u32,
    /// How many leases were given so far, to callers with a tag and without.
    pub(super) leases: u64,
}

/// What callers with one tag use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TagUse {
    /// How many leases they hold.
    pub(super) held: u32,
    /// How many leases they were given since the fleet was told.
    pub(super) leases: u64,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::pool::account::Account;
    use crate::pool::definition::Definition;
    use crate::pool::start::NoLogin;

    const SECOND: i64 = 1_000_000_000;

    /// Returns how many calls these limits allow at once, and then within three seconds.
    fn calls(limits: &Limits) -> (u64, u64) {
        let (mut arrival, mut at_once, mut calls) = (0, 0, 0);
        for now in (0..3 * SECOND).step_by(500_000) {
            while limits.rate.next_call(arrival) <= now {
                arrival = limits.rate.charge(arrival, 1, now);
                calls += 1;
                at_once += u64::from(now == 0);
            }
        }
        (at_once, calls)
    }

    proptest! {
        #[test]
        fn the_parts_of_an_account_allow_together_at_most_what_it_does(
            (requests, burst, concurrency) in (1..200_u32, 1..20_u32, prop::option::of(1..30_u32)),
            cuts in prop::collection::vec(any::<u32>(), 0..5),
        ) {
            let account = Account::new("ada", NoLogin).rate(requests, Duration::from_secs(1)).burst(burst);
            let account = concurrency.into_iter().fold(account, Account::concurrency);
            let of = Definition::of(&account).unwrap().units();
            let whole = Arc::new(account.limits(Box::default(), None, 0).unwrap());
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % (of + 1)).chain([0, of]).collect();
            cuts.sort_unstable();
            let parts: Vec<_> = cuts.windows(2).map(|pair| pair[1] - pair[0]).filter(|units| *units > 0).collect();
            let parts = parts.iter().map(|&units| Share { units, of, held_elsewhere: 0, late_cost: 0 }.limits(&whole));
            let (mut at_once, mut in_time, mut held) = (0, 0, 0_u64);
            for part in parts {
                let (first, all) = calls(&part);
                prop_assert!(first >= 1 && part.concurrency >= 1, "a part lets nothing through");
                at_once += first;
                in_time += all;
                held += u64::from(part.concurrency);
            }
            let most = u64::from(burst) + 3 * u64::from(requests);
            prop_assert!(at_once <= u64::from(burst) && in_time <= most, "{} at once, {} of {}", at_once, in_time, most);
            prop_assert!(concurrency.is_none() || held <= u64::from(whole.concurrency));
        }
    }

    #[test]
    fn leases_that_others_hold_count_against_a_share_which_may_allow_none_then() {
        let whole = Arc::new(Account::new("ada", NoLogin).concurrency(4).limits(Box::default(), None, 0).unwrap());
        let share = |units, held_elsewhere| Share { units, of: 4, held_elsewhere, late_cost: 0 };
        let concurrency = |units, held_elsewhere| share(units, held_elsewhere).limits(&whole).concurrency;
        assert_eq!([concurrency(4, 0), concurrency(3, 0), concurrency(3, 2), concurrency(2, 5)], [4, 3, 1, 0]);
        assert_eq!(concurrency(0, 0), 0);
    }
}
