//! A counter that costs next to nothing to count up: each thread has a place of its own in it, so no two fetch the same cache
//! line, and the sum is formed when somebody asks.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const PLACES: usize = 32;

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Counts what happens on many threads. Where more than 32 threads count, two that share a place may now and then lose one.
pub(super) struct Tally([Place; PLACES]);

#[repr(align(64))]
struct Place(AtomicU64);

impl Tally {
    pub(super) const fn new() -> Self {
        Self([const { Place(AtomicU64::new(0)) }; PLACES])
    }

    #[inline]
    pub(super) fn count(&self) {
        let place = PLACE.get();
        let place = if place < PLACES { place } else { take_place() };
        let Place(count) = &self.0[place];
        // No read-modify-write: that would cost as much as all the rest of the check.
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn sum(&self) -> u64 {
        self.0.iter().map(|Place(count)| count.load(Ordering::Relaxed)).sum()
    }
}

#[cold]
fn take_place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let place = NEXT.fetch_add(1, Ordering::Relaxed) % PLACES;
    PLACE.set(place);
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_count_adds_up() {
        let tally = Tally::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| tally.count()));
            }
        });
        // Other tests' threads may share places with these, but nobody else counts here.
        assert!(tally.sum() <= 40_000 && tally.sum() > 10_000);
    }
}
