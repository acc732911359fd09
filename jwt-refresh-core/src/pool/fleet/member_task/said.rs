//! What Redis was told last of what the callers of a process ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pool::limit::Gcra;
use crate::pool::share::Demand;

/// How often it is said before its time that callers have begun to wait for what is not served
/// here: so often in a row, and then so often a second.
const AT_ONCE_A_SECOND: u64 = 4;

#[derive(Default)]
pub(super) struct Said {
    /// When, in nanoseconds since boot.
    pub(super) at: i64,
    /// How much is asked for by each tag: by those that wait, and by leases in use.
    pub(super) demand: BTreeMap<Option<String>, u32>,
    /// The accounts that callers with keys wait for.
    pub(super) wanted: BTreeMap<String, u32>,
    pub(super) leases: u64,
    /// The theoretical arrival time of what is said before its time.
    arrival: i64,
}

impl Said {
    /// Returns what is to be said at `now`.
    pub(super) fn next(&self, demand: Demand, now: i64) -> Self {
        // A tenth of the calls of a second, as if each took a tenth of one.
        let calls = u128::from(demand.leases.saturating_sub(self.leases));
        let recent = calls.saturating_mul(100) / self.passed(now).as_millis().max(100);
        let busy = demand.held.saturating_add(u32::try_from(recent).unwrap_or(u32::MAX));
        let mut asked = BTreeMap::<Option<String>, u32>::new();
        for (tag, count) in demand.waiting.into_iter().chain([(None, busy)]) {
            let sum = asked.entry(tag).or_default();
            *sum = sum.saturating_add(count);
        }
        // What nobody asks for moves away, so a short pause of callers must not look like the end.
        for (tag, count) in &self.demand {
            let remembered = asked.entry(tag.clone()).or_default();
            *remembered = (*remembered).max(count / 4);
        }
        asked.retain(|_, count| *count > 0);
        let wanted = demand.wanted.into_iter().collect();
        Self { at: now, demand: asked, wanted, leases: demand.leases, arrival: self.arrival }
    }

    /// Returns how long ago it was said.
    pub(super) fn passed(&self, now: i64) -> Duration {
        Duration::from_nanos(u64::try_from(now.saturating_sub(self.at)).unwrap_or(u64::MAX))
    }

    /// Whether what was said differs by so much from what was before that shares may have to move.
    pub(super) fn is_news_after(&self, before: &Self) -> bool {
        is_news(&before.demand, &self.demand) || is_news(&before.wanted, &self.wanted)
    }

    /// Whether something may be said before its time.
    pub(super) fn may_hurry(&self, now: i64) -> bool {
        pace().next_call(self.arrival) <= now
    }

    /// Counts that it is said before its time.
    pub(super) fn hurry(&mut self, now: i64) {
        self.arrival = pace().charge(self.arrival, 1, now);
    }
}

fn pace() -> Gcra {
    Gcra::new(AT_ONCE_A_SECOND, Duration::from_secs(1), AT_ONCE_A_SECOND)
}

/// Returns whether demand has changed by so much that shares may have to move: what was asked for
/// was not before, or is asked for no more, or is twice or half as much.
fn is_news<T: Ord>(before: &BTreeMap<T, u32>, now: &BTreeMap<T, u32>) -> bool {
    before.keys().chain(now.keys()).any(|what| {
        let [before, now] = [before, now].map(|demand| demand.get(what).copied().unwrap_or(0));
        before.min(now).saturating_mul(2) < before.max(now)
    })
}
