//! What a pool counts under its lock.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::pool::quarantine::CauseCounts;

const SECOND: i64 = 1_000_000_000;
const MINUTE: usize = 60;

/// What is counted under the pool's lock.
#[derive(Debug)]
pub(super) struct PoolCounters {
    pub(super) leases: u64,
    pub(super) causes: CauseCounts,
    begun: i64,
    /// Leases in each second of the last minute, and the second that was counted last.
    seconds: [u32; MINUTE],
    second: i64,
    /// Tokens that expire, and the sum of when they do, in nanoseconds.
    tokens: u32,
    expire: i128,
}

impl PoolCounters {
    pub(super) fn new(now: i64) -> Self {
        Self {
            leases: 0,
            causes: CauseCounts::default(),
            begun: now,
            seconds: [0; MINUTE],
            second: now / SECOND,
            tokens: 0,
            expire: 0,
        }
    }

    pub(super) fn leased(&mut self, now: i64) {
        self.leases += 1;
        self.turn_to(now);
        if let Some(second) = self.seconds.get_mut(slot(self.second)) {
            *second += 1;
        }
    }

    fn turn_to(&mut self, now: i64) {
        let second = now / SECOND;
        let skipped = usize::try_from(second.saturating_sub(self.second)).unwrap_or(0).min(MINUTE);
        for past in (0_i64..).take(skipped) {
            if let Some(count) = self.seconds.get_mut(slot(second - past)) {
                *count = 0;
            }
        }
        self.second = self.second.max(second);
    }

    /// Leases a minute, by those of the last one.
    pub(super) fn per_minute(&mut self, now: i64) -> f64 {
        self.turn_to(now);
        let count: f64 = self.seconds.iter().copied().map(f64::from).sum();
        let age = Duration::from_nanos(u64::try_from(now.saturating_sub(self.begun)).unwrap_or(0)).as_secs_f64();
        count * 60.0 / age.clamp(1.0, 60.0)
    }

    pub(super) fn token_issued(&mut self, expires: i64) {
        if expires != Timestamp::NEVER.as_nanos() {
            self.tokens += 1;
            self.expire += i128::from(expires);
        }
    }

    pub(super) fn token_gone(&mut self, expires: i64) {
        if expires != Timestamp::NEVER.as_nanos() {
            self.tokens -= 1;
            self.expire -= i128::from(expires);
        }
    }

    pub(super) fn average_ttl(&self, now: i64) -> Option<Duration> {
        let average = self.expire.checked_div(i128::from(self.tokens))?;
        Some(Duration::from_nanos(u64::try_from(average - i128::from(now)).unwrap_or(0)))
    }
}

fn slot(second: i64) -> usize {
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
