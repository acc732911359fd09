//! A counter that is cheap to increment. Each thread has a shard of its own, so that no two threads
//! fetch the same cache line, and the sum is computed when it is read.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const SHARDS: usize = 32;

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Counts what happens on many threads. If more than 32 threads count, two that share a shard may
/// lose an increment now and then.
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
        // A load and a store, because a read-modify-write would cost as much as all the rest of the
        // fast path.
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
    fn the_counts_of_all_threads_add_up() {
        let counter = ShardedCounter::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| counter.count()));
            }
        });
        // Threads of other tests take shards too, so two of these threads may share one. No other
        // thread counts on this counter.
        assert!(counter.sum() <= 40_000 && counter.sum() > 10_000);
    }
}
