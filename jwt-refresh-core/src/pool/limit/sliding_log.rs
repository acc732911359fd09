//! A limit that holds in every window of time: a log of the calls that count.
//!
//! A call counts from when it is leased until its lease has ended and a window has passed. The
//! server counts it somewhere between the two, so no window at the server, wherever it begins, has
//! more calls than the log had at one time. This file is pure arithmetic and reads no clock.

use std::collections::VecDeque;
use std::time::Duration;

/// Into how many parts a window is divided. Calls that end in the same part are forgotten together,
/// when the last of them may be: so a log has at most one entry more than this, and a call counts
/// for at most 1/256 of a window too long.
const PARTS: i64 = 256;

/// The most that may be spent in any window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct StrictWindow {
    amount: u64,
    /// The window's length in nanoseconds.
    length: i64,
}

/// The calls that count. All times are in nanoseconds since boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
pub(in crate::pool) struct SlidingLog {
    in_flight: u64,
    /// Calls in flight at processes that had the account before.
    elsewhere: u64,
    /// Calls that ended, in the order in which they did.
    ended: VecDeque<Ended>,
    /// The sum of all that ended.
    ended_amount: u64,
}

/// Calls that ended one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
struct Ended {
    first: i64,
    last: i64,
    amount: u64,
}

impl StrictWindow {
    /// Returns the limit of `amount` in any window of that length. Neither may be zero.
    pub(in crate::pool) fn new(amount: u64, length: Duration) -> Self {
        Self { amount, length: i64::try_from(length.as_nanos()).unwrap_or(i64::MAX) }
    }

    pub(in crate::pool) fn most(self) -> u64 {
        self.amount
    }

    #[cfg(feature = "redis")]
    pub(in crate::pool) fn length(self) -> i64 {
        self.length
    }

    /// Returns the most that a call may cost now.
    pub(in crate::pool) fn headroom(self, log: &mut SlidingLog, now: i64) -> u64 {
        self.forget(log, now);
        self.amount.saturating_sub(log.counted())
    }

    /// Returns when a call of that cost may be made, or `None` if only the end of a lease can tell.
    pub(in crate::pool) fn ready_at(self, log: &mut SlidingLog, cost: u64, now: i64) -> Option<i64> {
        self.forget(log, now);
        let mut excess = log.counted().saturating_add(cost).saturating_sub(self.amount);
        if excess == 0 {
            return Some(now);
        }
        for ended in log.ended.iter().filter(|_| cost <= self.amount) {
            excess = excess.saturating_sub(ended.amount);
            if excess == 0 {
                return Some(ended.last.saturating_add(self.length));
            }
        }
        None
    }

    /// Counts a call that ends now.
    pub(in crate::pool) fn end(self, log: &mut SlidingLog, cost: u64, now: i64) {
        log.in_flight = log.in_flight.saturating_sub(cost);
        self.add_ended(log, cost, now);
    }

    /// Counts that all calls that were in flight elsewhere have ended by now.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn end_elsewhere(self, log: &mut SlidingLog, now: i64) {
        let cost = std::mem::take(&mut log.elsewhere);
        self.add_ended(log, cost, now);
    }

    /// Returns the log in which all of the window was spent at the end of a call just now.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn used_up(self, now: i64) -> SlidingLog {
        let mut log = SlidingLog::default();
        self.add_ended(&mut log, self.amount, now);
        log
    }

    /// Counts calls that have ended by now.
    pub(in crate::pool) fn add_ended(self, log: &mut SlidingLog, cost: u64, now: i64) {
        if cost == 0 {
            return;
        }
        log.ended_amount = log.ended_amount.saturating_add(cost);
        match log.ended.back_mut() {
            Some(ended) if now.saturating_sub(ended.first) < self.length / PARTS => {
                ended.last = ended.last.max(now);
                ended.amount = ended.amount.saturating_add(cost);
            }
            _ => log.ended.push_back(Ended { first: now, last: now, amount: cost }),
        }
    }

    /// Forgets the calls that do not count any more.
    fn forget(self, log: &mut SlidingLog, now: i64) {
        while let Some(ended) = log.ended.front().filter(|ended| ended.last.saturating_add(self.length) <= now) {
            log.ended_amount = log.ended_amount.saturating_sub(ended.amount);
            log.ended.pop_front();
        }
    }
}

