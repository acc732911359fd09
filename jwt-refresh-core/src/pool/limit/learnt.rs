//! The limits of an account that its server tells in answers. This file is pure arithmetic and
//! reads no clock; all times are in nanoseconds since boot.
//!
//! Within a window, less remains with each call that arrives. So of all answers the one with the
//! least counts, and it has counted every call that was answered: there is left what it says less
//! the calls of which the answer is not known yet. Answers that overtake each other change nothing
//! in that. When a window ends, all of its quota is there again, less what is in flight.
//!
//! A server may say anything. What it says never blocks an account for longer than the policy's
//! longest `Retry-After`: then one call at a time finds out. A call that costs more than the quota
//! goes when the quota is full. A limit of which the server says no more is forgotten.

use std::time::Duration;

use super::advertised::Advertised;
use super::rule::Call;
use super::unit::{Totals, Unit};

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

/// The limits that were learnt of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::pool) struct LearntLimits {
    windows: Vec<LearntWindow>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LearntWindow {
    name: Box<str>,
    unit: Unit,
    quota: u64,
    /// The least that the server said remains in this window.
    remaining: u64,
    /// What calls cost that may not be counted in that: those that were not answered.
    pending: u64,
    /// When the quota is full again.
    reset: i64,
    /// Whether the server said when that is. If not, the window has begun because the last one was
    /// over, and its reset follows from the length.
    is_reset_told: bool,
    /// How long a window is. If the server does not say that, it is the longest wait that it said,
    /// which may be less until it has told of a window from the beginning on.
    length: i64,
    /// When a window was last taken to be over.
    turned: i64,
    /// When the server was last asked: by an answer, or by a call that is to find out.
    asked: i64,
    /// What was spent since the last word of the limit.
    unseen: u64,
}

/// A call whose answer is read.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Answered {
    pub(in crate::pool) call: Call,
    /// Whether this is the first answer to it.
    pub(in crate::pool) is_first: bool,
    /// What other calls are in flight.
    pub(in crate::pool) others: Totals,
}

impl LearntLimits {
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

    /// Returns how much of that unit may be spent now, or `None` if nothing is known of it.
    pub(in crate::pool) fn left(&self, unit: Unit, in_flight: Totals, patience: Duration, now: i64) -> Option<u64> {
        let windows = self.windows.iter().filter(|window| window.unit == unit);
        windows.map(|window| window.left_at(in_flight, patience, now)).min()
    }

    /// Returns when a call of that cost may be made, or `None` if only the end of a lease can tell.
    pub(in crate::pool) fn ready_at(&self, cost: u64, in_flight: Totals, patience: Duration, now: i64) -> Option<i64> {
        let mut ready = self.windows.iter().map(|window| window.ready_at(cost, in_flight, patience, now));
        ready.try_fold(now, |latest, ready| ready.map(|ready| latest.max(ready)))
    }

    /// Charges a call. `in_flight` is what other calls there are.
    pub(in crate::pool) fn charge(&mut self, cost: u64, in_flight: Totals, patience: Duration, now: i64) {
        for window in &mut self.windows {
            window.charge(cost, in_flight, patience, now);
        }
        self.windows.retain(|window| window.unseen / FORGOTTEN_AFTER <= window.quota);
    }

    /// Counts that a call that was not answered costs `to` instead of `from`.
    pub(in crate::pool) fn correct(&mut self, from: u64, to: u64) {
        for window in self.windows.iter_mut().filter(|window| window.unit == Unit::Cost) {
            window.pending = window.pending.saturating_sub(from).saturating_add(to);
        }
    }

    /// Takes what a server says in an answer.
    pub(in crate::pool) fn observe(&mut self, advertised: &[Advertised], answered: Answered, now: i64) {
        // Limits of which the answer says nothing do not count the call.
        for window in self.windows.iter_mut().filter(|_| answered.is_first) {
            window.pending = window.pending.saturating_sub(window.unit.amount(answered.call.cost));
        }
        for said in advertised {
            let (Some(remaining), length) = (said.remaining, said.window.filter(|length| !length.is_zero())) else {
                continue;
            };
            let known = self.windows.iter_mut().find(|window| window.name == said.name && window.unit == said.unit);
            let Some(reset) = reset_time(said, remaining, known.as_deref(), now) else { continue };
            let length = length.map(believed);
            if let Some(window) = known {
                if !window.is_over(said, answered.call) {
                    window.update(said, remaining, reset, answered.call, now);
                    window.length = length.unwrap_or(window.length.max(reset.saturating_sub(now)));
                }
            } else if self.windows.len() < MOST_WINDOWS {
                let length = length.unwrap_or(reset.saturating_sub(now));
                self.windows.push(LearntWindow::new(said, remaining, reset, length, answered, now));
            }
        }
    }
}

