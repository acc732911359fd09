//! How far Redis' clock is from the time since boot of this machine, so that what one process says
//! of a time is understood by another.

use super::scripts::TIME;
use crate::redis::Connection;
use crate::store::StoreError;

/// A measurement is replaced by one that is less exact once it is this old, in nanoseconds: clocks
/// drift by some 50 µs a second at most.
const STALE: i64 = 30_000_000_000;

/// By how many nanoseconds Redis' clock is ahead of the time since boot: between `low` and `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RedisTime {
    pub(super) low: i64,
    pub(super) high: i64,
    measured: i64,
}

impl RedisTime {
    /// Takes a time on Redis' clock, in microseconds, that was asked for at `sent` and answered at
    /// `received`, in nanoseconds since boot. Returns the better of what was known and what this
    /// shows.
    pub(super) fn measure(known: Option<Self>, redis: u64, sent: i64, received: i64) -> Self {
        let redis = nanos(redis);
        let new = Self {
            low: redis.saturating_sub(received),
            high: redis.saturating_add(1000).saturating_sub(sent),
            measured: received,
        };
        let Some(known) = known else { return new };
        let was_stepped = new.low > known.high || new.high < known.low;
        let is_stale = received.saturating_sub(known.measured) > STALE;
        if was_stepped || is_stale || new.width() < known.width() { new } else { known }
    }

    fn width(self) -> i64 {
        self.high.saturating_sub(self.low)
    }

    /// Returns what Redis' clock shows at a time since boot, in microseconds; too early rather than
    /// too late.
    pub(super) fn early(self, boot: i64) -> u64 {
        u64::try_from(boot.saturating_add(self.low) / 1000).unwrap_or(0)
    }

    /// Returns the same; too late rather than too early.
    pub(super) fn late(self, boot: i64) -> u64 {
        self.early(boot.saturating_add(self.width())).saturating_add(1)
    }

    /// Returns the time since boot at which Redis' clock shows `redis`; too early rather than too
    /// late.
    pub(super) fn boot_early(self, redis: u64) -> i64 {
        nanos(redis).saturating_sub(self.high)
    }

    /// Returns the same; too late rather than too early.
    pub(super) fn boot_late(self, redis: u64) -> i64 {
        nanos(redis).saturating_sub(self.low)
    }
}

/// Returns what the clock of the node shows that has the key, in microseconds.
pub(super) async fn redis_now(link: &Connection, key: &str) -> Result<u64, StoreError> {
    let (seconds, micros): (u64, u64) = link.run(&TIME, &[key], &[""; 0]).await?;
    Ok(seconds * 1_000_000 + micros)
}

fn nanos(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_one_process_tells_late_and_another_reads_late_has_not_come_earlier() {
        // Redis' clock is ahead by a second, and questions take different times on their ways.
        let measured = |there: i64, back: i64| RedisTime::measure(None, 1_000_000, -there, back);
        let all = [measured(0, 0), measured(999, 1), measured(1, 7_000_000), measured(9_000_000, 0)];
        let times = [0, 1, 999, 1001, 6_000_000_500];
        for (teller, reader) in all.iter().flat_map(|teller| all.iter().map(move |reader| (teller, reader))) {
            for boot in times {
                assert!(reader.boot_late(teller.late(boot)) >= boot, "{teller:?} {reader:?} {boot}");
                assert!(reader.boot_early(teller.early(boot)) <= boot, "{teller:?} {reader:?} {boot}");
            }
        }
    }

    #[test]
    fn the_more_exact_measurement_is_kept_until_it_is_old_or_a_clock_was_stepped() {
        let first = RedisTime::measure(None, 1_000_000, 0, 2_000_000);
        assert_eq!((first.low, first.high), (998_000_000, 1_000_001_000));
        assert_eq!(RedisTime::measure(Some(first), 2_000_000, 999_000_000, 1_003_000_000), first);
        let better = RedisTime::measure(Some(first), 2_000_000, 1_000_500_000, 1_001_000_000);
        assert_eq!((better.low, better.high), (999_000_000, 999_501_000));
        let old = RedisTime::measure(Some(better), 40_000_000, 39_000_000_000, 39_005_000_000);
        assert_eq!(old.measured, 39_005_000_000);
        let stepped = RedisTime::measure(Some(better), 9_000_000, 2_000_000_000, 2_009_000_000);
        assert_eq!(stepped.measured, 2_009_000_000);
    }
}
