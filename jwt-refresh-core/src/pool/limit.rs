//! How often an account may be called: GCRA, the generic cell rate algorithm (ITU-T I.371).
//!
//! The state of an account is one number, the *theoretical arrival time*: when the next call would
//! come if calls came evenly. This file is pure arithmetic on it and reads no clock.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// How late a waiter may be woken without a loss to the account's rate, in nanoseconds. Timers have
/// a resolution of a millisecond or two, and a busy machine adds to that.
const MAX_LATENESS: i64 = 10_000_000;

/// A rate of calls and the burst that it allows. All times are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limit {
    /// The time from one call to the next if they come evenly. 0 means no limit.
    interval: i64,
    /// How much earlier a call may come than if calls came evenly.
    tolerance: i64,
}

impl Limit {
    /// Returns the limit of `requests` calls in each period of length `per`, of which `burst` may
    /// be made at once.
    ///
    /// # Errors
    ///
    /// [`Configuration`](ErrorKind::Configuration) if the limit lets nothing through.
    pub(super) fn new(requests: u32, per: Duration, burst: u32) -> Result<Self, Error> {
        if requests == 0 || per.is_zero() || burst == 0 {
            let what = format!(
                "the rate of {requests} requests in {per:?} with a burst of {burst} lets nothing through (give each at least 1, \
                 or no rate at all)"
            );
            return Err(Error::new(ErrorKind::Configuration, what));
        }
        // Rounded up, so that the rate is at most a nanosecond too slow and never exceeded.
        let interval = per.as_nanos().div_ceil(u128::from(requests)).min(u128::from(u32::MAX) << 24);
        let interval = i64::try_from(interval).unwrap_or(i64::MAX);
        Ok(Self { interval, tolerance: interval.saturating_mul(i64::from(burst) - 1) })
    }

    /// Returns the interval and the tolerance in microseconds, rounded so that no call passes too
    /// early.
    #[cfg(feature = "redis")]
    #[expect(clippy::cast_precision_loss, reason = "a double is what Redis counts in")]
    pub(super) fn micros(self) -> (f64, f64) {
        let interval = (self.interval as f64 / 1e3).ceil();
        let burst = if self.interval == 0 { 0 } else { self.tolerance / self.interval };
        (interval, interval * burst as f64)
    }

    /// Returns when the next call may be made.
    pub(super) fn next_call(self, arrival: i64) -> i64 {
        arrival.saturating_sub(self.tolerance)
    }

    /// Returns the arrival time after a call at `now`, which [`next_call`](Self::next_call) must
    /// have allowed.
    pub(super) fn charge(self, arrival: i64, now: i64) -> i64 {
        arrival.max(now).saturating_add(self.interval)
    }

    /// Returns the time from which a call is charged that waited for the rate and is made `now`.
    ///
    /// If its caller had been woken in time, the call would have been made earlier. Charging it
    /// from then on lets the next call make up for the delay: it may follow this one that much
    /// sooner.
    pub(super) fn charge_from(self, now: i64) -> i64 {
        now.saturating_sub(self.interval.min(MAX_LATENESS))
    }

    /// Returns the arrival time that allows no call before `time`, and even calls without a burst
    /// from then on.
    pub(super) fn block_until(self, arrival: i64, time: i64) -> i64 {
        arrival.max(time.saturating_add(self.tolerance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// Returns how many calls pass within `time` if one is tried every millisecond.
    fn allowed_calls(limit: Limit, arrival: &mut i64, from: i64, time: i64) -> u32 {
        let mut calls = 0;
        for now in (from..from + time).step_by(1_000_000) {
            while limit.next_call(*arrival) <= now && calls < 1_000_000 {
                *arrival = limit.charge(*arrival, now);
                calls += 1;
            }
        }
        calls
    }

    #[test]
    fn calls_pass_at_the_rate_after_a_burst() {
        let limit = Limit::new(10, Duration::from_secs(1), 5).unwrap();
        let mut arrival = 0;
        assert_eq!(allowed_calls(limit, &mut arrival, 0, 1_000_000), 5);
        assert_eq!(allowed_calls(limit, &mut arrival, 1_000_000, SECOND), 10);
        assert_eq!(allowed_calls(limit, &mut arrival, 100 * SECOND, 1_000_000), 5, "the burst is back after a rest");
    }

    #[test]
    fn without_a_burst_no_two_calls_are_closer_than_the_interval() {
        let limit = Limit::new(3, Duration::from_secs(1), 1).unwrap();
        let (mut arrival, mut last) = (0, None);
        for now in (0..10 * SECOND).step_by(1_000_000) {
            if limit.next_call(arrival) <= now {
                assert!(last.is_none_or(|last| (now - last) * 3 >= SECOND));
                (arrival, last) = (limit.charge(arrival, now), Some(now));
            }
        }
    }

    #[test]
    fn waiting_callers_get_the_full_rate_and_no_more_although_they_are_woken_late() {
        for (requests, expected) in [(10, 101), (100, 1001), (400, 4001)] {
            let limit = Limit::new(requests, Duration::from_secs(1), 1).unwrap();
            let (mut arrival, mut now, mut calls) = (0, 0, 0);
            while now <= 10 * SECOND {
                arrival = limit.charge(arrival, limit.charge_from(now));
                calls += 1;
                now = now.max(limit.next_call(arrival)) + 1_500_000;
            }
            assert!((expected - 1..=expected + 1).contains(&calls), "{calls} calls at {requests} a second");
        }
    }

    #[test]
    fn a_blocked_account_may_be_called_at_the_given_time_without_a_burst() {
        let limit = Limit::new(10, Duration::from_secs(1), 5).unwrap();
        let mut arrival = limit.block_until(0, 7 * SECOND);
        assert_eq!(limit.next_call(arrival), 7 * SECOND);
        assert_eq!(allowed_calls(limit, &mut arrival, 7 * SECOND, 1_000_000), 1);
    }

    #[test]
    fn a_rate_that_lets_nothing_through_is_refused_and_extremes_do_not_overflow() {
        for (requests, per, burst) in [(0, 1, 1), (1, 0, 1), (1, 1, 0)] {
            let error = Limit::new(requests, Duration::from_secs(per), burst).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
        }
        let limit = Limit::new(1, Duration::MAX, u32::MAX).unwrap();
        assert!(limit.next_call(limit.charge(i64::MAX, i64::MAX)) < i64::MAX);
    }
}
