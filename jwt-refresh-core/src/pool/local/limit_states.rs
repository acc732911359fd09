//! The state of an account's limits that depend on what a call costs, are strict, or learnt. Few
//! accounts of a large pool may have any, so it stands behind a pointer.

use std::time::Duration;

use super::reserve::Reserve;
use crate::pool::limit::{Advertised, Answered, Call, LearntLimits, LimitRule, Now, RuleState, Totals, Unit};
use crate::pool::quarantine::QuarantineCause;

#[derive(Clone, Debug)]
pub(super) struct LimitStates {
    /// The state of each limit that the account was given.
    rules: Vec<RuleState>,
    learnt: LearntLimits,
    /// What the calls in flight cost.
    in_flight_cost: u64,
    /// In a fleet, how much may be used of quotas.
    reserve: Option<Box<Reserve>>,
}

/// What the states are read by.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) rules: &'a [LimitRule],
    /// How many calls are in flight.
    pub(super) held: u32,
    /// The longest time for which a server is believed that nothing remains.
    pub(super) patience: Duration,
    pub(super) now: Now,
}

impl LimitStates {
    /// Returns the states of limits of which nothing was spent. What is in flight costs
    /// `in_flight_cost`.
    pub(super) fn new(rules: &[LimitRule], in_flight_cost: u64, now: Now) -> Self {
        let rules = rules.iter().map(|rule| rule.unused(now)).collect();
        Self { rules, learnt: LearntLimits::default(), in_flight_cost, reserve: None }
    }

    /// Returns the states of other limits in place of these, which were `old`: of each limit that
    /// is of the same kind as one before, as much is spent.
    pub(super) fn changed(&self, old: &[LimitRule], by: &Reading<'_>) -> Self {
        let mut before: Vec<_> = old.iter().zip(&self.rules).collect();
        let mut carried = |rule: &LimitRule| {
            let found =
                before.iter().enumerate().find_map(|(at, (old, state))| Some((at, rule.carry(old, state, by.now)?)));
            let (at, state) = found?;
            before.remove(at);
            Some(state)
        };
        let new = |rule: &LimitRule| rule.with_in_flight(by.held.into(), self.in_flight_cost, by.now);
        let rules = by.rules.iter().map(|rule| carried(rule).unwrap_or_else(|| new(rule))).collect();
        Self { rules, ..self.clone() }
    }

    fn each<'a>(&'a mut self, by: &Reading<'a>) -> impl Iterator<Item = (&'a LimitRule, &'a mut RuleState)> {
        by.rules.iter().zip(&mut self.rules)
    }

    fn in_flight(&self, by: &Reading<'_>) -> Totals {
        Totals { requests: by.held.into(), cost: self.in_flight_cost }
    }

    /// Returns the most that a call may cost now; 0 if no call may be made.
    pub(super) fn headroom(&mut self, by: &Reading<'_>) -> u64 {
        self.allowed(by).min(self.reserved())
    }

    /// Returns the most that a call may cost now, once the fleet is told of it.
    pub(super) fn allowed(&mut self, by: &Reading<'_>) -> u64 {
        let learnt = self.learnt.headroom(self.in_flight(by), by.patience, by.now.boot);
        self.each(by).map(|(rule, state)| rule.headroom(state, by.now)).fold(learnt, u64::min)
    }

    /// Returns the most that a call may cost before the fleet is told of it.
    fn reserved(&self) -> u64 {
        self.reserve.as_deref().map_or(u64::MAX, Reserve::headroom)
    }

    /// Returns how much of that unit may be spent now, or `None` if nothing limits it.
    pub(super) fn left(&mut self, unit: Unit, by: &Reading<'_>) -> Option<u64> {
        let learnt = self.learnt.left(unit, self.in_flight(by), by.patience, by.now.boot);
        let rules = self.each(by).filter(|(rule, _)| rule.unit == unit);
        rules.map(|(rule, state)| rule.left(state, by.now)).chain(learnt).min()
    }

    /// Returns when a call of that cost may be made, or `None` if only the end of a lease can tell,
    /// or the fleet.
    pub(super) fn ready_at(&mut self, cost: u64, by: &Reading<'_>) -> Option<i64> {
        let reserved = self.reserved();
        let learnt = self.learnt.ready_at(cost, self.in_flight(by), by.patience, by.now.boot);
        self.each(by)
            .map(|(rule, state)| rule.ready_at(state, cost, by.now))
            .fold(learnt, |latest, ready| latest.zip(ready).map(|(latest, ready)| latest.max(ready)))
            .filter(|ready| *ready > by.now.boot || cost <= reserved)
    }

    /// Returns until when no call of that cost may be made, by limits that are full again all at
    /// once, and which of them that is.
    pub(super) fn reset_at(&mut self, cost: u64, by: &Reading<'_>) -> Option<(i64, QuarantineCause)> {
        let learnt = self.learnt.ready_at(cost, self.in_flight(by), by.patience, by.now.boot);
        let learnt = learnt.map(|reset| (reset, QuarantineCause::RateLimited));
        let daily = self.each(by).filter(|(rule, _)| rule.is_reset_at_once());
        let daily = daily.filter_map(|(rule, state)| rule.ready_at(state, cost, by.now));
        let resets = daily.map(|reset| (reset, QuarantineCause::QuotaUsedUp)).chain(learnt);
        resets.filter(|(reset, _)| *reset > by.now.boot).max_by_key(|(reset, _)| *reset)
    }

    /// Charges a call.
    pub(super) fn charge(&mut self, cost: u64, waited: bool, by: &Reading<'_>) {
        self.learnt.charge(cost, self.in_flight(by), by.patience, by.now.boot);
        self.each(by).for_each(|(rule, state)| rule.charge(state, cost, waited, by.now));
        self.in_flight_cost = self.in_flight_cost.saturating_add(cost);
        if let Some(reserve) = &mut self.reserve {
            reserve.charge(1, cost);
        }
    }

    /// Counts that a call in flight costs `to` instead.
    pub(super) fn correct(&mut self, call: Call, to: u64, by: &Reading<'_>) {
        self.learnt.correct(call.cost, to);
        self.each(by).for_each(|(rule, state)| rule.correct(state, call, to, by.now));
        self.in_flight_cost = self.in_flight_cost.saturating_sub(call.cost).saturating_add(to);
        if let Some(reserve) = &mut self.reserve {
            reserve.correct(call.cost, to);
        }
    }

    /// Counts that the lease of a call ended.
    pub(super) fn end(&mut self, cost: u64, by: &Reading<'_>) {
        self.each(by).for_each(|(rule, state)| rule.end(state, cost, by.now));
        self.in_flight_cost = if by.held == 0 { 0 } else { self.in_flight_cost.saturating_sub(cost) };
    }

    /// Takes what the server said in an answer to a call. `is_first` is whether it is the first,
    /// and `is_in_flight` whether the lease is held.
    pub(super) fn observe(
        &mut self,
        said: &[Advertised],
        call: Call,
        is_first: bool,
        is_in_flight: bool,
        by: &Reading<'_>,
    ) {
        let in_flight = self.in_flight(by);
        let own = if is_in_flight { Totals { requests: 1, cost: call.cost } } else { Totals::default() };
        let others = Totals {
            requests: in_flight.requests.saturating_sub(own.requests),
            cost: in_flight.cost.saturating_sub(own.cost),
        };
        self.learnt.observe(said, Answered { call, is_first, others }, by.now.boot);
    }
}

