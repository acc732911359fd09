//! The shares that a process of a fleet has of accounts: how they come, change and go.
//!
//! An account that this process has no share of is `Elsewhere`: callers may wait for it, and keys
//! may belong to it. It stays so until it has a share and a token. What other processes say of an
//! account covers what is true of it here.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::PoolState;
use crate::pool::limit::{LimitRule, SpentSince, Unit};
use crate::pool::limits::Limits;
use crate::pool::local::entry::{AccountEntry, ExchangeState};
use crate::pool::local::limit_states::LimitStates;
use crate::pool::local::rank::Slot;
use crate::pool::local::share_table::{HeldShare, Served};
use crate::pool::local::waiters::{WaitFor, Waiter, WaiterId};
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::share::{AccountState, KnownState, Share};
use crate::pool::strikes::Strikes;

/// How many accounts are looked at for a caller that waits for the fleet to be told of one.
const LOOKED_AT: usize = 1000;

const ELSEWHERE: Quarantine = Quarantine { cause: QuarantineCause::Elsewhere, until: None, error: None };

impl PoolState {
    /// Notes that an account was added whose tokens are supplied.
    pub(super) fn added_elsewhere(&mut self, slot: Slot) {
        let Some(entry) = self.table.get_mut(slot) else { return };
        entry.exchange = ExchangeState::Supplied;
        self.shares.is_fleet = true;
        self.set_quarantine(slot, Some(ELSEWHERE));
    }

    /// Returns the account of that name, if its tokens are supplied.
    pub(super) fn supplied(&self, name: &str) -> Option<Slot> {
        let slot = self.table.find(name)?;
        self.table.get(slot).filter(|entry| entry.is_supplied()).map(|_| slot)
    }

    /// Gives this process a share of an account. Returns whether it has one now.
    pub(in crate::pool::local) fn grant_share(
        &mut self,
        name: &str,
        share: Share,
        before: &KnownState,
        offset: i64,
        now: i64,
    ) -> bool {
        let Some(slot) = self.supplied(name) else { return false };
        if self.shares.held.contains_key(&slot) {
            self.change_share(name, share, now);
            return true;
        }
        let Some(entry) = self.table.get(slot) else { return false };
        let whole = Arc::clone(&entry.limits);
        let is_unavailable = entry.rare.get().cause() != Some(QuarantineCause::Elsewhere);
        let limits = self.limits_of(share, &whole);
        let (served, spent, rest) = history(before, offset, whole.usage_cap, now);
        let late = self.shares.late.remove(&slot).unwrap_or_default();
        let spent = spent.into_iter().chain(late.spent).max_by_key(|(sequence, _)| *sequence);
        let late_rest = late.rest.filter(|rest| rest.until.is_some_and(|until| until > now));
        let rest = rest.into_iter().chain(late_rest).max_by_key(|rest| rest.until);
        self.take_over(slot, limits, &whole, (share, before), offset, now);
        let late_cost = late.cost.saturating_add(share.late_cost.saturating_sub(before.late_cost()));
        self.count_elsewhere(slot, late_cost, share, now);
        let (to_go_on, rest) = if is_unavailable { (rest, None) } else { (None, rest) };
        let told_others = None;
        let held =
            HeldShare { share, whole, served, spent, is_unavailable, told_others, rest: to_go_on, is_counted: false };
        self.shares.held.insert(slot, held);
        if !is_unavailable {
            let quarantine = rest.or_else(|| self.own_quarantine(slot, now));
            self.set_quarantine(slot, quarantine);
        }
        true
    }

    /// Returns the limits of a share. Those of one account after the other are one allocation if
    /// they are equal.
    fn limits_of(&mut self, share: Share, whole: &Arc<Limits>) -> Arc<Limits> {
        let limits = share.limits(whole);
        if Arc::ptr_eq(&limits, whole) { limits } else { self.share_limits(Limits::clone(&limits)) }
    }

