//! What Redis was told last of what the callers of a process ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pool::limit::Gcra;
use crate::pool::share::{Demand, TagUse};

/// How often a member says that its demand has changed much.
pub(super) const NEWS: Duration = Duration::from_millis(250);
/// How often it is said before its time that callers have begun to wait for what is not served
/// here: so often in a row, and then so often a second.
const AT_ONCE_A_SECOND: u64 = 4;

/// How much is asked for by each tag: by those that wait, and by leases in use.
type AskedByTag = BTreeMap<Option<String>, u32>;

#[derive(Default)]
pub(super) struct Said {
    /// When, in nanoseconds since boot.
    pub(super) at: i64,
    pub(super) demand: AskedByTag,
    /// The same with all leases in use in one sum, which goes up and down less than what callers
    /// with one tag use: so Redis hears no more often of callers with many tags.
    in_sum: AskedByTag,
    /// The accounts that callers with keys wait for.
    pub(super) wanted: BTreeMap<String, u32>,
    pub(super) leases: u64,
    /// The theoretical arrival time of what is said before its time.
    arrival: i64,
}

impl Said {
    /// Returns what is to be said at `now`.
    pub(super) fn next(&self, demand: Demand, now: i64) -> Self {
        let all = TagUse { held: demand.held, leases: demand.leases.saturating_sub(self.leases) };
        let mut untagged = all;
        let mut in_use = Vec::new();
        for (tag, used) in demand.used {
            untagged.held = untagged.held.saturating_sub(used.held);
            untagged.leases = untagged.leases.saturating_sub(used.leases);
            in_use.push((Some(tag), self.busy(used, now)));
        }
        in_use.push((None, self.busy(untagged, now)));
        let (waiting, passed) = (demand.waiting, self.passed(now));
        Self {
            at: now,
            in_sum: asked(waiting.iter().cloned().chain([(None, self.busy(all, now))]), &self.in_sum, passed),
            demand: asked(waiting.into_iter().chain(in_use), &self.demand, passed),
            wanted: demand.wanted.into_iter().collect(),
            leases: demand.leases,
            arrival: self.arrival,
        }
    }

    /// Returns how much is in use: the leases that are held, and a tenth of the calls of a second,
    /// as if each took a tenth of one.
    fn busy(&self, used: TagUse, now: i64) -> u32 {
        let recent = u128::from(used.leases).saturating_mul(100) / self.passed(now).as_millis().max(100);
        used.held.saturating_add(u32::try_from(recent).unwrap_or(u32::MAX))
    }

    /// Returns how long ago it was said.
    pub(super) fn passed(&self, now: i64) -> Duration {
        Duration::from_nanos(u64::try_from(now.saturating_sub(self.at)).unwrap_or(u64::MAX))
    }

    /// Whether what was said differs by so much from what was before that shares may have to move.
    pub(super) fn is_news_after(&self, before: &Self) -> bool {
        is_news(&before.in_sum, &self.in_sum) || is_news(&before.wanted, &self.wanted)
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

/// Returns the sums of what is asked for by each tag, and at least a quarter of what was `before`:
/// what nobody asks for moves away, so a short pause of callers must not look like the end. With a
/// tag it is more if that was said a moment ago, since few calls were counted since.
fn asked(counts: impl Iterator<Item = (Option<String>, u32)>, before: &AskedByTag, passed: Duration) -> AskedByTag {
    let mut asked = AskedByTag::new();
    for (tag, count) in counts {
        let sum = asked.entry(tag).or_default();
        *sum = sum.saturating_add(count);
    }
    for (tag, count) in before {
        let remembered = asked.entry(tag.clone()).or_default();
        let least = if tag.is_some() { fading(*count, passed) } else { count / 4 };
        *remembered = (*remembered).max(least);
    }
    asked.retain(|_, count| *count > 0);
    asked
}

/// Returns what is left of a count that was said so long ago: all at first, and a quarter from
/// `NEWS` on.
fn fading(count: u32, passed: Duration) -> u32 {
    let (whole, passed) = (NEWS.as_millis() * 4, passed.min(NEWS).as_millis());
    u32::try_from(u128::from(count) * (whole - 3 * passed) / whole).unwrap_or(count)
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
