//! Which account serves a caller, at once or as soon as one can.

use std::sync::Arc;

use super::{Granted, PoolState};
use crate::error::Error;
use crate::pool::failure::{self, FirstToReturn};
use crate::pool::limit::Call;
use crate::pool::limits::ALL;
use crate::pool::local::entry::AccountHandle;
use crate::pool::local::lease_timeouts::LeaseCharge;
use crate::pool::local::rank::Slot;
use crate::pool::local::ready_queue::Position;
use crate::pool::local::time::until;
use crate::pool::local::waiters::{Selector, WaitFor};
use crate::pool::quarantine::QuarantineCause;

/// How many accounts a caller finds that cannot serve it after all, one after the other, before it
/// waits until the others are looked at, too.
const LOOKED_AT_ONCE: usize = 32;

/// How many accounts that return are looked at for one that allows a call of some cost.
const RETURNING_LOOKED_AT: usize = 64;

impl PoolState {
    /// Returns the accounts that a tag and the hash of a key select, for a call of that cost.
    pub(in crate::pool::local) fn selector(
        &self,
        tag: Option<&str>,
        key: Option<u64>,
        cost: u64,
    ) -> Result<Selector, Error> {
        let tag = match tag {
            None => ALL,
            Some(tag) => self.tags.index(tag).ok_or_else(|| failure::unknown_tag(tag))?,
        };
        Ok(Selector { tag, key, cost })
    }

    /// Grants a lease at once, or returns what to wait for. Fails if no selected account is open.
    pub(in crate::pool::local) fn acquire(
        &mut self,
        selector: Selector,
        now: i64,
    ) -> Result<Result<Granted, WaitFor>, Error> {
        self.expect_open()?;
        #[cfg(feature = "redis")]
        if self.have_shares_ended() {
            return self.wait_for_shares(selector, now);
        }
        self.end_rests(selector.tag, now);
        for _ in 0..LOOKED_AT_ONCE {
            self.check_open(selector, now)?;
            let (slot, wait_for) = match self.account_for(selector, now) {
                Ok(found) => found,
                Err(wait_for) => return Ok(Err(wait_for)),
            };
            if self.expire(slot, now) {
                continue;
            }
            if self.can_serve(slot, selector.cost, now) {
                // A caller that waits already goes first.
                let is_free = !self.is_awaited(slot, now);
                let granted = if is_free { self.grant(slot, selector, false, now) } else { None };
                return Ok(granted.ok_or(wait_for));
            }
            match selector.key {
                Some(_) => return self.check_key(slot, selector.cost).map(|()| Err(wait_for)),
                // Its place was not up to date.
                None => self.place(slot, now),
            }
        }
        Ok(Err(self.look_further(selector)))
    }

    /// Returns the account that is to serve a caller next, with what the caller waits for if the
    /// account is not ready; or what to wait for until there is one.
    fn account_for(&mut self, selector: Selector, now: i64) -> Result<(Slot, WaitFor), WaitFor> {
        if let Some(key) = selector.key {
            return self.account_for_key(key, selector.tag).map(|slot| (slot, WaitFor::Account(slot)));
        }
        let wait_for = WaitFor::Tag(selector.tag);
        self.first_ready(selector, now).map(|slot| (slot, wait_for)).ok_or(wait_for)
    }

    /// Returns what a caller waits for while the scheduler looks at further accounts for it.
    fn look_further(&mut self, selector: Selector) -> WaitFor {
        if selector.key.is_none() {
            return WaitFor::Tag(selector.tag);
        }
        let wait_for = WaitFor::LiveAccount(selector.tag);
        self.redirects.push_back(wait_for);
        wait_for
    }

    /// Fails if no open account allows the call.
    pub(super) fn check_open(&self, selector: Selector, now: i64) -> Result<(), Error> {
        let Selector { tag, cost, .. } = selector;
        let (highest, highest_open) = self.tags.highest_costs(tag);
        if cost > highest {
            return Err(failure::cost_too_high(cost, highest, self.tags.name(tag)));
        }
        if self.tags.count(tag).open == 0 || cost > highest_open {
            return Err(self.no_open_account(selector, now));
        }
        Ok(())
    }

    /// Fails if the account that a key belongs to never allows a call of that cost.
    fn check_key(&self, slot: Slot, cost: u64) -> Result<(), Error> {
        let Some(entry) = self.table.get(slot) else { return Ok(()) };
        let most = self.most(entry);
        if cost > most { Err(failure::cost_too_high_for_key(cost, most, entry.identity.name())) } else { Ok(()) }
    }

