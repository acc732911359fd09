//! A counter that costs next to nothing to count up: each thread has a place of its own in it, so no two fetch the same cache
//! line, and the sum is formed when somebody asks.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const SHARDS: usize = 32;

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Counts what happens on many threads. Where more than 32 threads count, two that share a place may now and then lose one.
pub(in crate::session) struct ShardedCounter([Shard; SHARDS]);

#[repr(align(64))]
struct Shard(AtomicU64);

impl ShardedCounter {
    pub(in crate::session) const fn new() -> Self {
        Self([const { Shard(AtomicU64::new(0)) }; SHARDS])
    }

    #[inline]
    pub(in crate::session) fn count(&self) {
        let shard = SHARD.get();
        let shard = if shard < SHARDS { shard } else { assign_shard() };
        let Shard(count) = &self.0[shard];
        // No read-modify-write: that would cost as much as all the rest of the check.
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(in crate::session) fn sum(&self) -> u64 {
        self.0.iter().map(|Shard(count)| count.load(Ordering::Relaxed)).sum()
    }
}

#[cold]
fn assign_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let shard = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    SHARD.set(shard);
    shard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_count_adds_up() {
        let counter = ShardedCounter::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| counter.count()));
            }
        });
        // Other tests' threads may share places with these, but nobody else counts here.
        assert!(counter.sum() <= 40_000 && counter.sum() > 10_000);
    }
}
