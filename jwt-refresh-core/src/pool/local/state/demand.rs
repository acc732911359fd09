//! What callers wait for and use in a process of a fleet, and how long its shares go on to serve
//! them.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::PoolState;
use crate::error::Error;
use crate::pool::limits::{ALL, TagIndex};
use crate::pool::local::metered_queue::Due;
use crate::pool::local::rank::Slot;
use crate::pool::local::state::Granted;
use crate::pool::local::waiters::{Selector, WaitFor};
use crate::pool::share::{Demand, TagUse};

/// How many tags and accounts are told at most.
const TOLD: usize = 64;

impl PoolState {
    /// Returns what callers ask for, to be told: from now on it is counted anew which leases they
    /// are given.
    pub(in crate::pool::local) fn take_demand(&mut self) -> Demand {
        let demand = self.demand();
        self.shares.uses.begin_anew();
        demand
    }

    /// Returns what callers ask for.
    pub(in crate::pool::local) fn demand(&self) -> Demand {
        let (mut waiting, mut wanted) = (Vec::new(), Vec::new());
        for (wait_for, callers) in self.waiters.counts() {
            match wait_for {
                WaitFor::Tag(tag) | WaitFor::LiveAccount(tag) => waiting.push((tag, callers)),
                WaitFor::Account(slot) => wanted.push((slot, callers)),
            }
        }
        let (waiting, wanted) = (most_wanted(waiting), most_wanted(wanted).into_iter());
        Demand {
            used: self.used(&waiting),
            waiting: waiting
                .into_iter()
                .map(|(tag, callers)| (self.tags.name(tag).map(str::to_owned), callers))
                .collect(),
            wanted: wanted
                .filter_map(|(slot, callers)| Some((self.table.get(slot)?.identity.name().to_owned(), callers)))
                .collect(),
            held: u32::try_from(self.counters.held).unwrap_or(u32::MAX),
            leases: self.counters.leases,
        }
    }

    /// Returns what is used of the tags that callers wait for, and of those that are used most. If
    /// no account serves here that has a tag, nobody asks for it but those that wait: leases of it
    /// that are left need nothing more.
    fn used(&self, waiting: &[(TagIndex, u32)]) -> Vec<(String, TagUse)> {
        let awaited: BTreeSet<TagIndex> = waiting.iter().map(|(tag, _)| *tag).collect();
        let (mut told, others): (Vec<_>, Vec<_>) = self.shares.uses.iter().partition(|(tag, _)| awaited.contains(tag));
        let is_served = |(tag, _): &(TagIndex, TagUse)| self.shares.serving.contains_key(tag);
        let mut serving: Vec<_> = others.into_iter().filter(is_served).collect();
        serving.sort_unstable_by_key(|&(tag, used)| (Reverse(used.held), Reverse(used.leases), tag));
        told.extend(serving.into_iter().take(TOLD.saturating_sub(awaited.len())));
        told.into_iter().filter_map(|(tag, used)| Some((self.tags.name(tag)?.to_owned(), used))).collect()
    }

    /// Counts what a caller uses who asked for a tag.
    pub(super) fn use_began(&mut self, tag: TagIndex) {
        if self.shares.is_fleet {
            self.shares.uses.granted(tag);
        }
    }

    /// Counts that such a lease has ended, also if its account has gone or has other tags by now.
    pub(super) fn use_ended(&mut self, tag: TagIndex) {
        if self.shares.is_fleet {
            self.shares.uses.ended(tag);
        }
    }

    /// Returns whether an account serves here that such a request may be given.
    pub(in crate::pool::local) fn serves(&mut self, selector: Selector) -> bool {
        let wait_for = self.wait_for(selector);
        !self.shares.have_ended && self.is_served(wait_for)
    }

    fn is_served(&self, wait_for: WaitFor) -> bool {
        match wait_for {
            WaitFor::Tag(tag) => self.shares.serving.contains_key(&tag),
            WaitFor::Account(slot) => self.shares.held.get(&slot).is_some_and(|held| held.is_counted),
            WaitFor::LiveAccount(_) => true,
        }
    }

