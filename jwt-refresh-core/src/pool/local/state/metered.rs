//! Accounts whose limits depend on what a call costs, are shared, strict, or learnt: when such an
//! account serves, and whom.
//!
//! A caller whose call costs much may be first in line and still have to wait for an account that
//! could serve cheaper calls meanwhile. Then the account *saves up* for the caller: it serves no
//! caller that came later until its limits allow the call. One account saves up for one caller; all
//! others go on to serve. An account does not save up for what it is given all at once at a time,
//! such as the quota of the next day: that goes to the first in line then.

use super::PoolState;
use crate::pool::limit::{Advertised, Call, Now, Unit};
use crate::pool::limits::Limits;
use crate::pool::local::cost_class::{CostClass, cost_class, next_class};
use crate::pool::local::entry::{AccountEntry, AccountHandle};
use crate::pool::local::lease_timeouts::{LeaseCharge, LeaseId};
use crate::pool::local::limit_states::{LimitStates, Reading};
use crate::pool::local::metered_queue::Due;
use crate::pool::local::rank::{Rank, Slot};
use crate::pool::local::ready_queue::Position;
use crate::pool::local::shared_limits::GroupIndex;
use crate::pool::local::time::after;
use crate::pool::local::waiters::{Selector, WaitFor, Waiter, WaiterId};
use crate::pool::quarantine::QuarantineCause;

/// How much the wall clock may move beside the clock since boot before it counts as stepped.
const CLOCK_STEP: i64 = 1_000_000_000;

/// How many accounts are looked at again, one after the other. A shared quota that is used up may
/// have a million; the scheduler looks at the others in further changes.
const RECHECKED_AT_ONCE: usize = 16;

impl PoolState {
    /// Returns the present time on both clocks.
    pub(super) fn at(&self, now: i64) -> Now {
        Now { boot: now, wall: now.saturating_add(self.wall_offset) }
    }

    /// Notes what the wall clock shows. If it was stepped, days of quotas may have begun or ended.
    pub(in crate::pool::local) fn set_wall_clock(&mut self, wall: i64, now: i64) {
        let offset = wall.saturating_sub(now);
        let step = offset.saturating_sub(std::mem::replace(&mut self.wall_offset, offset));
        if step.unsigned_abs() < CLOCK_STEP.unsigned_abs() || self.metered.is_empty() {
            return;
        }
        self.metered.recheck_all();
    }

    /// Looks at accounts again of which a quota was used up, or whose day may be another since the
    /// wall clock was stepped.
    pub(super) fn recheck_metered(&mut self, now: i64) {
        for _ in 0..RECHECKED_AT_ONCE {
            let Some((slot, of_group)) = self.metered.next_to_recheck() else { return };
            let group = self.group(slot);
            if of_group.is_some() && of_group != group {
                continue;
            }
            let cause = self.table.get(slot).and_then(|entry| entry.rare.get().cause());
            let rests = of_group.is_none() && cause == Some(QuarantineCause::QuotaUsedUp);
            if rests && self.is_used_up(slot, now).is_none() {
                self.set_quarantine(slot, None);
            }
            if let Some(group) = group {
                self.refresh_group(group, now);
            }
            self.dispatch(slot, now);
        }
    }