/// Returns when a quota is full again. Returns `None` if that cannot be known.
fn reset_time(said: &Advertised, remaining: u64, known: Option<&LearntWindow>, now: i64) -> Option<i64> {
    let reset = match said.reset.map(believed) {
        // Rounded down, it may be nearly a second.
        Some(0) if said.is_rounded && remaining == 0 => now.saturating_add(nanos(ROUNDING)),
        Some(wait) => now.saturating_add(wait),
        None => match known.map(|known| known.reset).filter(|reset| *reset > now) {
            Some(reset) => reset,
            None => now.saturating_add(believed(said.window?)),
        },
    };
    // Of resets that are rounded, the latest is not too early.
    let rounded = known.map(|known| known.reset).filter(|_| said.is_rounded);
    let same = rounded.filter(|known| known.abs_diff(reset) <= nanos(ROUNDING).unsigned_abs());
    Some(reset.max(same.unwrap_or(reset)))
}

impl LearntWindow {
    /// Returns a window of which a server says something for the first time.
    fn new(said: &Advertised, remaining: u64, reset: i64, length: i64, answered: Answered, now: i64) -> Self {
        let spent = remaining.saturating_add(said.unit.amount(answered.call.cost));
        let quota = said.quota.filter(|quota| *quota > 0).unwrap_or(spent).max(1);
        Self {
            name: said.name.clone(),
            unit: said.unit,
            quota,
            remaining: remaining.min(quota),
            pending: answered.others.of(said.unit),
            reset,
            is_reset_told: true,
            length: if length > 0 { length } else { nanos(DEFAULT_WINDOW) },
            turned: i64::MIN,
            asked: now,
            unseen: 0,
        }
    }

    /// Returns whether a server speaks of the window before this one: the call was leased before
    /// that ended, and the reset is nearer to that end than to the end of this window. It is
    /// counted from some time after the call was leased.
    fn is_over(&self, said: &Advertised, call: Call) -> bool {
        let half = self.reset.saturating_sub(self.turned) / 2;
        call.leased < self.turned && earliest_reset(said, call) < self.turned.saturating_add(half)
    }

    /// Returns whether a server speaks of the window after this one. If it has not said when this
    /// one ends, it speaks of this one.
    fn is_next(&self, said: &Advertised, call: Call) -> bool {
        self.is_reset_told && earliest_reset(said, call) > self.reset.saturating_add(self.length / 2)
    }

    /// Takes what a server says of the window.
    fn update(&mut self, said: &Advertised, remaining: u64, reset: i64, call: Call, now: i64) {
        self.quota = said.quota.filter(|quota| *quota > 0).unwrap_or(self.quota.max(remaining)).max(1);
        let is_next = self.is_next(said, call);
        // More may remain than was said before if the window is another one, or if the call was
        // alone since then.
        let was_alone = self.pending == 0 && call.leased >= self.asked;
        let believes_more = is_next || was_alone || now >= self.reset;
        self.remaining = if believes_more { remaining } else { remaining.min(self.remaining) }.min(self.quota);
        self.turned = if is_next { self.reset.min(now) } else { self.turned };
        (self.reset, self.is_reset_told) = (reset, true);
        (self.asked, self.unseen) = (now, 0);
    }

    /// Returns what is left at a time.
    fn left_at(&self, in_flight: Totals, patience: Duration, now: i64) -> u64 {
        if now >= self.reset {
            return self.quota.saturating_sub(in_flight.of(self.unit));
        }
        let finds_out = now >= self.asked.saturating_add(nanos(patience)) && in_flight.requests == 0;
        if finds_out { self.quota } else { self.remaining.saturating_sub(self.pending) }
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
            (self.remaining, self.pending) = (self.quota, in_flight.of(self.unit));
            (self.reset, self.is_reset_told) = (now.saturating_add(self.length), false);
            (self.turned, self.asked) = (now, now);
        } else if now >= self.asked.saturating_add(nanos(patience)) {
            self.asked = now;
        }
        self.pending = self.pending.saturating_add(amount);
        self.unseen = self.unseen.saturating_add(amount.min(self.quota));
    }
}

/// Returns the earliest time of a reset, which is counted from some time after the call was leased.
fn earliest_reset(said: &Advertised, call: Call) -> i64 {
    let rounding = if said.is_rounded { ROUNDING } else { Duration::ZERO };
    let wait = said.reset.or(said.window).unwrap_or_default().min(LONGEST_WINDOW);
    call.leased.saturating_add(nanos(wait.saturating_sub(rounding)))
}

