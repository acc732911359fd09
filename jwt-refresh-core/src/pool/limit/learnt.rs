//! The limits of an account that its server tells in answers. This file is pure arithmetic and
//! reads no clock; all times are in nanoseconds since boot.
//!
//! After an answer there remains what the server says, less all that was leased after the call of
//! the answer, and less all that is in flight: the server may have counted neither. So answers that
//! overtake each other never leave too much, and the last of several says what is true. When a
//! window ends, all of its quota is there again, less what is in flight.
//!
//! A server may say anything. What it says never blocks an account for longer than the policy's
//! longest `Retry-After`: then one call at a time finds out. A call that costs more than the quota
//! goes when the quota is full. A limit of which the server says no more is forgotten.

use std::time::Duration;

use super::advertised::Advertised;
use super::unit::Unit;

/// How many limits of one account are learnt at most.
const MOST_WINDOWS: usize = 8;
/// The longest time to a reset that is believed, and the longest window.
const LONGEST_WINDOW: Duration = Duration::from_secs(40 * 86_400);
/// How long a window is taken to be if the server never said so.
const DEFAULT_WINDOW: Duration = Duration::from_secs(60);
/// How far apart two resets of one window may be because they are rounded to seconds.
const ROUNDING: Duration = Duration::from_secs(1);
/// A limit is forgotten once this many quotas were spent without a word of it.
const FORGOTTEN_AFTER: u64 = 4;

/// What calls add up to, in both units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pool) struct Totals {
    pub(in crate::pool) requests: u64,
    pub(in crate::pool) cost: u64,
}

impl Totals {
    fn of(self, unit: Unit) -> u64 {
        match unit {
            Unit::Requests => self.requests,
            Unit::Cost => self.cost,
        }
    }
}

/// The limits that were learnt of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::pool) struct LearntLimits {
    windows: Vec<LearntWindow>,
    /// All that was leased so far.
    leased: Totals,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LearntWindow {
    name: Box<str>,
    unit: Unit,
    quota: u64,
    left: u64,
    /// When the quota is full again.
    reset: i64,
    length: i64,
    /// When the server was last asked: by an answer, or by a call that is to find out.
    asked: i64,
    /// What was spent since the last word of the limit.
    unseen: u64,
}

/// The call whose answer is read.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Answered {
    /// [`LearntLimits::leased`] after the call was leased.
    pub(in crate::pool) mark: Totals,
    /// What other calls are in flight.
    pub(in crate::pool) others: Totals,
    pub(in crate::pool) cost: u64,
}

impl LearntLimits {
    /// Returns all that was leased so far.
    pub(in crate::pool) fn leased(&self) -> Totals {
        self.leased
    }

    /// Returns the most that a call may cost now; 0 if no call may be made. `patience` is the
    /// longest time for which the server is believed that nothing remains.
    pub(in crate::pool) fn headroom(&self, in_flight: Totals, patience: Duration, now: i64) -> u64 {
        let headroom = |window: &LearntWindow| match (window.left_at(in_flight, patience, now), window.unit) {
            (left, _) if left >= window.quota => u64::MAX,
            (left, Unit::Cost) => left,
            (0, Unit::Requests) => 0,
            (_, Unit::Requests) => u64::MAX,
        };
        self.windows.iter().map(headroom).min().unwrap_or(u64::MAX)
    }

    /// Returns when a call of that cost may be made, or `None` if only the end of a lease can tell.
    pub(in crate::pool) fn ready_at(&self, cost: u64, in_flight: Totals, patience: Duration, now: i64) -> Option<i64> {
        let mut ready = self.windows.iter().map(|window| window.ready_at(cost, in_flight, patience, now));
        ready.try_fold(now, |latest, ready| ready.map(|ready| latest.max(ready)))
    }

    /// Charges a call. `in_flight` is what other calls there are.
    pub(in crate::pool) fn charge(&mut self, cost: u64, in_flight: Totals, patience: Duration, now: i64) {
        self.leased.requests = self.leased.requests.wrapping_add(1);
        self.leased.cost = self.leased.cost.wrapping_add(cost);
        for window in &mut self.windows {
            window.charge(cost, in_flight, patience, now);
        }
        self.windows.retain(|window| window.unseen / FORGOTTEN_AFTER <= window.quota);
    }

