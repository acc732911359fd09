//! What a pool counts under its lock.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::pool::quarantine::CauseCounts;

const SECOND: i64 = 1_000_000_000;
const MINUTE: usize = 60;

/// Leases, quarantined accounts and token lifetimes of a pool. All times are in nanoseconds since
/// boot.
#[derive(Debug)]
pub(super) struct PoolCounters {
    /// Leases given so far.
    pub(super) leases: u64,
    /// Leases that are held.
    pub(super) held: usize,
    /// Leases that were not given back in time.
    pub(super) leases_timed_out: u64,
    pub(super) quarantined: CauseCounts,
    /// When the pool was created.
    started: i64,
    /// Leases in each second of the last minute, at the second modulo 60.
    leases_by_second: [u32; MINUTE],
    /// The last second that was counted, since boot.
    current_second: i64,
    /// How many tokens have a known expiry.
    expiring_tokens: u32,
    /// The sum of the expiry times of these tokens.
    expiry_sum: i128,
}

impl PoolCounters {
    pub(super) fn new(now: i64) -> Self {
        Self {
            leases: 0,
            held: 0,
            leases_timed_out: 0,
            quarantined: CauseCounts::default(),
            started: now,
            leases_by_second: [0; MINUTE],
            current_second: now / SECOND,
            expiring_tokens: 0,
            expiry_sum: 0,
        }
    }

    /// Counts a lease.
    pub(super) fn leased(&mut self, now: i64) {
        self.leases += 1;
        self.advance_to(now);
        if let Some(second) = self.leases_by_second.get_mut(bucket(self.current_second)) {
            *second += 1;
        }
    }

    /// Makes the second of `now` the current one, and clears the counts of the seconds in between.
    fn advance_to(&mut self, now: i64) {
        let second = now / SECOND;
        let skipped = usize::try_from(second.saturating_sub(self.current_second)).unwrap_or(0).min(MINUTE);
        for past in (0_i64..).take(skipped) {
            if let Some(count) = self.leases_by_second.get_mut(bucket(second - past)) {
                *count = 0;
            }
        }
        self.current_second = self.current_second.max(second);
    }

    /// Returns the leases of the last minute. In the first minute of a pool the leases so far are
    /// scaled up to a minute.
    pub(super) fn per_minute(&mut self, now: i64) -> f64 {
        self.advance_to(now);
        let count: f64 = self.leases_by_second.iter().copied().map(f64::from).sum();
        let age = Duration::from_nanos(u64::try_from(now.saturating_sub(self.started)).unwrap_or(0)).as_secs_f64();
        count * 60.0 / age.clamp(1.0, 60.0)
    }

    /// Counts a token that expires at `expires`.
    pub(super) fn token_issued(&mut self, expires: i64) {
        if expires != Timestamp::NEVER.as_nanos() {
            self.expiring_tokens += 1;
            self.expiry_sum += i128::from(expires);
        }
    }

    /// Counts that a token that expires at `expires` is not held any more.
    pub(super) fn token_removed(&mut self, expires: i64) {
        if expires != Timestamp::NEVER.as_nanos() {
            self.expiring_tokens -= 1;
            self.expiry_sum -= i128::from(expires);
        }
    }

    /// Returns how long the tokens live from `now` on average, or `None` if the expiry of none is
    /// known.
    pub(super) fn average_ttl(&self, now: i64) -> Option<Duration> {
        let average = self.expiry_sum.checked_div(i128::from(self.expiring_tokens))?;
        Some(Duration::from_nanos(u64::try_from(average - i128::from(now)).unwrap_or(0)))
    }
}

/// Returns the index in `leases_by_second` of a second.
fn bucket(second: i64) -> usize {
    usize::try_from(second.rem_euclid(60)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_counted_for_a_minute_and_then_forgotten() {
        let mut counters = PoolCounters::new(0);
        for second in 0..120 {
            counters.leased(second * SECOND);
        }
        let minute = counters.per_minute(119 * SECOND);
        assert!((minute - 60.0).abs() < f64::EPSILON, "{minute}");
        assert!(counters.per_minute(500 * SECOND).abs() < f64::EPSILON);
    }
}