fn believed(time: Duration) -> i64 {
    nanos(time.min(LONGEST_WINDOW))
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

    /// The answer to a call that was leased at a time.
    fn answered(leased: i64) -> Answered {
        Answered { call: Call { cost: 1, leased }, is_first: true, others: Totals::default() }
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
        limits.observe(&[said(60, 7, 30)], answered(0), 0);
        let mut in_flight = Totals::default();
        assert_eq!(lease_all(&mut limits, &mut in_flight, 0), 7);
        assert_eq!(limits.ready_at(1, in_flight, PATIENCE, SECOND), Some(30 * SECOND));
        assert_eq!(lease_all(&mut limits, &mut Totals::default(), 30 * SECOND), 60, "then all of the quota");
    }

    #[test]
    fn what_was_not_answered_may_not_be_counted_and_answers_may_overtake_each_other() {
        let mut limits = LearntLimits::default();
        let mut in_flight = Totals { requests: 3, cost: 0 };
        limits.observe(&[said(60, 10, 30)], Answered { others: in_flight, ..answered(0) }, 0);
        assert_eq!(lease_all(&mut limits, &mut in_flight, 0), 7);
        for remaining in [4, 5, 2, 1, 6, 3, 7, 9, 8] {
            limits.observe(&[said(60, remaining, 30)], answered(0), 0);
        }
        assert_eq!(lease_all(&mut limits, &mut Totals::default(), 0), 0, "one of 1 is not answered");
        limits.observe(&[said(60, 0, 30)], answered(0), 0);
        assert_eq!(lease_all(&mut limits, &mut Totals::default(), 0), 0);
    }

    #[test]
    fn a_call_that_was_alone_tells_that_more_remains() {
        let mut limits = LearntLimits::default();
        limits.observe(&[said(60, 10, 30)], answered(0), 0);
        limits.charge(1, Totals::default(), PATIENCE, SECOND);
        limits.observe(&[said(60, 20, 25)], answered(SECOND), 2 * SECOND);
        assert_eq!(lease_all(&mut limits, &mut Totals::default(), 2 * SECOND), 20);
    }

    #[test]
    fn limits_of_which_an_answer_says_nothing_do_not_count_its_call() {
        let mut limits = LearntLimits::default();
        let search = Advertised { name: "search".into(), ..said(30, 1, 60) };
        limits.observe(&[search], answered(0), 0);
        for _ in 0..3 {
            assert!(limits.headroom(Totals::default(), PATIENCE, 0) > 0);
            limits.charge(1, Totals::default(), PATIENCE, 0);
            limits.observe(&[said(5000, 4000, 60)], answered(0), 0);
        }
    }

    #[test]
    fn calls_in_flight_at_the_reset_may_count_for_the_new_window() {
        let mut limits = LearntLimits::default();
        limits.observe(&[said(10, 4, 5)], answered(0), 0);
        let mut in_flight = Totals::default();
        assert_eq!(lease_all(&mut limits, &mut in_flight, 4 * SECOND), 4);
        assert_eq!(lease_all(&mut limits, &mut in_flight, 5 * SECOND), 6);
    }

    #[test]
    fn an_answer_of_a_window_that_is_over_changes_nothing() {
        let mut limits = LearntLimits::default();
        limits.observe(&[said(10, 0, 5)], answered(0), 0);
        let mut in_flight = Totals { requests: 1, cost: 1 };
        assert_eq!(lease_all(&mut limits, &mut in_flight, 5 * SECOND), 9);
        let late = Advertised { reset: Some(Duration::from_millis(1)), ..said(10, 0, 0) };
        limits.observe(std::slice::from_ref(&late), answered(5 * SECOND - 2_000_000), 5 * SECOND + 1);
        assert_eq!(lease_all(&mut limits, &mut in_flight, 5 * SECOND + 2_000_000), 1, "it was not of this window");
        assert_eq!(limits.ready_at(1, Totals::default(), PATIENCE, 6 * SECOND), Some(10 * SECOND));
        limits.observe(&[late], answered(5 * SECOND), 5 * SECOND + 1);
        assert_eq!(limits.ready_at(1, Totals::default(), PATIENCE, 5 * SECOND + 1), Some(5 * SECOND + 1_000_001));
    }

    #[test]
    fn an_answer_of_the_next_window_begins_that_and_later_ones_of_the_last_change_nothing() {
        let mut limits = LearntLimits::default();
        let until = |milliseconds, remaining| Advertised {
            reset: Some(Duration::from_millis(milliseconds)),
            ..said(10, remaining, 0)
        };
        limits.observe(&[until(5050, 5)], answered(0), 50_000_000);
        (0..2).for_each(|_| limits.charge(1, Totals { requests: 2, cost: 0 }, PATIENCE, 5 * SECOND));
        limits.observe(&[until(5000, 9)], answered(5 * SECOND), 5 * SECOND + 60_000_000);
        limits.observe(&[until(1, 4)], answered(5 * SECOND - 1_000_000), 5 * SECOND + 70_000_000);
        assert_eq!(lease_all(&mut limits, &mut Totals::default(), 5 * SECOND + 80_000_000), 9);
    }

    #[test]
    fn a_window_that_is_longer_than_was_known_counts_all_of_its_answers() {
        // The first word comes late in a window, and does not say how long one is.
        for known in (100..5000).step_by(100) {
            let mut limits = LearntLimits::default();
            let until = |milliseconds, remaining| Advertised {
                reset: Some(Duration::from_millis(milliseconds)),
                ..said(10, remaining, 0)
            };
            limits.observe(&[until(known, 0)], answered(0), 0);
            let begins = i64::try_from(known).unwrap() * 1_000_000;
            assert_eq!(lease_all(&mut limits, &mut Totals::default(), begins), 10);
            for (number, took) in [5, 100, 90, 80, 300, 200, 70, 40, 30, 60].into_iter().enumerate() {
                let answer = until(5000 - took, 9 - number as u64);
                limits.observe(&[answer], answered(begins), begins + i64::try_from(took).unwrap() * 1_000_000);
            }
            let later = begins + SECOND / 2;
            assert_eq!(lease_all(&mut limits, &mut Totals::default(), later), 0, "{known} ms were known");
        }
    }

    #[test]
    fn resets_that_are_rounded_to_seconds_are_not_taken_too_early() {
        let mut limits = LearntLimits::default();
        let rounded = |remaining, reset| Advertised { is_rounded: true, ..said(10, remaining, reset) };
        limits.observe(&[rounded(5, 2)], answered(0), SECOND / 2);
        limits.observe(&[rounded(0, 1)], answered(0), SECOND);
        assert_eq!(limits.ready_at(1, Totals::default(), PATIENCE, SECOND), Some(SECOND / 2 + 2 * SECOND));
        limits.observe(&[rounded(0, 0)], answered(0), 60 * SECOND);
        assert_eq!(limits.ready_at(1, Totals::default(), PATIENCE, 60 * SECOND), Some(61 * SECOND));
    }

    #[test]
    fn a_reset_that_is_far_away_is_believed_for_as_long_as_the_policy_says_and_then_one_call_finds_out() {
        let mut limits = LearntLimits::default();
        limits.observe(&[said(100, 0, 1_000_000_000)], answered(0), 0);
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
        limits.observe(&[cost(99)], answered(0), 0);
        assert_eq!(limits.headroom(Totals::default(), PATIENCE, 0), 99);
        assert_eq!(limits.ready_at(5000, Totals::default(), PATIENCE, 0), Some(9 * SECOND));
        limits.observe(&[cost(100)], answered(0), 0);
        assert_eq!(limits.headroom(Totals::default(), PATIENCE, 0), u64::MAX);
    }

    #[test]
    fn a_limit_of_which_the_server_says_no_more_is_forgotten() {
        let mut limits = LearntLimits::default();
        limits.observe(&[said(5, 5, 1)], answered(0), 0);
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
        limits.observe(&[no_reset.clone(), no_remaining], answered(0), 0);
        assert!(limits.windows.is_empty());
        limits.observe(&[Advertised { window: Some(Duration::from_secs(3)), ..no_reset }], answered(0), 0);
        assert_eq!(limits.ready_at(1, Totals::default(), PATIENCE, 0), Some(3 * SECOND), "its window is known");
        for number in 0..100 {
            limits.observe(&[Advertised { name: number.to_string().into(), ..said(10, 5, 5) }], answered(0), 0);
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
                limits.observe(&[said], answered(0), now);
                let ready = limits.ready_at(cost, Totals::default(), PATIENCE, now);
                let ready = ready.expect("nothing is in flight");
                prop_assert!(ready <= now + nanos(PATIENCE));
                prop_assert_eq!(limits.ready_at(cost, Totals::default(), PATIENCE, ready), Some(ready));
                now += pause;
            }
        }
    }
}