    /// Counts that a call in flight costs `to` instead of `from`. What it costs less, the server
    /// says in its answers.
    pub(in crate::pool) fn correct(&mut self, from: u64, to: u64) {
        let more = to.saturating_sub(from);
        for window in self.windows.iter_mut().filter(|window| window.unit == Unit::Cost) {
            window.left = window.left.saturating_sub(more);
        }
    }

    /// Takes what a server says in an answer.
    pub(in crate::pool) fn observe(&mut self, advertised: &[Advertised], answered: Answered, now: i64) {
        for said in advertised {
            let Some(remaining) = said.remaining else { continue };
            let place = self.windows.iter().position(|window| window.name == said.name && window.unit == said.unit);
            let known = place.and_then(|place| self.windows.get(place));
            let outstanding = self.leased.of(said.unit).wrapping_sub(answered.mark.of(said.unit));
            let outstanding = outstanding.saturating_add(answered.others.of(said.unit));
            let Some(window) = LearntWindow::said(said, remaining, outstanding, known, answered.cost, now) else {
                continue;
            };
            match place {
                Some(place) => self.windows[place] = window,
                None if self.windows.len() < MOST_WINDOWS => self.windows.push(window),
                None => {}
            }
        }
    }
}

impl LearntWindow {
    /// Returns the window as a server describes it. Returns `None` if it cannot be known when the
    /// quota is full again.
    fn said(
        said: &Advertised,
        remaining: u64,
        outstanding: u64,
        known: Option<&Self>,
        cost: u64,
        now: i64,
    ) -> Option<Self> {
        let believed = |time: Duration| nanos(time.min(LONGEST_WINDOW));
        let said_length = said.window.filter(|length| !length.is_zero()).map(believed);
        let reset = match said.reset.map(believed) {
            // Rounded down, it may be nearly a second.
            Some(0) if said.is_rounded && remaining == 0 => Some(now.saturating_add(nanos(ROUNDING))),
            Some(wait) => Some(now.saturating_add(wait)),
            None => known.map(|known| known.reset).filter(|reset| *reset > now),
        };
        let reset = reset.or_else(|| Some(now.saturating_add(said_length?)))?;
        // Of resets that are rounded, the latest is not too early.
        let reset = match known {
            Some(known) if said.is_rounded && known.reset.abs_diff(reset) <= nanos(ROUNDING).unsigned_abs() => {
                reset.max(known.reset)
            }
            _ => reset,
        };
        let spent = remaining.saturating_add(said.unit.amount(cost));
        let quota =
            said.quota.filter(|quota| *quota > 0).or(known.map(|known| known.quota.max(remaining))).unwrap_or(spent);
        let length = said_length.unwrap_or_else(|| {
            let until = reset.saturating_sub(now);
            known.map_or_else(|| if until > 0 { until } else { nanos(DEFAULT_WINDOW) }, |known| known.length.max(until))
        });
        let quota = quota.max(1);
        let left = remaining.min(quota).saturating_sub(outstanding);
        Some(Self { name: said.name.clone(), unit: said.unit, quota, left, reset, length, asked: now, unseen: 0 })
    }

    /// Returns what is left at a time.
    fn left_at(&self, in_flight: Totals, patience: Duration, now: i64) -> u64 {
        if now >= self.reset {
            return self.quota.saturating_sub(in_flight.of(self.unit));
        }
        let finds_out = now >= self.asked.saturating_add(nanos(patience)) && in_flight.requests == 0;
        if finds_out { self.quota } else { self.left }
    }

    fn ready_at(&self, cost: u64, in_flight: Totals, patience: Duration, now: i64) -> Option<i64> {
        let amount = self.unit.amount(cost).min(self.quota);
        if self.left_at(in_flight, patience, now) >= amount {
            return Some(now);
        }
        let times = [self.reset, self.asked.saturating_add(nanos(patience))];
        times.into_iter().filter(|time| *time > now).min()
    }

