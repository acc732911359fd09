//! A counter that is cheap to increment, and small until many threads do. The thread that counts
//! first has a word of its own. Other threads share a second word, which costs them a
//! read-modify-write. When they have done so often enough, each thread gets a shard, so that no two
//! threads fetch the same cache line. The sum is computed when it is read.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const SHARDS: usize = 32;
/// How often threads other than the first count before each thread gets a shard.
const SHARED_COUNTS: u64 = 256;

/// What no thread has as its shard: a thread that has not counted yet, and a counter that no thread
/// has counted on yet.
const UNASSIGNED: usize = usize::MAX;
const UNOWNED: usize = usize::MAX - 1;

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(UNASSIGNED) };
}

/// Counts what happens on many threads. If more than 32 threads count, two that share a shard may
/// lose an increment now and then.
pub(in crate::session) struct ShardedCounter {
    /// The shard of the thread that counts in `own` as long as there are no shards.
    owner: AtomicUsize,
    own: AtomicU64,
    /// What other threads have counted before there were shards.
    shared: AtomicU64,
    shards: OnceLock<Box<[Shard; SHARDS]>>,
}

#[repr(align(64))]
struct Shard(AtomicU64);

impl ShardedCounter {
    pub(in crate::session) const fn new() -> Self {
        Self {
            owner: AtomicUsize::new(UNOWNED),
            own: AtomicU64::new(0),
            shared: AtomicU64::new(0),
            shards: OnceLock::new(),
        }
    }

    #[inline]
    pub(in crate::session) fn count(&self) {
        let shard = SHARD.get();
        let count = match self.shards.get() {
            Some(shards) if shard < SHARDS => &shards[shard].0,
            None if shard == self.owner.load(Ordering::Relaxed) => &self.own,
            _ => return self.count_elsewhere(),
        };
        increment(count);
    }

    /// Counts if this thread has not counted before, or shares a word with others.
    #[cold]
    fn count_elsewhere(&self) {
        let shard = assigned_shard();
        if let Some(shards) = self.shards.get() {
            increment(&shards[shard].0);
            return;
        }
        match self.owner.compare_exchange(UNOWNED, shard, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => increment(&self.own),
            Err(owner) if owner == shard => increment(&self.own),
            Err(_) => {
                if self.shared.fetch_add(1, Ordering::Relaxed) >= SHARED_COUNTS {
                    self.shards.get_or_init(|| Box::new([const { Shard(AtomicU64::new(0)) }; SHARDS]));
                }
            }
        }
    }

    pub(in crate::session) fn sum(&self) -> u64 {
        let shards = self.shards.get().into_iter().flat_map(|shards| shards.iter());
        [&self.own, &self.shared]
            .into_iter()
            .chain(shards.map(|Shard(count)| count))
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }
}

/// Adds one by a load and a store, because a read-modify-write would cost as much as all the rest
/// of the fast path.
#[inline]
fn increment(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

fn assigned_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    if SHARD.get() == UNASSIGNED {
        SHARD.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
    }
    SHARD.get()
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

    #[test]
    fn a_counter_has_no_shards_before_several_threads_count_often() {
        let counter = ShardedCounter::new();
        (0..10_000).for_each(|_| counter.count());
        let count_elsewhere = |times: u64| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    // Two threads may have the same shard, and then the one counts as the other.
                    assigned_shard();
                    SHARD.set(
                        (assigned_shard() + usize::from(SHARD.get() == counter.owner.load(Ordering::Relaxed))) % SHARDS,
                    );
                    (0..times).for_each(|_| counter.count());
                });
            });
        };
        count_elsewhere(SHARED_COUNTS);
        assert!(counter.shards.get().is_none());
        assert_eq!(counter.sum(), 10_000 + SHARED_COUNTS);
        count_elsewhere(100);
        assert!(counter.shards.get().is_some());
        assert_eq!(counter.sum(), 10_000 + SHARED_COUNTS + 100);
    }
}