    /// Takes over what is known of an account's limits.
    fn take_over(
        &mut self,
        slot: Slot,
        limits: Arc<Limits>,
        whole: &Limits,
        (share, before): (Share, &KnownState),
        offset: i64,
        now: i64,
    ) {
        let at = self.at(now);
        let Some(entry) = self.table.get_mut(slot) else { return };
        let state = before.told();
        let since = match before {
            KnownState::Unused | KnownState::Exactly(_) => SpentSince::Nothing,
            KnownState::AtLeast(_) => {
                state.and_then(|state| state.reserved).map_or(SpentSince::Unknown, SpentSince::AtMost)
            }
        };
        let carried = state.map(|state| {
            let old = whole.rate.part(state.units, share.of);
            limits.rate.carry_part(old, state.arrival.saturating_sub(offset), now)
        });
        let is_unknown = since != SpentSince::Nothing;
        let all_owed = is_unknown.then(|| limits.rate.all_owed(1, now));
        entry.arrival = carried.into_iter().chain(all_owed).max().unwrap_or(now);
        (entry.limits, entry.used) = (limits, 0);
        let states = |old: Option<&LimitStates>| {
            let rules = entry.limits.further.iter().enumerate().map(|(at_index, rule)| {
                if before.is_unused() {
                    return rule.unused(at);
                }
                let state = state.and_then(|state| match since {
                    // It had no such limits then, or nothing was spent of them.
                    SpentSince::Nothing | SpentSince::AtMost(_) if state.limits.is_empty() => Some(rule.unused(at)),
                    _ => state.limits.get(at_index).map(|state| state.handed_over(-offset)),
                });
                rule.taken_over(state.as_ref(), since, at)
            });
            let has_quotas = entry.limits.further.iter().any(|rule: &LimitRule| rule.quota().is_some());
            LimitStates::taken_over(rules.collect(), old, has_quotas)
        };
        let has_states = !entry.limits.further.is_empty() || entry.rare.get().limits.is_some();
        entry.rare.change(|rare| {
            rare.strikes = state.map_or(Strikes::NONE, |state| state.strikes.shifted(-offset));
            rare.limits = has_states.then(|| Box::new(states(rare.limits.as_deref())));
        });
    }

    /// Changes the share that this process has of an account.
    pub(in crate::pool::local) fn change_share(&mut self, name: &str, share: Share, now: i64) {
        let Some(slot) = self.supplied(name) else { return };
        let Some(held) = self.shares.held.get_mut(&slot) else { return };
        let late_cost = share.late_cost.saturating_sub(std::mem::replace(&mut held.share, share).late_cost);
        let whole = Arc::clone(&held.whole);
        let limits = self.limits_of(share, &whole);
        let Some(entry) = self.table.get_mut(slot) else { return };
        entry.arrival = limits.rate.carry_part(entry.limits.rate, entry.arrival, now);
        entry.limits = limits;
        self.count_elsewhere(slot, late_cost, share, now);
        self.count_serving(slot);
        self.dispatch(slot, now);
    }

    /// Counts what calls of earlier holders have cost beside, and their end if none is in flight.
    fn count_elsewhere(&mut self, slot: Slot, late_cost: u64, share: Share, now: i64) {
        self.with_limits(slot, now, |states, by| {
            states.charge_elsewhere(late_cost, by);
            if share.held_elsewhere == 0 {
                states.end_elsewhere(by);
            }
        });
    }

    /// Takes the share of an account away. Returns the state to be handed over, if there was one.
    pub(in crate::pool::local) fn release_share(&mut self, name: &str, offset: i64, now: i64) -> Option<AccountState> {
        let slot = self.supplied(name)?;
        let state = self.state_of(name, offset, now)?;
        let saved_for = self.end_saving(slot, now);
        self.unsaved.extend(saved_for);
        self.take_token(slot, now);
        self.timers.set(slot, None);
        self.set_idle(slot);
        self.stop_serving(slot);
        let held = self.shares.held.remove(&slot)?;
        let entry = self.table.get_mut(slot)?;
        (entry.limits, entry.arrival, entry.used) = (held.whole, now, 0);
        entry.rare.change(|rare| rare.strikes = Strikes::NONE);
        self.forget_limits(slot);
        if !held.is_unavailable {
            self.set_quarantine(slot, Some(ELSEWHERE));
        }
        Some(state)
    }