    fn charge(&mut self, cost: u64, in_flight: Totals, patience: Duration, now: i64) {
        let amount = self.unit.amount(cost);
        if now >= self.reset {
            self.left = self.quota.saturating_sub(in_flight.of(self.unit));
            self.reset = now.saturating_add(self.length);
            self.asked = now;
        } else if now >= self.asked.saturating_add(nanos(patience)) {
            self.asked = now;
        }
        self.left = self.left.saturating_sub(amount);
        self.unseen = self.unseen.saturating_add(amount.min(self.quota));
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const PATIENCE: Duration = Duration::from_secs(600);

    fn said(quota: u64, remaining: u64, reset: u64) -> Advertised {
        Advertised {
            name: "".into(),
            unit: Unit::Requests,
            quota: Some(quota),
            remaining: Some(remaining),
            reset: Some(Duration::from_secs(reset)),
            is_rounded: false,
            window: None,
        }
    }

    fn alone(limits: &LearntLimits) -> Answered {
        Answered { mark: limits.leased(), others: Totals::default(), cost: 1 }
    }

    /// Leases as many calls as may be made at once.
    fn lease_all(limits: &mut LearntLimits, in_flight: &mut Totals, now: i64) -> u64 {
        let before = in_flight.requests;
        while limits.headroom(*in_flight, PATIENCE, now) > 0 {
            limits.charge(1, *in_flight, PATIENCE, now);
            in_flight.requests += 1;
        }
        in_flight.requests - before
    }

    #[test]
    fn what_remains_is_leased_and_then_nothing_until_the_reset() {
        let mut limits = LearntLimits::default();
        limits.observe(&[said(60, 7, 30)], alone(&limits), 0);
        let mut in_flight = Totals::default();
        assert_eq!(lease_all(&mut limits, &mut in_flight, 0), 7);
        assert_eq!(limits.ready_at(1, in_flight, PATIENCE, SECOND), Some(30 * SECOND));
        assert_eq!(lease_all(&mut limits, &mut Totals::default(), 30 * SECOND), 60, "then all of the quota");
    }

    #[test]
    fn what_is_in_flight_or_was_leased_after_the_call_may_not_be_counted_yet() {
        let mut limits = LearntLimits::default();
        limits.charge(1, Totals::default(), PATIENCE, 0);
        let mark = limits.leased();
        for others in 1..4 {
            limits.charge(1, Totals { requests: others, cost: 0 }, PATIENCE, 0);
        }
        // Of the three that were leased after it, two are in flight, and one more from before.
        let answered = Answered { mark, others: Totals { requests: 3, cost: 3 }, cost: 1 };
        limits.observe(&[said(60, 10, 30)], answered, 0);
        assert_eq!(lease_all(&mut limits, &mut Totals { requests: 3, cost: 0 }, 0), 4);
        limits.observe(&[said(60, 3, 30)], alone(&limits), 0);
        assert_eq!(lease_all(&mut limits, &mut Totals::default(), 0), 3, "a later answer says more exactly");
    }

    #[test]
    fn calls_in_flight_at_the_reset_may_count_for_the_new_window() {
        let mut limits = LearntLimits::default();
        limits.observe(&[said(10, 4, 5)], alone(&limits), 0);
        let mut in_flight = Totals::default();
        assert_eq!(lease_all(&mut limits, &mut in_flight, 4 * SECOND), 4);
        assert_eq!(lease_all(&mut limits, &mut in_flight, 5 * SECOND), 6);
    }

    #[test]
    fn resets_that_are_rounded_to_seconds_are_not_taken_too_early() {
        let mut limits = LearntLimits::default();
        let rounded = |remaining, reset| Advertised { is_rounded: true, ..said(10, remaining, reset) };
        limits.observe(&[rounded(5, 2)], alone(&limits), SECOND / 2);
        limits.observe(&[rounded(0, 1)], alone(&limits), SECOND);
        assert_eq!(limits.ready_at(1, Totals::default(), PATIENCE, SECOND), Some(SECOND / 2 + 2 * SECOND));
        limits.observe(&[rounded(0, 0)], alone(&limits), 60 * SECOND);
        assert_eq!(limits.ready_at(1, Totals::default(), PATIENCE, 60 * SECOND), Some(61 * SECOND));
    }

    #[test]
    fn a_reset_that_is_far_away_is_believed_for_as_long_as_the_policy_says_and_then_one_call_finds_out() {
        let mut limits = LearntLimits::default();
        limits.observe(&[said(100, 0, 1_000_000_000)], alone(&limits), 0);
        let patience = 600 * SECOND;
        assert_eq!(limits.ready_at(1, Totals::default(), PATIENCE, 0), Some(patience));
        let mut in_flight = Totals::default();
        assert_eq!(lease_all(&mut limits, &mut in_flight, patience), 1);
        assert_eq!(limits.ready_at(1, Totals::default(), PATIENCE, patience + 1), Some(2 * patience));
    }

    #[test]
    fn a_call_that_costs_more_than_the_quota_goes_when_the_quota_is_full() {
        let mut limits = LearntLimits::default();
        let cost = |remaining| Advertised { unit: Unit::Cost, ..said(100, remaining, 9) };
        limits.observe(&[cost(99)], alone(&limits), 0);
        assert_eq!(limits.headroom(Totals::default(), PATIENCE, 0), 99);
        assert_eq!(limits.ready_at(5000, Totals::default(), PATIENCE, 0), Some(9 * SECOND));
        limits.observe(&[cost(100)], alone(&limits), 0);
        assert_eq!(limits.headroom(Totals::default(), PATIENCE, 0), u64::MAX);
    }

    #[test]
    fn a_limit_of_which_the_server_says_no_more_is_forgotten() {
        let mut limits = LearntLimits::default();
        limits.observe(&[said(5, 5, 1)], alone(&limits), 0);
        for _ in 0..=5 * FORGOTTEN_AFTER {
            assert!(!limits.windows.is_empty());
            limits.charge(1, Totals::default(), PATIENCE, 0);
        }
        (0..FORGOTTEN_AFTER).for_each(|_| limits.charge(1, Totals::default(), PATIENCE, 0));
        assert!(limits.windows.is_empty(), "{limits:?}");
    }

    #[test]
    fn what_cannot_be_used_changes_nothing() {
        let mut limits = LearntLimits::default();
        let no_reset = Advertised { reset: None, ..said(10, 0, 0) };
        let no_remaining = Advertised { remaining: None, ..said(10, 0, 5) };
        limits.observe(&[no_reset.clone(), no_remaining], alone(&limits), 0);
        assert!(limits.windows.is_empty());
        limits.observe(&[Advertised { window: Some(Duration::from_secs(3)), ..no_reset }], alone(&limits), 0);
        assert_eq!(limits.ready_at(1, Totals::default(), PATIENCE, 0), Some(3 * SECOND), "its window is known");
        for number in 0..100 {
            limits.observe(&[Advertised { name: number.to_string().into(), ..said(10, 5, 5) }], alone(&limits), 0);
        }
        assert_eq!(limits.windows.len(), MOST_WINDOWS);
    }

    proptest! {
        /// Whatever a server says, an account without calls in flight is ready again in time.
        #[test]
        fn no_answer_blocks_an_account_for_longer_than_the_policy_says(
            steps in prop::collection::vec((any::<[Option<u64>; 3]>(), any::<bool>(), any::<bool>(), 0..5_u64, 0..100 * SECOND), 1..60),
            cost in 1..u64::MAX,
        ) {
            let (mut limits, mut now) = (LearntLimits::default(), 0);
            for ([quota, remaining, seconds], is_rounded, is_cost, calls, pause) in steps {
                let unit = if is_cost { Unit::Cost } else { Unit::Requests };
                let reset = seconds.map(Duration::from_secs);
                let said = Advertised { unit, quota, remaining, reset, is_rounded, window: reset, name: "".into() };
                for _ in 0..calls {
                    limits.charge(cost, Totals { requests: calls, cost }, PATIENCE, now);
                }
                limits.observe(&[said], alone(&limits), now);
                let ready = limits.ready_at(cost, Totals::default(), PATIENCE, now);
                let ready = ready.expect("nothing is in flight");
                prop_assert!(ready <= now + nanos(PATIENCE));
                prop_assert_eq!(limits.ready_at(cost, Totals::default(), PATIENCE, ready), Some(ready));
                now += pause;
            }
        }
    }
}
