//! How long somebody who was told to slow down rests: for longer each time that it happens again,
//! and as before once it has not happened for a while.

use std::time::Duration;

use super::policy::doubled;

/// The refusals that count against an account (429), or against a token endpoint. All times are in
/// nanoseconds since boot.
///
/// Refusals are counted by rests and not by answers: requests that were under way when a rest began
/// could not know of it, so they are no further strikes, however many of them are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Strikes {
    count: u8,
    /// When the last rest began.
    began: i64,
    /// When the last rest ends or ended.
    until: i64,
}

impl Strikes {
    pub(super) const NONE: Self = Self { count: 0, began: i64::MIN, until: i64::MIN };

    /// Notes that a request was refused that was begun at the time `sent`. The server asked to wait
    /// for `asked`; if it did not say, or said zero, the rest is of `rests`, the first and the
    /// longest one. Returns until when to rest, or `None` if this changes nothing.
    pub(super) fn strike(
        &mut self,
        sent: i64,
        now: i64,
        asked: Option<Duration>,
        rests: (Duration, Duration),
    ) -> Option<i64> {
        let asked = asked.filter(|asked| !asked.is_zero());
        let is_new = sent > self.began;
        if is_new {
            self.count = self.counted(now, rests.1);
            if self.count == 0 || doubled(rests, self.count) < rests.1 {
                self.count = self.count.saturating_add(1);
            }
            self.began = now;
        }
        let rest = match asked {
            Some(asked) => asked,
            None if is_new => doubled(rests, self.count),
            None => return None,
        };
        let until = now.saturating_add(i64::try_from(rest.as_nanos()).unwrap_or(i64::MAX));
        self.until = if is_new { until } else { until.max(self.until) };
        Some(self.until)
    }

    /// Notes that a request succeeded that was begun at the time `sent`. If that was after the last
    /// rest, no strike counts any more.
    pub(super) fn succeeded(&mut self, sent: i64) {
        if self.is_over(sent) {
            *self = Self::NONE;
        }
    }

    /// Forgets the strikes, but not when the last rest began: requests from before that are still
    /// no strikes.
    pub(super) fn forgive(&mut self) {
        self.count = 0;
    }

    /// Returns the same with all times later by so much, as another clock counts them.
    #[cfg(feature = "redis")]
    pub(super) fn shifted(self, by: i64) -> Self {
        if self == Self::NONE {
            return self;
        }
        Self { began: self.began.saturating_add(by), until: self.until.saturating_add(by), ..self }
    }

    /// Returns whether the last rest is over at the time `now`.
    pub(super) fn is_over(&self, now: i64) -> bool {
        now >= self.until
    }

    /// Returns how long the last rest is or was.
    pub(super) fn rest(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.until.saturating_sub(self.began)).unwrap_or(0))
    }

    /// Returns how many strikes count at the time `now`: one fewer for each time as long as the
    /// `longest` rest that has passed since the last rest.
    pub(super) fn counted(&self, now: i64, longest: Duration) -> u8 {
        let passed = u128::try_from(now.saturating_sub(self.until)).unwrap_or(0);
        let forgotten = passed.checked_div(longest.as_nanos()).unwrap_or(u128::MAX);
        self.count.saturating_sub(u8::try_from(forgotten).unwrap_or(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const RESTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

    /// Returns how many seconds the rest is that a refusal leads to.
    fn strike(strikes: &mut Strikes, sent: i64, now: i64, asked: Option<u64>) -> Option<i64> {
        let until = strikes.strike(sent * SECOND, now * SECOND, asked.map(Duration::from_secs), RESTS);
        until.map(|until| until / SECOND - now)
    }

    #[test]
    fn refusals_of_requests_from_before_a_rest_are_no_strikes_and_may_only_prolong_it() {
        let mut strikes = Strikes::NONE;
        assert_eq!(strike(&mut strikes, 10, 10, None), Some(1));
        assert_eq!(strike(&mut strikes, 9, 10, None), None);
        assert_eq!(strike(&mut strikes, 9, 10, Some(5)), Some(5));
        assert_eq!(strike(&mut strikes, 9, 11, Some(1)), Some(4), "a rest is not cut");
        assert_eq!(strikes.counted(15 * SECOND, RESTS.1), 1);
        assert_eq!(strike(&mut strikes, 15, 15, None), Some(2));
    }

    #[test]
    fn strikes_are_forgotten_one_by_one() {
        let mut strikes = Strikes::NONE;
        let mut now = 0;
        for rest in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert_eq!(strike(&mut strikes, now, now, Some(0)), Some(rest), "at {now} s");
            now += rest;
        }
        for (passed, left) in [(0, 7), (59, 7), (60, 6), (359, 2), (419, 1), (420, 0), (100_000, 0)] {
            assert_eq!(strikes.counted((now + passed) * SECOND, RESTS.1), left, "after {passed} s");
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut strikes = Strikes::NONE;
        let longest = Duration::MAX;
        assert_eq!(strikes.strike(0, i64::MAX, Some(longest), (longest, longest)), Some(i64::MAX));
        assert_eq!(strikes.counted(i64::MIN, longest), 1);
        assert_eq!(strikes.counted(i64::MAX, Duration::ZERO), 0);
        strikes.succeeded(i64::MAX);
        assert_eq!(strikes, Strikes::NONE);
    }
}