#[cfg(feature = "redis")]
impl SlidingLog {
    /// Returns the log for another process, whose clock is ahead by so much.
    pub(in crate::pool) fn handed_over(&self, ahead: i64) -> Self {
        let ended = self.ended.iter().map(|&Ended { first, last, amount }| Ended {
            first: first.saturating_add(ahead),
            last: last.saturating_add(ahead),
            amount,
        });
        let elsewhere = self.elsewhere.saturating_add(self.in_flight);
        Self { in_flight: 0, elsewhere, ended: ended.collect(), ended_amount: self.ended_amount }
    }

    /// Counts that calls in flight elsewhere cost so much more.
    pub(in crate::pool) fn charge_elsewhere(&mut self, cost: u64) {
        self.elsewhere = self.elsewhere.saturating_add(cost);
    }

    /// Returns the log with the calls in flight of another one.
    pub(in crate::pool) fn with_in_flight_of(self, other: &Self) -> Self {
        Self { in_flight: other.in_flight, ..self }
    }
}

impl SlidingLog {
    /// Counts a call that is leased.
    pub(in crate::pool) fn begin(&mut self, cost: u64) {
        self.in_flight = self.in_flight.saturating_add(cost);
    }

    /// Counts that a leased call costs `to` instead of `from`.
    pub(in crate::pool) fn correct(&mut self, from: u64, to: u64) {
        self.in_flight = self.in_flight.saturating_sub(from).saturating_add(to);
    }

    fn counted(&self) -> u64 {
        self.in_flight.saturating_add(self.elsewhere).saturating_add(self.ended_amount)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_call_counts_until_its_lease_has_ended_and_a_window_has_passed() {
        let window = StrictWindow::new(1, Duration::from_secs(10));
        let mut log = SlidingLog::default();
        log.begin(1);
        assert_eq!(window.ready_at(&mut log, 1, 60 * SECOND), None, "the lease is held");
        window.end(&mut log, 1, 70 * SECOND);
        assert_eq!(window.ready_at(&mut log, 1, 70 * SECOND), Some(80 * SECOND));
        assert_eq!(window.headroom(&mut log, 80 * SECOND), 1);
    }

    #[test]
    fn a_log_has_a_bounded_number_of_entries() {
        let window = StrictWindow::new(u64::MAX, Duration::from_secs(1));
        let mut log = SlidingLog::default();
        for now in (0..3 * SECOND).step_by(10_000) {
            log.begin(1);
            window.end(&mut log, 1, now);
            window.headroom(&mut log, now);
        }
        assert!(log.ended.len() <= 257, "{} entries", log.ended.len());
    }

    proptest! {
        /// Calls reach the server at any time while they are leased. No window there has more than
        /// the limit, and at most 4 % of it is unused although calls take 1 % of the window.
        #[test]
        fn no_window_at_the_server_exceeds_the_limit_and_nearly_all_of_it_is_used(
            amount in 20..200_u64, seed in prop::collection::vec((1..8_u64, 0..=SECOND / 100, 0..=100_i64), 2000)
        ) {
            let window = StrictWindow::new(amount, Duration::from_secs(1));
            let (mut log, mut now) = (SlidingLog::default(), 0);
            let mut leased: Vec<(i64, u64)> = Vec::new();
            let mut arrived: Vec<(i64, u64)> = Vec::new();
            for (cost, latency, share) in seed {
                while let Some(ready) = Some(window.ready_at(&mut log, cost, now)).filter(|ready| ready.is_none_or(|at| at > now)) {
                    let next = leased.iter().map(|&(end, _)| end).chain(ready).min().unwrap();
                    now = now.max(next);
                    let (over, held) = leased.into_iter().partition(|&(end, _)| end <= now);
                    leased = held;
                    for (_, cost) in Vec::from_iter(over) {
                        window.end(&mut log, cost, now);
                    }
                }
                log.begin(cost);
                leased.push((now + latency, cost));
                arrived.push((now + latency * share / 100, cost));
            }
            arrived.sort_unstable();
            let (mut within, mut sum) = (VecDeque::new(), 0);
            for &(time, cost) in &arrived {
                sum += cost;
                within.push_back((time, cost));
                while within.front().is_some_and(|&(first, _)| time - first >= SECOND) {
                    sum -= within.pop_front().unwrap().1;
                }
                prop_assert!(sum <= amount, "{sum} of {amount}");
            }
            let spent: u64 = arrived.iter().map(|&(_, cost)| cost).sum();
            let milliseconds = u64::try_from(now / 1_000_000).unwrap() + 1000;
            // What is left at the end of a window may be less than the next call costs.
            let usable = (amount - 7) * milliseconds / 1000;
            prop_assert!(spent + amount >= usable * 96 / 100, "{spent} of {usable}");
        }
    }
}
