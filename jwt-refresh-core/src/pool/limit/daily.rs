//! A quota for each day of a calendar. This file is arithmetic on times of the wall clock, in
//! nanoseconds since the Unix epoch, and reads no clock.

use super::zone::Zone;

/// If the wall clock is put back over midnight by less than this, the new day goes on.
const SMALL_STEP: i64 = 3600 * 1_000_000_000;

/// What may be spent each day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) struct DailyQuota {
    amount: u64,
    zone: Zone,
}

/// What was spent of a day's quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
pub(in crate::pool) struct DailyUse {
    begin: i64,
    end: i64,
    spent: u64,
}

impl DailyQuota {
    /// Returns the quota of `amount`, which must not be zero.
    pub(in crate::pool) fn new(amount: u64, zone: Zone) -> Self {
        Self { amount, zone }
    }

    pub(in crate::pool) fn most(&self) -> u64 {
        self.amount
    }

    /// Returns what is left of the quota of the day.
    pub(in crate::pool) fn headroom(&self, used: &mut DailyUse, wall: i64) -> u64 {
        self.turn_day(used, wall);
        self.amount.saturating_sub(used.spent)
    }

    /// Returns when a call of that cost may be made, on the wall clock.
    pub(in crate::pool) fn ready_at(&self, used: &mut DailyUse, cost: u64, wall: i64) -> Option<i64> {
        if cost > self.amount {
            return None;
        }
        Some(if self.headroom(used, wall) >= cost { wall } else { used.end })
    }

    pub(in crate::pool) fn charge(&self, used: &mut DailyUse, cost: u64, wall: i64) {
        self.turn_day(used, wall);
        used.spent = used.spent.saturating_add(cost);
    }

    /// Returns the use of a day of which nothing is left.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn used_up(&self, wall: i64) -> DailyUse {
        let (begin, end) = self.zone.day(wall);
        DailyUse { begin, end, spent: self.amount }
    }

    /// Begins a new day, if one has begun. If the clock was put back to an earlier day, what was
    /// spent counts for that.
    fn turn_day(&self, used: &mut DailyUse, wall: i64) {
        if wall >= used.end {
            let (begin, end) = self.zone.day(wall);
            *used = DailyUse { begin, end, spent: 0 };
        } else if wall < used.begin.saturating_sub(SMALL_STEP) {
            let (begin, end) = self.zone.day(wall);
            *used = DailyUse { begin, end, ..*used };
        }
    }
}

impl DailyUse {
    /// Counts that a call that was leased at `leased` costs `to` instead of `from`. What was spent
    /// on another day counts no more.
    pub(in crate::pool) fn correct(&mut self, from: u64, to: u64, leased: i64) {
        if leased >= self.begin {
            self.spent = self.spent.saturating_sub(from).saturating_add(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = SMALL_STEP;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn a_quota_is_full_again_at_midnight() {
        let (quota, mut used) = (DailyQuota::new(100, Zone::Offset(60)), DailyUse::default());
        quota.charge(&mut used, 70, 10 * DAY);
        assert_eq!(quota.headroom(&mut used, 10 * DAY + 22 * HOUR), 30);
        assert_eq!(quota.ready_at(&mut used, 40, 10 * DAY), Some(11 * DAY - HOUR));
        assert_eq!(quota.headroom(&mut used, 11 * DAY - HOUR), 100);
        assert_eq!(quota.ready_at(&mut used, 101, 11 * DAY), None, "it is above the quota");
    }

    #[test]
    fn a_correction_counts_on_the_day_of_its_call() {
        let (quota, mut used) = (DailyQuota::new(100, Zone::Offset(0)), DailyUse::default());
        quota.charge(&mut used, 70, 10 * DAY);
        used.correct(70, 20, 10 * DAY);
        assert_eq!(quota.headroom(&mut used, 10 * DAY + HOUR), 80);
        quota.charge(&mut used, 50, 11 * DAY);
        used.correct(20, 0, 10 * DAY);
        assert_eq!(quota.headroom(&mut used, 11 * DAY), 50);
    }

    #[test]
    fn a_clock_that_is_stepped_gives_no_quota_twice_and_keeps_none_for_ever() {
        let (quota, mut used) = (DailyQuota::new(100, Zone::Offset(0)), DailyUse::default());
        quota.charge(&mut used, 70, 10 * DAY + 1);
        assert_eq!(quota.headroom(&mut used, 10 * DAY - 60), 30, "back over midnight by a little");
        assert_eq!(quota.headroom(&mut used, 10 * DAY + 60), 30);
        quota.charge(&mut used, 10, 9000 * DAY);
        assert_eq!(quota.headroom(&mut used, 10 * DAY), 90, "a clock that was years ahead");
        assert_eq!(quota.headroom(&mut used, 11 * DAY), 100);
    }
}
