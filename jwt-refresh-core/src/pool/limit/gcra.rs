//! How often an account may be called, and what may be spent: GCRA, the generic cell rate algorithm
//! (ITU-T I.371).
//!
//! The state of a rate is one number, the *theoretical arrival time*: when all that was spent is
//! paid for, if it is paid evenly. This file is pure arithmetic on it and reads no clock.

use std::time::Duration;

/// How late a waiter may be woken without a loss to the account's rate, in nanoseconds. Timers have
/// a resolution of a millisecond or two, and a busy machine adds to that.
const MAX_LATENESS: i64 = 10_000_000;

/// A rate, and the burst that it allows. All times are in nanoseconds.
///
/// A call may be made once what was spent before it and is not paid for yet is at most the burst
/// less the call's own cost. A call that costs more than the burst may be made once nothing is
/// owed, so that even a rate without a burst serves calls of any cost up to what it pays in one
/// period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pool) struct Gcra {
    /// What may be spent in each period. 0 means no limit.
    amount: u64,
    /// The length of a period.
    per: i64,
    burst: u64,
    /// The time that pays for one unit.
    interval: i64,
}

impl Gcra {
    /// Returns the rate of `amount` in each period of length `per`, of which `burst` may be spent
    /// at once. None of the three may be zero.
    pub(in crate::pool) fn new(amount: u64, per: Duration, burst: u64) -> Self {
        let per = i64::try_from(per.as_nanos()).unwrap_or(i64::MAX);
        let rate = Self { amount, per, burst, interval: 0 };
        Self { interval: rate.time_for(1), ..rate }
    }