    /// Notes that a lease ended, of an account that may be elsewhere by now.
    pub(super) fn ended_elsewhere(&mut self, slot: Slot) {
        let is_supplied = self.table.get(slot).is_some_and(AccountEntry::is_supplied);
        if is_supplied && !self.shares.held.contains_key(&slot) {
            self.forget_limits(slot);
            self.note_change(slot);
        }
    }

    /// Notes that a call has cost so much more than it was charged, if others have the account by
    /// now, or may have it: they are to be told.
    pub(super) fn spent_elsewhere(&mut self, slot: Slot, cost: u64) {
        let Some(entry) = self.table.get(slot).filter(|entry| entry.is_supplied()) else { return };
        let is_limited = entry.limits.further.iter().any(|rule| rule.unit == Unit::Cost);
        let is_here = self.shares.held.contains_key(&slot) && !self.shares.have_ended;
        if cost > 0 && is_limited && !is_here {
            let late = self.shares.late.entry(slot).or_default();
            late.cost = late.cost.saturating_add(cost);
            self.note_change(slot);
        }
    }

    /// Forgets what was spent of the limits of an account that is elsewhere, once no lease of it is
    /// held here.
    fn forget_limits(&mut self, slot: Slot) {
        let is_held = self.shares.held.contains_key(&slot);
        let Some(entry) = self.table.get_mut(slot).filter(|entry| entry.held == 0 && !is_held) else { return };
        if entry.rare.get().limits.is_some() {
            self.metered.remove(slot, &entry.limits);
            entry.rare.change(|rare| rare.limits = None);
        }
    }

    /// Returns the state of an account that this process has a share of.
    pub(in crate::pool::local) fn state_of(&mut self, name: &str, offset: i64, now: i64) -> Option<AccountState> {
        let slot = self.supplied(name)?;
        self.shares.held.get(&slot)?;
        let blocked = self.with_limits(slot, now, LimitStates::blocked_until).flatten().filter(|until| *until > now);
        let held = self.shares.held.get(&slot)?;
        let entry = self.table.get(slot)?;
        let arrival = blocked.map_or(entry.arrival, |until| entry.limits.rate.block_until(entry.arrival, until));
        let limits = entry.rare.get().limits.as_ref().map(|states| states.handed_over(offset));
        let rest = entry.quarantine().filter(|_| !held.is_covered()).or(held.rest.as_ref());
        let rest = rest.filter(|rest| rest.cause.is_rest()).and_then(|rest| Some((rest.cause, rest.until?)));
        Some(AccountState {
            units: held.share.units,
            arrival: arrival.saturating_add(offset),
            limits: limits.unwrap_or_default(),
            served: served(entry, held),
            spent: held.spent,
            strikes: entry.rare.get().strikes.shifted(offset),
            rest: rest.map(|(cause, until)| (cause, until.saturating_add(offset))),
            held: entry.held,
            reserved: None,
            late_cost: held.share.late_cost,
        })
    }

    /// Notes that the account has changed if the fleet is to be told that more of its quotas may be
    /// used.
    pub(super) fn check_reserve(&mut self, slot: Slot, now: i64) {
        if self.is_short(slot, now) {
            self.note_change(slot);
        }
    }

    /// Returns whether the fleet is to be told that more of the account's quotas may be used.
    pub(super) fn is_short(&mut self, slot: Slot, now: i64) -> bool {
        let limits = self.table.get(slot).and_then(|entry| entry.rare.get().limits.as_deref());
        if !limits.is_some_and(LimitStates::has_reserve) {
            return false;
        }
        let wanted = self.wanted_cost(slot, now);
        self.with_limits(slot, now, |limits, _| limits.is_short(wanted)) == Some(true)
    }

