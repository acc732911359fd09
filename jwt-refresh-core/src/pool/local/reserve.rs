//! How much of its quotas an account may use in a process before the fleet is told anew.
//!
//! What a process has spent of a quota dies with it. So the fleet is told, before that is spent,
//! how much may be: a *portion*, which counts as spent if the process dies. The next is told of
//! when half of one is used. A portion is small beside the quota, and grows until its other half
//! lasts for a share time, which is how long a process goes on without Redis. This file reads no
//! clock.

#![cfg_attr(not(feature = "redis"), expect(dead_code, reason = "only the processes of a fleet tell others"))]

use std::time::Duration;

use crate::pool::limit::Totals;

/// Which parts of a quota the least and the largest portion are.
const LEAST: u64 = 128;
const LARGEST: u64 = 8;

#[derive(Clone, Debug, Default)]
pub(super) struct Reserve {
    /// What may be spent.
    left: Totals,
    /// What is left of the portion that the fleet is being told of.
    told: Option<Totals>,
    portion: Totals,
    /// When the portion was begun, in nanoseconds since boot.
    begun: i64,
}

impl Reserve {
    /// Returns the most that a call may cost now; 0 if no call may be made.
    pub(super) fn headroom(&self) -> u64 {
        if self.left.requests > 0 { self.left.cost } else { 0 }
    }

    pub(super) fn charge(&mut self, calls: u64, cost: u64) {
        for left in [Some(&mut self.left), self.told.as_mut()].into_iter().flatten() {
            left.requests = left.requests.saturating_sub(calls);
            left.cost = left.cost.saturating_sub(cost);
        }
    }

    /// Counts that a call costs `to` instead of what it was charged. What it did not cost is not
    /// given back: what the fleet was told may not have had it, if the call is of the day before.
    pub(super) fn correct(&mut self, from: u64, to: u64) {
        self.charge(0, to.saturating_sub(from));
    }

    /// Returns whether it is time for another portion, so that a call of that cost can be made, and
    /// soon others.
    pub(super) fn is_short(&self, cost: u64) -> bool {
        let is_low = self.left.requests <= self.portion.requests / 2 || self.left.cost <= self.portion.cost / 2;
        self.told.is_none() && (is_low || self.left.cost < cost)
    }

    /// Returns another portion, of quotas of that size, which allows a call that costs `wanted`.
    /// The fleet is to be told that it counts as spent, beside what was spent until now.
    pub(super) fn next_portion(&mut self, quotas: Totals, wanted: u64, share_time: Duration, now: i64) -> Totals {
        let lasted = Duration::from_nanos(u64::try_from(now.saturating_sub(self.begun)).unwrap_or(0));
        let is_repeated = self.told.is_some();
        let of = |before: u64, quota: u64, wanted: u64| {
            if quota == u64::MAX {
                return quota;
            }
            let changed = match lasted {
                _ if is_repeated => before,
                short if short < share_time => before.saturating_mul(2),
                long if long > 4 * share_time => before / 2,
                _ => before,
            };
            changed.min(quota / LARGEST).max(quota / LEAST).max(wanted)
        };
        let requests = of(self.portion.requests, quotas.requests, 1);
        self.portion = Totals { requests, cost: of(self.portion.cost, quotas.cost, wanted) };
        self.begun = now;
        // Until the fleet has confirmed it, it may go by this portion or by the one before.
        self.left.requests = self.left.requests.min(self.portion.requests);
        self.left.cost = self.left.cost.min(self.portion.cost);
        self.told = Some(self.portion);
        self.portion
    }

    /// Notes that the fleet was told of the portion.
    pub(super) fn confirm(&mut self) {
        if let Some(told) = self.told.take() {
            self.left = told;
        }
    }
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::pool::limit::{Call, Limit, LimitRule, Now, RuleState, SpentSince, own_rules};
    use crate::pool::local::limit_states::{LimitStates, Reading};