#[cfg(feature = "redis")]
impl LimitStates {
    /// Returns the states for another process, whose clock is ahead by so much.
    pub(super) fn handed_over(&self, ahead: i64) -> Vec<RuleState> {
        self.rules.iter().map(|state| state.handed_over(ahead)).collect()
    }

    /// Returns these states in place of those of an account that it had before, of which calls may
    /// still be in flight here. Nothing of quotas may be used before the fleet is told.
    pub(super) fn taken_over(rules: Vec<RuleState>, before: Option<&Self>, has_quotas: bool) -> Self {
        let in_flight = |at: usize| before.and_then(|before| before.rules.get(at));
        let rules = rules.into_iter().enumerate().map(|(at, state)| match in_flight(at) {
            Some(before) => state.with_in_flight_of(before),
            None => state,
        });
        let in_flight_cost = before.map_or(0, |before| before.in_flight_cost);
        let reserve = has_quotas.then(Box::default);
        Self { rules: rules.collect(), learnt: LearntLimits::default(), in_flight_cost, reserve }
    }

    /// Returns these states with as much of quotas as may be used by others.
    pub(super) fn with_reserve_of(&self, other: Option<&Self>) -> Self {
        Self { reserve: other.and_then(|other| other.reserve.clone()), ..self.clone() }
    }

    pub(super) fn has_reserve(&self) -> bool {
        self.reserve.is_some()
    }

    /// Returns whether the fleet should be told that more may be used of quotas, so that a call of
    /// that cost can be made, and soon others.
    pub(super) fn is_short(&self, cost: u64) -> bool {
        self.reserve.as_ref().is_some_and(|reserve| reserve.is_short(cost))
    }

    /// Returns how much of quotas counts as spent from now on if nothing more is heard, so that a
    /// call that costs `wanted` can be made. It may be used once that is
    /// [confirmed](Self::confirm_portion).
    pub(super) fn next_portion(&mut self, wanted: u64, share_time: Duration, by: &Reading<'_>) -> Option<Totals> {
        let of = |unit: Unit| {
            let rules = by.rules.iter().filter(|rule| rule.unit == unit);
            rules.filter_map(LimitRule::quota).min().unwrap_or(u64::MAX)
        };
        let quotas = Totals { requests: of(Unit::Requests), cost: of(Unit::Cost) };
        Some(self.reserve.as_mut()?.next_portion(quotas, wanted, share_time, by.now.boot))
    }

    /// Notes that the fleet was told of the portion.
    pub(super) fn confirm_portion(&mut self) {
        if let Some(reserve) = &mut self.reserve {
            reserve.confirm();
        }
    }

    /// Returns until when no call may be made by what the server said.
    pub(super) fn blocked_until(&mut self, by: &Reading<'_>) -> Option<i64> {
        self.learnt.ready_at(1, self.in_flight(by), by.patience, by.now.boot)
    }

    /// Counts that calls in flight elsewhere cost so much more than they were charged.
    pub(super) fn charge_elsewhere(&mut self, cost: u64, by: &Reading<'_>) {
        self.each(by).for_each(|(rule, state)| rule.charge_elsewhere(state, cost, by.now));
        if let Some(reserve) = &mut self.reserve {
            reserve.charge(0, cost);
        }
    }

    /// Counts that all calls that were in flight elsewhere have ended by now.
    pub(super) fn end_elsewhere(&mut self, by: &Reading<'_>) {
        self.each(by).for_each(|(rule, state)| rule.end_elsewhere(state, by.now));
    }
}