    /// Returns the error that says why no account of the tag that allows the call is open.
    fn no_open_account(&self, selector: Selector, now: i64) -> Error {
        let Selector { tag, cost, .. } = selector;
        let name = self.tags.name(tag);
        if self.tags.count(tag).accounts == 0 {
            return failure::no_account(name);
        }
        let returning = self.quarantined.first_to_return(tag, if cost > 1 { RETURNING_LOOKED_AT } else { 1 });
        let mut entries = returning.into_iter().filter_map(|(_, slot)| self.table.get(slot));
        let first = entries.find(|entry| self.most(entry) >= cost);
        let Some((entry, quarantine)) = first.and_then(|entry| Some((entry, entry.quarantine()?))) else {
            return failure::all_quarantined(name, None);
        };
        // If it waits for an endpoint that is back, its exchange begins soon.
        let returns_soon = quarantine.cause.needs_tokens() && !entry.is_supplied();
        let returns = self.return_time(entry, quarantine).or_else(|| Some(now).filter(|_| returns_soon));
        let wait = returns.map(|time| until(now, time));
        let first = FirstToReturn { account: entry.identity.name(), wait, cause: quarantine.cause };
        let error = failure::all_quarantined(name, Some(&first));
        match &quarantine.error {
            Some(cause) => error.caused_by(cause.clone()),
            None => error,
        }
    }

    /// Grants a lease of an account that is ready. If the caller `waited`, rates let the next call
    /// make up for the time that it took to wake the caller.
    pub(super) fn grant(&mut self, slot: Slot, to: Selector, waited: bool, now: i64) -> Option<Granted> {
        self.last_lease = self.last_lease.wrapping_add(1);
        let last_lease = self.last_lease;
        let entry = self.table.get_mut(slot)?;
        let token = entry.token.clone()?;
        // A key has chosen the account, so the lease says nothing of the account's share.
        if to.key.is_none() {
            self.ready_queue.charge(slot, &entry.limits, to.tag);
        }
        let charge_from = if waited { entry.limits.rate.charge_from(1, now) } else { now };
        entry.arrival = entry.limits.rate.charge(entry.arrival, 1, charge_from);
        entry.last_lease = last_lease;
        entry.used += 1;
        entry.calls = entry.calls.saturating_add(1);
        let is_used_up = entry.used >= entry.limits.usage_cap;
        let handle = AccountHandle { slot, serial: entry.serial };
        let (identity, pin) = (Arc::clone(&entry.identity), entry.limits.pinned.0.clone());
        let (is_metered, group) = (entry.is_metered(), entry.limits.group);
        self.counters.leased(now);
        if is_metered {
            self.charge_metered(slot, to.cost, waited, now);
        }
        if let Some(entry) = self.table.get_mut(slot) {
            entry.held += 1;
            self.counters.held += 1;
        }
        if is_used_up {
            self.renew_now(slot, QuarantineCause::UsageCap, now);
        } else {
            self.place(slot, now);
        }
        let call = Call { cost: to.cost, leased: now };
        let lease = self.counters.leases;
        self.lease_timeouts.granted(lease, LeaseCharge { handle, tag: to.tag, group, cost: to.cost }, now);
        #[cfg(feature = "redis")]
        self.use_began(to.tag);
        Some(Granted { handle, identity, token, pin, lease, call, tag: to.tag, group })
    }

    /// Puts an account where it belongs: ready, waiting for its rate, or idle.
    pub(super) fn place(&mut self, slot: Slot, now: i64) {
        self.expire(slot, now);
        self.update_live(slot);
        let Some(entry) = self.table.get(slot) else { return };
        if entry.is_metered() {
            return self.place_metered(slot, now);
        }
        let next_call = entry.limits.rate.next_call(entry.arrival);
        let position = if entry.serves() {
            Position::Serving { next_call, waits: next_call > now, last_lease: entry.last_lease }
        } else {
            Position::Idle
        };
        self.ready_queue.set_position(slot, &entry.limits, position);
    }

    /// Takes an account out of the order in which accounts serve.
    pub(super) fn set_idle(&mut self, slot: Slot) {
        let Some(entry) = self.table.get(slot) else { return };
        if entry.is_metered() {
            self.metered.set(slot, &entry.limits, None, None);
        } else {
            self.ready_queue.set_position(slot, &entry.limits, Position::Idle);
        }
    }
}
