//! Since when callers of a member have waited for what they are not served with.

use std::collections::BTreeMap;

use super::assignment::CallersNeed;

/// By what they ask for: when that began, in microseconds.
#[derive(Default)]
pub(super) struct Starving<K>(BTreeMap<K, u64>);

impl<K: Ord + Clone> Starving<K> {
    /// Takes what is `asked` for at `now`, and by how many callers. `look` returns the number of
    /// it, if it is known, and whether the member has a share that serves it.
    pub(super) fn take<N>(
        &mut self,
        asked: &[(K, u32)],
        now: u64,
        look: impl Fn(&K) -> Option<(N, bool)>,
    ) -> Vec<(N, CallersNeed)> {
        let before = std::mem::take(&mut self.0);
        let known = asked.iter().filter_map(|(what, count)| Some((what, *count, look(what)?)));
        let take = |(what, count, (number, is_served))| {
            let starved = if is_served || count == 0 {
                0
            } else {
                // The clock may have been set back.
                let since = before.get(what).copied().unwrap_or(now).min(now);
                self.0.insert(what.clone(), since);
                millis(now.saturating_sub(since)).max(1)
            };
            (number, CallersNeed { count, starved })
        };
        known.map(take).collect()
    }
}

/// Returns microseconds as milliseconds.
pub(super) fn millis(micros: u64) -> u32 {
    u32::try_from(micros / 1000).unwrap_or(u32::MAX)
}