    /// Returns the rate of a share that has `units` of the `of` units that the account is divided
    /// into. The rates of all shares together allow at most what the whole does, and each has a
    /// burst of at least 1.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn part(self, units: u32, of: u32) -> Self {
        if self.amount == 0 || units >= of {
            return self;
        }
        let amount = self.amount.saturating_mul(units.max(1).into());
        let per = u64::try_from(self.per).unwrap_or(0).saturating_mul(of.into());
        let burst = u128::from(self.burst) * u128::from(units) / u128::from(of);
        Self::new(amount, Duration::from_nanos(per), u64::try_from(burst).unwrap_or(u64::MAX).max(1))
    }

    /// Returns the arrival time under a part of the rate of which `old` was another part.
    ///
    /// Units that are gained come with all of their burst owed, here and wherever they go to. So
    /// units that are lost take as much of what is owed along, and no call is paid for twice.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn carry_part(self, old: Self, arrival: i64, now: i64) -> i64 {
        if self == old {
            return arrival;
        }
        if arrival.saturating_sub(now) > old.time_for(old.burst) {
            // It rests after a 429.
            return self.block_until(now, old.next_call(arrival));
        }
        let owed = self.time_to_pay(old, arrival.saturating_sub(now).max(0));
        let lost = self.time_for(old.burst.saturating_sub(self.burst));
        let gained = self.time_for(self.burst.saturating_sub(old.burst));
        let from = if gained > 0 { now } else { arrival.min(now) };
        from.saturating_add(owed.saturating_sub(lost).max(0)).saturating_add(gained)
    }

    /// Returns the time that pays for what the rate `old` pays for in the time `owed`.
    #[cfg(feature = "redis")]
    fn time_to_pay(self, old: Self, owed: i64) -> i64 {
        let [old_per, per] = [old.per, self.per].map(|per| u128::from(per.max(1).unsigned_abs()));
        let paid = u128::from(old.amount) * u128::from(owed.unsigned_abs());
        let units = u64::try_from(paid / old_per).unwrap_or(u64::MAX);
        // A part of a unit, so that a share that is changed often loses nothing.
        let rest = (paid % old_per * per).div_ceil(old_per * u128::from(self.amount.max(1)));
        self.time_for(units).saturating_add(i64::try_from(rest).unwrap_or(i64::MAX))
    }

    /// Returns the arrival time if as much is owed as calls that count `most` can make it owe.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn all_owed(self, most: u64, now: i64) -> i64 {
        if self.amount == 0 { now } else { self.charge(now, most.max(self.burst), now) }
    }

    /// Returns the most that one call may cost.
    pub(in crate::pool) fn most(self) -> u64 {
        if self.amount == 0 { u64::MAX } else { self.amount.max(self.burst) }
    }

    /// Returns when a call that costs 1 may be made next.
    pub(in crate::pool) fn next_call(self, arrival: i64) -> i64 {
        self.ready_at(arrival, 1)
    }

    /// Returns when a call of that cost may be made.
    pub(in crate::pool) fn ready_at(self, arrival: i64, cost: u64) -> i64 {
        arrival.saturating_sub(self.time_for(self.burst.saturating_sub(cost)))
    }

    /// Returns the most that a call may cost now.
    pub(in crate::pool) fn headroom(self, arrival: i64, now: i64) -> u64 {
        let owed = arrival.saturating_sub(now);
        if owed <= 0 {
            return self.most();
        }
        // Rounded down, so that it may be one too few.
        let units =
            u128::from(self.amount) * u128::from(owed.unsigned_abs()) / u128::from(self.per.max(1).unsigned_abs());
        let left = self.burst.saturating_sub(u64::try_from(units).unwrap_or(u64::MAX));
        if self.ready_at(arrival, left) <= now { left } else { left.saturating_sub(1) }
    }

    /// Returns how much may be spent at once now, in one call or in many.
    pub(in crate::pool) fn left(self, arrival: i64, now: i64) -> u64 {
        let left = self.headroom(arrival, now);
        if self.amount == 0 { left } else { left.min(self.burst) }
    }

    /// Returns the arrival time after a call at `now`, which [`ready_at`](Self::ready_at) must have
    /// allowed.
    pub(in crate::pool) fn charge(self, arrival: i64, cost: u64, now: i64) -> i64 {
        arrival.max(now).saturating_add(self.time_for(cost))
    }

    /// Returns the arrival time if a call that was charged `from` cost `to` instead.
    pub(in crate::pool) fn correct(self, arrival: i64, from: u64, to: u64) -> i64 {
        arrival.saturating_sub(self.time_for(from)).saturating_add(self.time_for(to))
    }

    /// Returns the arrival time under this rate in place of another, if as much is owed.
    pub(in crate::pool) fn carry(self, old: Self, arrival: i64, now: i64) -> i64 {
        let owed = u128::from(arrival.saturating_sub(now).max(0).unsigned_abs());
        let units = (u128::from(old.amount) * owed).div_ceil(u128::from(old.per.max(1).unsigned_abs()));
        arrival.min(now).saturating_add(self.time_for(u64::try_from(units).unwrap_or(u64::MAX)))
    }

    /// Returns the same of a rate of calls. If its arrival time is later than calls can make it,
    /// the account rests after a 429: the rest ends when it would have.
    pub(in crate::pool) fn carry_calls(self, old: Self, arrival: i64, now: i64) -> i64 {
        if arrival.saturating_sub(now) > old.time_for(old.burst) {
            return self.block_until(now, old.next_call(arrival));
        }
        self.carry(old, arrival, now)
    }

    /// Returns the time from which a call is charged that waited for the rate and is made `now`.
    ///
    /// If its caller had been woken in time, the call would have been made earlier. Charging it
    /// from then on lets the next call make up for the delay: it may follow this one that much
    /// sooner.
    pub(in crate::pool) fn charge_from(self, cost: u64, now: i64) -> i64 {
        now.saturating_sub(self.time_for(cost).min(MAX_LATENESS))
    }

    /// Returns the arrival time that allows no call before `time`, and even calls without a burst
    /// from then on.
    pub(in crate::pool) fn block_until(self, arrival: i64, time: i64) -> i64 {
        arrival.max(time.saturating_add(self.time_for(self.burst.saturating_sub(1))))
    }

    /// Returns the time that pays for `units`. It is rounded up, so that a rate is at most a
    /// nanosecond a call too slow and never exceeded.
    fn time_for(self, units: u64) -> i64 {
        if units <= 1 && self.interval > 0 {
            return if units == 0 { 0 } else { self.interval };
        }
        if self.amount == 0 || units == 0 {
            return 0;
        }
        let time = (u128::from(units) * u128::from(self.per.unsigned_abs())).div_ceil(u128::from(self.amount));
        i64::try_from(time).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn rate(amount: u64, burst: u64) -> Gcra {
        Gcra::new(amount, Duration::from_secs(1), burst)
    }

    /// Returns how many calls pass within `time` if one is tried every millisecond.
    fn allowed_calls(rate: Gcra, arrival: &mut i64, from: i64, time: i64) -> u32 {
        let mut calls = 0;
        for now in (from..from + time).step_by(1_000_000) {
            while rate.next_call(*arrival) <= now && calls < 1_000_000 {
                *arrival = rate.charge(*arrival, 1, now);
                calls += 1;
            }
        }
        calls
    }

    #[test]
    fn calls_pass_at_the_rate_after_a_burst() {
        let rate = rate(10, 5);
        let mut arrival = 0;
        assert_eq!(allowed_calls(rate, &mut arrival, 0, 1_000_000), 5);
        assert_eq!(allowed_calls(rate, &mut arrival, 1_000_000, SECOND), 10);
        assert_eq!(allowed_calls(rate, &mut arrival, 100 * SECOND, 1_000_000), 5, "the burst is back after a rest");
    }

    #[test]
    fn without_a_burst_no_two_calls_are_closer_than_the_interval() {
        let rate = rate(3, 1);
        let (mut arrival, mut last) = (0, None);
        for now in (0..10 * SECOND).step_by(1_000_000) {
            if rate.next_call(arrival) <= now {
                assert!(last.is_none_or(|last| (now - last) * 3 >= SECOND));
                (arrival, last) = (rate.charge(arrival, 1, now), Some(now));
            }
        }
    }

    #[test]
    fn waiting_callers_get_the_full_rate_and_no_more_although_they_are_woken_late() {
        for (amount, cost, expected) in [(10, 1, 101), (100, 1, 1001), (400, 1, 4001), (100_000, 1000, 1001)] {
            let rate = rate(amount, 1);
            let (mut arrival, mut now, mut calls) = (0, 0, 0);
            while now <= 10 * SECOND {
                arrival = rate.charge(arrival, cost, rate.charge_from(cost, now));
                calls += 1;
                now = now.max(rate.ready_at(arrival, cost)) + 1_500_000;
            }
            assert!((expected - 1..=expected + 1).contains(&calls), "{calls} calls at {amount} a second");
        }
    }

    #[test]
    fn a_blocked_account_may_be_called_at_the_given_time_without_a_burst() {
        let rate = rate(10, 5);
        let mut arrival = rate.block_until(0, 7 * SECOND);
        assert_eq!(rate.next_call(arrival), 7 * SECOND);
        assert_eq!(allowed_calls(rate, &mut arrival, 7 * SECOND, 1_000_000), 1);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let slow = Gcra::new(1, Duration::MAX, u64::MAX);
        assert!(slow.next_call(slow.charge(i64::MAX, u64::MAX, i64::MAX)) < i64::MAX);
        let fast = Gcra::new(u64::MAX, Duration::from_nanos(1), 1);
        assert!(fast.charge(0, u64::MAX, 0) <= 1);
        assert_eq!(Gcra::default().headroom(0, 0), u64::MAX, "no limit");
    }

    #[test]
    fn a_call_that_costs_more_than_the_burst_goes_once_nothing_is_owed() {
        let rate = rate(1000, 10);
        assert_eq!(rate.ready_at(0, 1000), 0);
        let arrival = rate.charge(0, 1000, 0);
        assert_eq!(rate.ready_at(arrival, 500), SECOND);
        assert_eq!(rate.ready_at(arrival, 4), SECOND - 6_000_000, "4 and what is owed are at most the burst");
        assert_eq!(rate.most(), 1000);
    }

    #[test]
    fn what_a_call_did_not_spend_is_given_back_and_what_it_spent_more_is_charged() {
        let rate = rate(1000, 1);
        let charged = rate.charge(0, 600, 0);
        assert_eq!(rate.correct(charged, 600, 100), SECOND / 10);
        assert_eq!(rate.correct(charged, 600, 900), SECOND * 9 / 10);
    }

    #[test]
    fn under_another_rate_as_much_is_owed() {
        let arrival = rate(1000, 1).charge(0, 600, 0);
        assert_eq!(rate(100, 1).carry(rate(1000, 1), arrival, SECOND / 10), SECOND / 10 + 5 * SECOND);
        assert_eq!(rate(100, 1).carry(rate(1000, 1), 5, 9), 5);
        assert_eq!(Gcra::default().carry(rate(1000, 1), arrival, 7), 7, "without a rate, nothing is");
    }

    /// Returns how many thousandths are used of two rates, of calls and of cost, that allow a call
    /// of the mean cost equally often.
    fn used_of_two(burst: u64) -> i64 {
        let (calls, cost) = (rate(100, burst), rate(1000, (burst - 1) * 10 + 1));
        let mut random = fastrand::Rng::with_seed(7);
        let (mut now, mut of_calls, mut of_cost, mut spent) = (0, 0, 0, 0);
        for _ in 0..20_000 {
            let amount = random.u64(2..=18);
            now = calls.ready_at(of_calls, 1).max(cost.ready_at(of_cost, amount)).max(now);
            (of_calls, of_cost) = (calls.charge(of_calls, 1, now), cost.charge(of_cost, amount, now));
            spent += i64::try_from(amount).unwrap();
        }
        spent * SECOND / now
    }

    #[test]
    fn two_rates_without_a_burst_lose_a_sixth_and_with_a_fifth_of_a_period_next_to_nothing() {
        assert!((810..850).contains(&used_of_two(1)), "{}", used_of_two(1));
        assert!(used_of_two(20) >= 980, "{}", used_of_two(20));
    }

    #[test]
    fn a_rest_ends_when_it_would_have_whatever_the_rate_is_then() {
        let (fast, slow) = (rate(1000, 9), rate(10, 3));
        for (old, new) in [(fast, slow), (slow, fast), (Gcra::default(), slow), (slow, Gcra::default())] {
            let arrival = old.block_until(0, 60 * SECOND);
            assert_eq!(new.next_call(new.carry_calls(old, arrival, SECOND)), 60 * SECOND);
        }
        let spent = (0..3).fold(0, |arrival, _| slow.charge(arrival, 1, 0));
        assert_eq!(fast.carry_calls(slow, spent, 0), 3 * SECOND / 1000, "three calls are no rest");
    }

    proptest! {
        /// A token bucket that holds a period's amount and the burst never runs empty.
        #[test]
        fn costs_never_exceed_what_a_token_bucket_of_the_rate_allows(
            amount in 1..5000_u64, burst in 1..50_u64, calls in prop::collection::vec((1..5000_u64, 0..SECOND), 1..60)
        ) {
            let rate = rate(amount, burst);
            let (mut arrival, mut now) = (0, 0);
            // In billionths of a unit.
            let nano = |units: u64| i128::from(units) * 1_000_000_000;
            let (capacity, mut level) = (nano(amount + burst), nano(amount + burst));
            for (cost, pause) in calls {
                let cost = cost.min(rate.most());
                let at = (now + pause).max(rate.ready_at(arrival, cost));
                prop_assert!(rate.headroom(arrival, at) >= cost);
                level = (level + i128::from(at - now) * i128::from(amount)).min(capacity) - nano(cost);
                prop_assert!(level > -1_000_000, "{level}");
                (arrival, now) = (rate.charge(arrival, cost, at), at);
            }
        }

        #[test]
        fn the_headroom_is_the_most_that_is_ready(amount in 1..5000_u64, burst in 1..50_u64, owed in 0..SECOND / 10) {
            let rate = rate(amount, burst);
            let headroom = rate.headroom(owed, 0);
            prop_assert!(headroom == 0 || rate.ready_at(owed, headroom) <= 0);
            prop_assert!(headroom == rate.most() || rate.ready_at(owed, headroom + 1) > 0);
        }
    }
}