    /// Notes that callers wait for something, if nothing here can serve them.
    pub(super) fn note_demand(&mut self, wait_for: WaitFor) {
        if !self.shares.is_fleet || self.shares.has_new_demand {
            return;
        }
        if self.shares.have_ended || !self.is_served(wait_for) {
            self.shares.has_new_demand = true;
            self.milestones += 1;
        }
    }

    /// Returns whether a caller has begun to wait for what does not serve here, since this was
    /// asked last.
    pub(in crate::pool::local) fn take_new_demand(&mut self) -> bool {
        std::mem::take(&mut self.shares.has_new_demand)
    }

    /// Counts whether an account serves here.
    pub(super) fn count_serving(&mut self, slot: Slot) {
        let Some(entry) = self.table.get(slot).filter(|entry| entry.is_supplied()) else { return };
        let serves = entry.quarantine().is_none() && entry.token.is_some() && entry.limits.concurrency > 0;
        self.set_serving(slot, serves);
    }

    /// Counts that an account does not serve here any more.
    pub(super) fn stop_serving(&mut self, slot: Slot) {
        self.set_serving(slot, false);
    }

    fn set_serving(&mut self, slot: Slot, serves: bool) {
        let Some(entry) = self.table.get(slot) else { return };
        let was_counted = self.shares.held.get(&slot).is_some_and(|held| held.is_counted);
        let left = self.shares.count(slot, entry.tags(), serves);
        let account = (was_counted && !serves).then_some(WaitFor::Account(slot));
        for wait_for in left.into_iter().map(WaitFor::Tag).chain(account) {
            if self.waiters.is_awaited(wait_for) {
                self.note_demand(wait_for);
            }
        }
    }

    /// Lets all shares end at that time.
    pub(in crate::pool::local) fn shares_end_at(&mut self, until: i64, now: i64) {
        self.shares.end = until;
        self.follow_share_end(now);
    }

    /// Says why the fleet cannot be reached, if it cannot.
    pub(in crate::pool::local) fn set_disconnected(&mut self, error: Option<Error>) {
        let old = std::mem::replace(&mut self.shares.disconnected, error);
        self.aftermath.errors.extend(old);
    }

    /// Notes whether the shares have ended. If they are there again, the callers that wait are
    /// looked after.
    pub(super) fn follow_share_end(&mut self, now: i64) {
        let have_ended = now >= self.shares.end;
        if have_ended == self.shares.have_ended {
            return;
        }
        self.shares.have_ended = have_ended;
        if !have_ended && !self.waiters.is_empty() {
            self.later.extend(self.shares.held.keys().copied().map(Due::Account));
        }
        if have_ended && !self.waiters.is_empty() {
            self.note_demand(WaitFor::Tag(ALL));
        }
    }

    /// Refuses a caller, or has it wait until there are shares again.
    pub(super) fn wait_for_shares(&mut self, selector: Selector, now: i64) -> Result<Result<Granted, WaitFor>, Error> {
        if let Some(error) = self.shares.refusal() {
            return Err(error.clone());
        }
        self.check_open(selector, now)?;
        Ok(Err(self.wait_for(selector)))
    }

    /// Returns what a caller waits for.
    fn wait_for(&mut self, selector: Selector) -> WaitFor {
        let Some(key) = selector.key else { return WaitFor::Tag(selector.tag) };
        self.account_for_key(key, selector.tag).map_or_else(|wait_for| wait_for, WaitFor::Account)
    }

    /// Refuses the callers that wait for shares of a fleet that cannot be reached.
    pub(super) fn refuse_disconnected(&mut self, now: i64) {
        while let Some(error) = self.shares.refusal().cloned() {
            let Some(id) = self.waiters.first_of_all().filter(|_| self.take_step()) else { return };
            let Some(waiter) = self.leave(id, now) else { return };
            self.aftermath.replies.push((waiter.reply, Err(error)));
        }
    }

    /// Returns whether callers are left to be refused.
    pub(super) fn has_to_refuse(&self) -> bool {
        self.shares.refusal().is_some() && !self.waiters.is_empty()
    }
}

/// Returns what most callers wait for.
fn most_wanted(mut all: Vec<(Slot, u32)>) -> Vec<(Slot, u32)> {
    all.sort_unstable_by_key(|&(of, callers)| (Reverse(callers), of));
    all.truncate(TOLD);
    all
}