    /// Uses the states of an account's limits, if it has any.
    pub(super) fn with_limits<T>(
        &mut self,
        slot: Slot,
        now: i64,
        use_states: impl FnOnce(&mut LimitStates, &Reading<'_>) -> T,
    ) -> Option<T> {
        let (now, patience) = (self.at(now), self.patience);
        let entry = self.table.get_mut(slot)?;
        let by = Reading { rules: &entry.limits.further, held: entry.held, patience, now };
        entry.rare.change(|rare| rare.limits.as_deref_mut().map(|states| use_states(states, &by)))
    }

    pub(super) fn group(&self, slot: Slot) -> Option<GroupIndex> {
        self.table.get(slot)?.limits.group
    }

    /// Returns the most that a call may cost now by the account's own limits.
    fn own_headroom(&mut self, slot: Slot, now: i64) -> u64 {
        let is_due = self.table.get(slot).is_some_and(|entry| entry.limits.rate.next_call(entry.arrival) <= now);
        if is_due { self.with_limits(slot, now, LimitStates::headroom).unwrap_or(u64::MAX) } else { 0 }
    }

    /// Returns when the account's own limits allow a call of that cost.
    fn own_ready_at(&mut self, slot: Slot, cost: u64, now: i64) -> Option<i64> {
        let entry = self.table.get(slot)?;
        let next_call = entry.limits.rate.next_call(entry.arrival);
        let ready = self.with_limits(slot, now, |states, by| states.ready_at(cost, by)).unwrap_or(Some(now));
        ready.map(|ready| ready.max(next_call))
    }

    /// Returns the most that a call may cost now, by all limits of the account.
    pub(super) fn headroom(&mut self, slot: Slot, now: i64) -> u64 {
        let (own, at) = (self.own_headroom(slot, now), self.at(now));
        match self.group(slot) {
            Some(group) if own > 0 => own.min(self.shared_limits.headroom(group, Some(slot), at)),
            _ => own,
        }
    }

    /// Returns how much of that unit may be spent now, or `None` if nothing limits it.
    pub(super) fn left(&mut self, slot: Slot, unit: Unit, now: i64) -> Option<u64> {
        let at = self.at(now);
        let own = self.with_limits(slot, now, |states, by| states.left(unit, by)).flatten();
        let shared = self.group(slot).and_then(|group| self.shared_limits.left(group, unit, at));
        let Limits { rate, .. } = &*self.table.get(slot)?.limits;
        let arrival = self.table.get(slot)?.arrival;
        let by_rate = Some(rate.left(arrival, now)).filter(|left| unit == Unit::Requests && *left != u64::MAX);
        [own, shared, by_rate].into_iter().flatten().min()
    }

    /// Returns when all limits of the account allow a call of that cost.
    fn ready_at(&mut self, slot: Slot, cost: u64, now: i64) -> Option<i64> {
        let (own, at) = (self.own_ready_at(slot, cost, now)?, self.at(now));
        match self.group(slot) {
            Some(group) => Some(own.max(self.shared_limits.ready_at(group, cost, at)?)),
            None => Some(own),
        }
    }

    /// Returns the most that a call may ever cost at the account.
    pub(super) fn most(&self, entry: &AccountEntry) -> u64 {
        let shared = entry.limits.group.map_or(u64::MAX, |group| self.shared_limits.most(group));
        entry.limits.most().min(shared)
    }

    /// Returns whether the account can serve a call of that cost now.
    pub(super) fn can_serve(&mut self, slot: Slot, cost: u64, now: i64) -> bool {
        let Some(entry) = self.table.get(slot) else { return false };
        if !entry.is_metered() {
            return self.ready_queue.next_call(slot, &entry.limits).is_some_and(|time| time <= now);
        }
        entry.serves() && self.waiters.saved_for_by(slot).is_none() && self.headroom(slot, now) >= cost
    }

    /// Returns the account that serves a call next.
    pub(super) fn first_ready(&mut self, selector: Selector, now: i64) -> Option<Slot> {
        let plain = self.ready_queue.first(selector.tag, now);
        if self.metered.is_empty() {
            return plain.map(|(_, slot)| slot);
        }
        let likely = self.metered.same_class(selector.tag, selector.cost);
        let likely = likely.into_iter().find(|&(_, slot)| self.can_serve(slot, selector.cost, now));
        let first = [plain, likely, self.metered.first_above(selector.tag, selector.cost)];
        first.into_iter().flatten().min().map(|(_, slot)| slot)
    }

    /// Puts a metered account where it belongs: ready, or waiting for its limits.
    pub(super) fn place_metered(&mut self, slot: Slot, now: i64) {
        let Some(entry) = self.table.get(slot) else { return };
        let most = self.most(entry);
        if !entry.serves() {
            let is_away = entry.quarantine().is_some();
            // Another account may save up now.
            let saved_for = if is_away { self.end_saving(slot, now) } else { None };
            self.unsaved.extend(saved_for);
            return self.set_metered(slot, None, None);
        }
        if let Some((until, cause)) = self.is_used_up(slot, now) {
            return self.start_rest(slot, cause, until);
        }
        #[cfg(feature = "redis")]
        self.check_reserve(slot, now);
        let saved_for = self.waiters.saved_for_by(slot).and_then(|id| Some((id, self.waiters.get(id)?.selector.cost)));
        if let Some((id, cost)) = saved_for {
            let (at, group) = (self.at(now), self.group(slot));
            if let Some(group) = group.filter(|&group| self.shared_limits.save(group, slot, (id, cost), at)) {
                self.refresh_related(group, now);
            }
            let ready = self.ready_at(slot, cost, now);
            return self.set_metered(slot, None, ready.filter(|ready| *ready > now));
        }
        let headroom = self.own_headroom(slot, now);
        let class = (headroom > 0).then(|| cost_class(headroom));
        let next = class.map_or(Some(1), next_class).filter(|cost| *cost <= most);
        let due = next.and_then(|cost| self.own_ready_at(slot, cost, now)).filter(|due| *due > now);
        let Some(entry) = self.table.get(slot) else { return };
        let next_call = entry.limits.rate.next_call(entry.arrival);
        let ranks = self.ready_queue.ranks(slot, &entry.limits, next_call, entry.last_lease);
        self.set_metered(slot, class.map(|class| (ranks, class)), due);
    }

    fn set_metered(&mut self, slot: Slot, ready: Option<(Vec<Rank>, CostClass)>, due: Option<i64>) {
        if let Some(entry) = self.table.get(slot) {
            self.metered.set(slot, &entry.limits, ready, due);
        }
    }

    /// Returns until when and why the account can serve no call, if that is for longer than callers
    /// wait: by a quota that is used up, or a window of which the server says so.
    fn is_used_up(&mut self, slot: Slot, now: i64) -> Option<(i64, QuarantineCause)> {
        let (at, latest) = (self.at(now), after(now, self.max_inline_wait));
        let shared = self.group(slot).and_then(|group| self.shared_limits.used_up_until(group, 1, at));
        let shared = shared.map(|until| (until, QuarantineCause::QuotaUsedUp));
        let own = self.with_limits(slot, now, |states, by| states.reset_at(1, by)).flatten();
        [shared, own].into_iter().flatten().max_by_key(|(until, _)| *until).filter(|(until, _)| *until > latest)
    }

    /// Returns the caller that a metered account serves next, or has it save up for one.
    pub(super) fn next_for_metered(&mut self, slot: Slot, now: i64) -> Option<WaiterId> {
        let entry = self.table.get(slot).filter(|entry| entry.serves())?;
        let waits: Vec<_> = entry.tags().map(WaitFor::Tag).chain([WaitFor::Account(slot)]).collect();
        let most = self.most(entry);
        let headroom = self.headroom(slot, now);
        if headroom == 0 {
            return None;
        }
        let oldest = |found: &dyn Fn(WaitFor) -> Option<WaiterId>| waits.iter().filter_map(|&wait| found(wait)).min();
        let waiters = &self.waiters;
        let fits = oldest(&|wait| waiters.first_within(wait, headroom));
        if let Some(saved_for) = waiters.saved_for_by(slot) {
            return fits.filter(|id| *id <= saved_for);
        }
        let is_before = |id: &WaiterId| fits.is_none_or(|fits| *id < fits);
        let larger = oldest(&|wait| waiters.first_unsaved(wait, headroom, most)).filter(is_before);
        let saved = oldest(&|wait| waiters.first_saved(wait, headroom, most)).filter(is_before);
        for id in [larger, saved].into_iter().flatten() {
            if self.would_save(slot, id, now) {
                self.save(slot, id, now);
                return None;
            }
        }
        fits
    }

    /// Returns whether an account can save up for a caller, and is ready for it before the account
    /// that does so already.
    fn would_save(&mut self, slot: Slot, id: WaiterId, now: i64) -> bool {
        let Some(Waiter { selector, saver, .. }) = self.waiters.get(id) else { return false };
        let (cost, saver, at) = (selector.cost, *saver, self.at(now));
        let reset = self.with_limits(slot, now, |states, by| states.reset_at(cost, by)).flatten();
        let shared = self.group(slot).and_then(|group| self.shared_limits.used_up_until(group, cost, at));
        if reset.is_some() || shared.is_some() {
            return false;
        }
        let Some(saver) = saver else { return true };
        let [own, others] = [slot, saver].map(|slot| self.ready_at(slot, cost, now).unwrap_or(i64::MAX));
        own < others
    }

    /// Has an account save up for a caller.
    fn save(&mut self, slot: Slot, id: WaiterId, now: i64) {
        let Some(waiter) = self.waiters.get(id) else { return };
        if let Some(saver) = waiter.saver {
            self.end_saving(saver, now);
        }
        self.waiters.save(slot, id);
        self.place(slot, now);
    }

    /// Ends that an account saves up. Returns the caller for which it did.
    pub(super) fn end_saving(&mut self, slot: Slot, now: i64) -> Option<WaiterId> {
        let id = self.waiters.end_saving(slot)?;
        self.later.push_back(Due::Account(slot));
        if let Some(group) = self.group(slot) {
            self.shared_limits.end_saving(group, slot);
            self.refresh_related(group, now);
            self.later.extend(self.shared_limits.related(group).into_iter().map(Due::Group));
        }
        Some(id)
    }

    /// Adds a caller to the queue, or puts it back to its old place.
    pub(super) fn join(&mut self, id: Option<WaiterId>, waiter: Waiter) -> WaiterId {
        let keyed = match waiter.wait_for {
            WaitFor::Account(slot) => self.group(slot).map(|group| (group, slot)),
            WaitFor::Tag(_) | WaitFor::LiveAccount(_) => None,
        };
        let wait_for = waiter.wait_for;
        let id = match id {
            Some(id) => {
                self.waiters.rejoin(id, waiter);
                id
            }
            None => self.waiters.join(waiter),
        };
        if let Some((group, slot)) = keyed {
            self.metered.keyed_joined(group, id, slot);
        }
        self.plan_wake(wait_for);
        #[cfg(feature = "redis")]
        self.note_demand(wait_for);
        id
    }

    /// Takes a caller out of the queue.
    pub(super) fn leave(&mut self, id: WaiterId, now: i64) -> Option<Waiter> {
        if let Some(saver) = self.waiters.get(id)?.saver {
            self.end_saving(saver, now);
        }
        let waiter = self.waiters.remove(id)?;
        if let WaitFor::Account(slot) = waiter.wait_for
            && let Some(group) = self.group(slot)
        {
            self.metered.keyed_left(group, id, slot);
        }
        Some(waiter)
    }

    /// Has an account save up for a caller whose call costs more than any account allows now, if
    /// there is one that is ready for less.
    pub(super) fn find_saver(&mut self, id: WaiterId, now: i64) {
        let Some(waiter) = self.waiters.get(id).filter(|waiter| waiter.saver.is_none()) else { return };
        let slots = match waiter.wait_for {
            WaitFor::Account(slot) => vec![slot],
            WaitFor::Tag(tag) => self.metered.nearly(tag, waiter.selector.cost),
            WaitFor::LiveAccount(_) => return,
        };
        for slot in slots {
            if self.waiters.get(id).is_none_or(|waiter| waiter.saver.is_some()) {
                return;
            }
            self.dispatch(slot, now);
        }
        #[cfg(feature = "redis")]
        self.reserve_for(id, now);
    }

    /// Charges a call to the limits of a metered account.
    pub(super) fn charge_metered(&mut self, slot: Slot, cost: u64, waited: bool, now: i64) {
        self.with_limits(slot, now, |states, by| states.charge(cost, waited, by));
        if let Some(group) = self.group(slot) {
            let at = self.at(now);
            self.shared_limits.charge(group, cost, waited, at);
            self.refresh_related(group, now);
        }
    }

    /// Counts that the call of a lease costs `to` instead of what it was charged. A lease that has
    /// timed out counts no more.
    pub(in crate::pool::local) fn spent(&mut self, id: LeaseId, lease: LeaseCharge, leased: i64, to: u64, now: i64) {
        if !self.lease_timeouts.is_held(id) {
            return;
        }
        self.lease_timeouts.set_cost(id, to);
        let LeaseCharge { handle, group, cost, .. } = lease;
        let (call, at) = (Call { cost, leased }, self.at(now));
        if let Some(group) = group {
            self.shared_limits.correct(group, call, to, at);
            self.group_changed(group, now);
        }
        if self.table.by_handle(handle).is_some() {
            #[cfg(feature = "redis")]
            self.spent_elsewhere(handle.slot, to.saturating_sub(cost));
            self.with_limits(handle.slot, now, |states, by| states.correct(call, to, by));
            self.dispatch(handle.slot, now);
        }
    }

    /// Counts for the shared limits that the lease of a call ended.
    pub(super) fn end_shared(&mut self, group: Option<GroupIndex>, cost: u64, now: i64) {
        if let Some(group) = group {
            let at = self.at(now);
            self.shared_limits.end(group, cost, at);
            self.group_changed(group, now);
        }
    }

    /// Counts for the account's own limits that the lease of a call ended.
    pub(super) fn end_own(&mut self, slot: Slot, cost: u64, now: i64) {
        self.with_limits(slot, now, |states, by| states.end(cost, by));
    }

    /// Takes what the server said of an account's limits in an answer to a call: the first, or one
    /// more.
    pub(in crate::pool::local) fn observe(
        &mut self,
        handle: AccountHandle,
        said: &[Advertised],
        call: Call,
        is_first: bool,
        is_in_flight: bool,
        now: i64,
    ) {
        let at = self.at(now);
        let Some(entry) = self.table.by_handle(handle) else { return };
        if entry.rare.get().limits.is_none() {
            // It was a plain account until now.
            self.ready_queue.set_position(handle.slot, &entry.limits, Position::Idle);
            let in_flight_cost = call.cost.saturating_mul(entry.held.into());
            let states = LimitStates::new(&entry.limits.further, in_flight_cost, at);
            entry.rare.change(|rare| rare.limits = Some(Box::new(states)));
        }
        self.with_limits(handle.slot, now, |states, by| states.observe(said, call, is_first, is_in_flight, by));
        let Some(entry) = self.table.by_handle(handle) else { return };
        let is_blocked = entry.limits.rate.next_call(entry.arrival) > now;
        if entry.rare.get().cause() == Some(QuarantineCause::RateLimited) && !is_blocked {
            // It rests because of what the server said before, and not after a 429.
            self.set_quarantine(handle.slot, None);
        }
        self.dispatch(handle.slot, now);
    }

    /// Puts all groups that have a limit of a group where they belong, after that limit changed.
    fn refresh_related(&mut self, group: GroupIndex, now: i64) {
        for group in self.shared_limits.related(group) {
            self.refresh_group(group, now);
        }
    }

    fn refresh_group(&mut self, group: GroupIndex, now: i64) {
        let (at, most) = (self.at(now), self.shared_limits.most(group));
        let headroom = self.shared_limits.headroom(group, None, at);
        let class = (headroom > 0).then(|| cost_class(headroom));
        let next = class.map_or(Some(1), next_class).filter(|cost| *cost <= most);
        let due = next.and_then(|cost| self.shared_limits.ready_at(group, cost, at));
        self.metered.set_group(group, class, due.filter(|due| *due > now));
    }

    /// Puts the groups where they belong after a shared limit allows more, and serves their
    /// callers.
    pub(super) fn group_changed(&mut self, group: GroupIndex, now: i64) {
        self.refresh_related(group, now);
        self.later.extend(self.shared_limits.related(group).into_iter().map(Due::Group));
    }

    /// Does what is due: an account or a group may serve calls that it could not before.
    pub(super) fn process_metered(&mut self, now: i64) {
        if self.have_shares_ended() {
            return;
        }
        while self.metered.next_due().is_some_and(|time| time <= now) && self.take_step() {
            if let Some(due) = self.metered.pop_due(now) {
                self.serve_due(due, now);
            }
        }
    }

    /// Serves the callers of an account or a group.
    pub(super) fn serve_due(&mut self, due: Due, now: i64) {
        match due {
            Due::Account(slot) => self.dispatch(slot, now),
            Due::Group(group) => self.dispatch_group(group, now),
        }
    }

    /// Serves the callers of a group, in the order in which they came.
    pub(super) fn dispatch_group(&mut self, group: GroupIndex, now: i64) {
        self.refresh_group(group, now);
        let until = self.shared_limits.used_up_until(group, 1, self.at(now));
        let is_used_up = until.is_some_and(|until| until > after(now, self.max_inline_wait));
        // Each of its accounts rests until the quota is full again.
        self.metered.set_used_up(group, is_used_up);
        if is_used_up {
            return;
        }
        for saver in self.shared_limits.savers(group) {
            self.dispatch(saver, now);
        }
        while !self.waiters.is_empty() {
            if self.steps == 0 {
                return self.later.push_back(Due::Group(group));
            }
            let candidates = self.metered.of_group(group).into_iter();
            let mut candidates: Vec<_> =
                candidates.filter_map(|slot| Some((self.oldest_waiter(slot)?, slot))).collect();
            candidates.sort_unstable();
            let served = self.aftermath.replies.len();
            for (_, slot) in candidates {
                self.dispatch(slot, now);
                if self.aftermath.replies.len() > served {
                    break;
                }
            }
            if self.aftermath.replies.len() == served {
                return;
            }
        }
    }

    fn oldest_waiter(&self, slot: Slot) -> Option<WaiterId> {
        let entry = self.table.get(slot)?;
        let waits = entry.tags().map(WaitFor::Tag).chain([WaitFor::Account(slot)]);
        waits.filter_map(|wait| self.waiters.first(wait)).min()
    }
}
