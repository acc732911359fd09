//! How often an account may be called: GCRA, the generic cell rate algorithm (ITU-T I.371). One number a account says it all,
//! the *theoretical arrival time*: when the next call would come if calls came evenly. Pure arithmetic.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// By how much a caller who waits may be woken too late without the account losing a part of its rate: timers have a grain of a
/// millisecond or two, and a machine with much to do adds to that.
const LATENESS: i64 = 10_000_000;

/// So many calls a period, some of them in a burst. All times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limit {
    /// From one call to the next, if they come evenly. 0: no limit.
    interval: i64,
    /// How much earlier than evenly a call may come.
    tolerance: i64,
}

impl Limit {
    /// # Errors
    ///
    /// If it lets nothing through.
    pub(super) fn new(requests: u32, per: Duration, burst: u32) -> Result<Self, Error> {
        if requests == 0 || per.is_zero() || burst == 0 {
            let what = format!(
                "the rate of {requests} requests in {per:?} with a burst of {burst} lets nothing through (give each at least 1, \
                 or no rate at all)"
            );
            return Err(Error::new(ErrorKind::Configuration, what));
        }
        // Rounded up: rather a nanosecond too slow than one call too many.
        let interval = per.as_nanos().div_ceil(u128::from(requests)).min(u128::from(u32::MAX) << 24);
        let interval = i64::try_from(interval).unwrap_or(i64::MAX);
        Ok(Self { interval, tolerance: interval.saturating_mul(i64::from(burst) - 1) })
    }

    /// From one call to the next, and how much earlier one may come, in microseconds: rounded so that nothing passes too early.
    #[cfg(feature = "redis")]
    #[expect(clippy::cast_precision_loss, reason = "a double is what Redis counts in")]
    pub(super) fn micros(self) -> (f64, f64) {
        let interval = (self.interval as f64 / 1e3).ceil();
        let burst = if self.interval == 0 { 0 } else { self.tolerance / self.interval };
        (interval, interval * burst as f64)
    }

    /// When the next call may go.
    pub(super) fn opens(self, arrival: i64) -> i64 {
        arrival.saturating_sub(self.tolerance)
    }

    /// The arrival time after a call at `now`, which [`opens`](Self::opens) must have allowed.
    pub(super) fn charge(self, arrival: i64, now: i64) -> i64 {
        arrival.max(now).saturating_add(self.interval)
    }

    /// From when on to charge a call that waited for the account to open, and goes `now`. It would have gone earlier if its caller
    /// had been woken in time, so the next may make up for it: it comes that much closer to this one.
    pub(super) fn since(self, now: i64) -> i64 {
        now.saturating_sub(self.interval.min(LATENESS))
    }

    /// The arrival time that keeps everything closed until `time`, and lets calls come evenly from then on.
    pub(super) fn closed_until(self, arrival: i64, time: i64) -> i64 {
        arrival.max(time.saturating_add(self.tolerance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// How many calls pass within `time` if somebody tries every millisecond.
    fn passed(limit: Limit, arrival: &mut i64, from: i64, time: i64) -> u32 {
        let mut calls = 0;
        for now in (from..from + time).step_by(1_000_000) {
            while limit.opens(*arrival) <= now && calls < 1_000_000 {
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
        assert_eq!(passed(limit, &mut arrival, 0, 1_000_000), 5);
        assert_eq!(passed(limit, &mut arrival, 1_000_000, SECOND), 10);
        assert_eq!(passed(limit, &mut arrival, 100 * SECOND, 1_000_000), 5, "the burst is back after a rest");
    }

    #[test]
    fn without_a_burst_no_two_calls_are_closer_than_the_interval() {
        let limit = Limit::new(3, Duration::from_secs(1), 1).unwrap();
        let (mut arrival, mut last) = (0, None);
        for now in (0..10 * SECOND).step_by(1_000_000) {
            if limit.opens(arrival) <= now {
                assert!(last.is_none_or(|last| (now - last) * 3 >= SECOND));
                (arrival, last) = (limit.charge(arrival, now), Some(now));
            }
        }
    }

    #[test]
    fn callers_who_wait_get_all_of_the_rate_and_no_more_although_they_are_woken_late() {
        for (requests, expected) in [(10, 101), (100, 1001), (400, 4001)] {
            let limit = Limit::new(requests, Duration::from_secs(1), 1).unwrap();
            let (mut arrival, mut now, mut calls) = (0, 0, 0);
            while now <= 10 * SECOND {
                arrival = limit.charge(arrival, limit.since(now));
                calls += 1;
                now = now.max(limit.opens(arrival)) + 1_500_000;
            }
            assert!((expected - 1..=expected + 1).contains(&calls), "{calls} calls at {requests} a second");
        }
    }

    #[test]
    fn what_was_closed_opens_at_the_time_without_a_burst() {
        let limit = Limit::new(10, Duration::from_secs(1), 5).unwrap();
        let mut arrival = limit.closed_until(0, 7 * SECOND);
        assert_eq!(limit.opens(arrival), 7 * SECOND);
        assert_eq!(passed(limit, &mut arrival, 7 * SECOND, 1_000_000), 1);
    }

    #[test]
    fn a_rate_that_lets_nothing_through_is_refused_and_extremes_do_not_overflow() {
        for (requests, per, burst) in [(0, 1, 1), (1, 0, 1), (1, 1, 0)] {
            let error = Limit::new(requests, Duration::from_secs(per), burst).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
        }
        let limit = Limit::new(1, Duration::MAX, u32::MAX).unwrap();
        assert!(limit.opens(limit.charge(i64::MAX, i64::MAX)) < i64::MAX);
    }
}