    const SECOND: i64 = 1_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);
    const SHARE_TIME: Duration = Duration::from_secs(3);

    #[derive(Clone, Debug)]
    enum Event {
        Call(u64),
        /// The oldest call ends, and has cost this part of what it was charged, in hundredths.
        End(u64),
        /// The process tells Redis of a portion: whether Redis hears of it, and the process of
        /// that.
        Tell(bool, bool),
        Pass(i64),
        Die,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            8 => (1..40_u64).prop_map(Event::Call),
            5 => (0..=100_u64).prop_map(Event::End),
            4 => (any::<bool>(), any::<bool>()).prop_map(|(heard, answered)| Event::Tell(heard || answered, answered)),
            2 => (0..20 * SECOND).prop_map(Event::Pass),
            1 => Just(Event::Die),
        ]
    }

    /// Time since boot begins at midnight.
    fn day(boot: i64) -> i64 {
        boot / (24 * 3600 * SECOND)
    }

    /// Returns the state of the limits in a process that is given what Redis knows.
    fn begin(rules: &[LimitRule], known: Option<&(Vec<RuleState>, Totals)>, now: Now) -> LimitStates {
        let rule = |(at, rule): (usize, &LimitRule)| match known {
            None => rule.unused(now),
            Some((states, reserved)) => rule.taken_over(states.get(at), SpentSince::AtMost(*reserved), now),
        };
        LimitStates::taken_over(rules.iter().enumerate().map(rule).collect(), None, true)
    }

    proptest! {
        /// All within an hour, or on some days. A process that dies before Redis has heard anything
        /// from it has used nothing.
        #[test]
        fn processes_that_die_at_any_time_use_no_more_of_a_quota_than_there_is(
            kind in 0..4_usize, events in prop::collection::vec(event(), 1..200),
        ) {
            const QUOTA: u64 = 600;
            let limit = [
                Limit::daily(QUOTA), Limit::daily_cost(QUOTA), Limit::requests(QUOTA, HOUR).strict(),
                Limit::cost(QUOTA, HOUR).strict(),
            ][kind].clone();
            let (_, rules) = own_rules([limit].iter()).unwrap();
            let mut now = Now { boot: 0, wall: 20_000 * 24 * 3600 * SECOND };
            let mut known = None;
            let mut states = begin(&rules, None, now);
            let (mut used, mut open) = (0, VecDeque::new());
            for event in events {
                let by = Reading { rules: &rules, held: 0, patience: Duration::ZERO, now };
                match event {
                    Event::Call(cost) if states.headroom(&by) >= cost => {
                        states.charge(cost, false, &by);
                        open.push_back(Call { cost, leased: now.boot });
                        used += if kind % 2 == 0 { 1 } else { cost };
                    }
                    Event::Call(_) => {}
                    Event::End(part) => {
                        let Some(call) = open.pop_front() else { continue };
                        let to = call.cost * part / 100;
                        states.correct(call, to, &by);
                        states.end(to, &by);
                        if kind == 3 || kind == 1 && day(now.boot) == day(call.leased) {
                            used -= call.cost - to;
                        }
                    }
                    Event::Tell(is_heard, is_answered) => {
                        let told = (states.handed_over(0), states.next_portion(1, SHARE_TIME, &by).unwrap());
                        known = if is_heard { Some(told) } else { known };
                        if is_answered {
                            states.confirm_portion();
                        }
                    }
                    Event::Pass(time) => {
                        let time = if kind < 2 { time * 1000 } else { time / 20 };
                        if kind < 2 && day(now.boot) != day(now.boot + time) {
                            used = 0;
                        }
                        now = Now { boot: now.boot + time, wall: now.wall + time };
                    }
                    Event::Die => {
                        states = begin(&rules, known.as_ref(), now);
                        open.clear();
                    }
                }
                prop_assert!(used <= QUOTA, "{used} of {QUOTA}");
            }
        }
    }

    #[test]
    fn the_other_half_of_a_portion_lasts_for_a_share_time_and_no_portion_is_above_an_eighth() {
        let quotas = Totals { requests: 100_000, cost: u64::MAX };
        let mut reserve = Reserve::default();
        for calls_a_second in [1_000, 10, 100_000] {
            let mut now = 100 * SECOND;
            let mut portion = Totals::default();
            for _ in 0..40 {
                portion = reserve.next_portion(quotas, 1, SHARE_TIME, now);
                reserve.confirm();
                let calls = portion.requests.div_ceil(2);
                reserve.charge(calls, calls);
                assert!(reserve.is_short(1));
                now += SECOND * i64::try_from(calls).unwrap() / calls_a_second;
            }
            let expected = match calls_a_second {
                1_000 => 6_000..=12_500,
                10 => 781..=781,
                _ => 12_500..=12_500,
            };
            assert!(expected.contains(&portion.requests), "{portion:?} at {calls_a_second} calls a second");
        }
    }

    #[test]
    fn what_calls_of_before_did_not_cost_adds_nothing_to_what_the_fleet_was_told() {
        let mut reserve = Reserve::default();
        let tell = |reserve: &mut Reserve| {
            let portion = reserve.next_portion(Totals { requests: u64::MAX, cost: 800 }, 1, SHARE_TIME, 100 * SECOND);
            reserve.confirm();
            portion.cost
        };
        let first = tell(&mut reserve);
        reserve.charge(1, first);
        let second = tell(&mut reserve);
        reserve.correct(first, 0);
        assert_eq!(reserve.headroom(), second, "on the next day, no part of the first counts as spent");
    }

    #[test]
    fn a_call_that_costs_more_than_an_eighth_of_a_quota_has_a_portion_for_it() {
        let mut reserve = Reserve::default();
        let portion = reserve.next_portion(Totals { requests: u64::MAX, cost: 1_000 }, 700, SHARE_TIME, SECOND);
        reserve.confirm();
        assert_eq!((portion.cost, reserve.headroom()), (700, 700));
    }
}