    /// Returns what the call costs that the account is to serve next, of those that its limits
    /// allow now.
    fn wanted_cost(&mut self, slot: Slot, now: i64) -> u64 {
        let allowed = self.with_limits(slot, now, LimitStates::allowed).unwrap_or(u64::MAX);
        let Some(entry) = self.table.get(slot).filter(|_| !self.waiters.is_empty()) else { return 1 };
        let waits = entry.tags().map(WaitFor::Tag).chain([WaitFor::Account(slot)]);
        let first = waits.filter_map(|wait| self.waiters.first_within(wait, allowed)).min();
        let both = first.into_iter().chain(self.waiters.saved_for_by(slot));
        let costs = both.filter_map(|id| Some(self.waiters.get(id)?.selector.cost));
        costs.filter(|cost| *cost <= allowed).max().unwrap_or(1)
    }

    /// Has the fleet told of an account whose limits allow the call of a caller that waits, if its
    /// reserve is all that does not. Looks at some accounts, and at the next ones the next time.
    pub(super) fn reserve_for(&mut self, id: WaiterId, now: i64) {
        let Some(&Waiter { wait_for: WaitFor::Tag(tag), selector, .. }) = self.waiters.get(id) else { return };
        let (held, from) = (&self.shares.held, self.shares.looked_at);
        let slots: Vec<Slot> =
            held.range(from..).chain(held.range(..from)).map(|(slot, _)| *slot).take(LOOKED_AT).collect();
        for slot in slots {
            self.shares.looked_at = slot + 1;
            let entry = self.table.get(slot).filter(|entry| entry.serves() && entry.tags().any(|other| other == tag));
            if entry.is_none()
                || self.with_limits(slot, now, LimitStates::allowed).is_none_or(|most| most < selector.cost)
            {
                continue;
            }
            if self.is_short(slot, now) {
                return self.note_change(slot);
            }
        }
    }

    /// Returns the state of an account, and how much of its quotas counts as spent beside if the
    /// fleet hears nothing more. `None` if it has none.
    pub(in crate::pool::local) fn reserve(
        &mut self,
        name: &str,
        share_time: Duration,
        offset: i64,
        now: i64,
    ) -> Option<AccountState> {
        let slot = self.supplied(name)?;
        self.table.get(slot)?.rare.get().limits.as_ref().filter(|limits| limits.has_reserve())?;
        let wanted = self.wanted_cost(slot, now);
        let state = self.state_of(name, offset, now)?;
        let reserved = self.with_limits(slot, now, |states, by| states.next_portion(wanted, share_time, by)).flatten();
        reserved.map(|reserved| AccountState { reserved: Some(reserved), ..state })
    }

    /// Lets what was [reserved](Self::reserve) be used.
    pub(in crate::pool::local) fn confirm_reserve(&mut self, name: &str, now: i64) {
        let Some(slot) = self.supplied(name) else { return };
        self.with_limits(slot, now, |states, _| states.confirm_portion());
        self.dispatch(slot, now);
    }
}

/// Returns which token of the account has served last, and how many leases.
fn served(entry: &AccountEntry, held: &HeldShare) -> Option<(u64, u32)> {
    match (&entry.token, held.served) {
        (Some(token), _) => Some((token.generation(), entry.used)),
        (None, Served::Token(sequence, leases)) => Some((sequence, leases)),
        (None, Served::Nothing | Served::Unknown) => None,
    }
}

/// Returns what the tokens of an account have served before, which one may not be used any more,
/// and the rest that has to go on.
fn history(
    before: &KnownState,
    offset: i64,
    usage_cap: u32,
    now: i64,
) -> (Served, Option<(u64, QuarantineCause)>, Option<Quarantine>) {
    let state = before.told();
    let is_unknown = matches!(before, KnownState::AtLeast(_)) && usage_cap != u32::MAX;
    let served = state.and_then(|state| state.served).map(|(sequence, leases)| Served::Token(sequence, leases));
    let served = if is_unknown { Served::Unknown } else { served.unwrap_or(Served::Nothing) };
    let rest = state.and_then(|state| state.rest).map(|(cause, until)| (cause, until.saturating_sub(offset)));
    let rest = rest.filter(|(cause, until)| cause.is_rest() && *until > now);
    let rest = rest.map(|(cause, until)| Quarantine { cause, until: Some(until), error: None });
    (served, state.and_then(|state| state.spent), rest)
}
