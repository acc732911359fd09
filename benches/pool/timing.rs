//! How long single calls take.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The times of many calls, sorted.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Makes `calls` calls of `call`, and measures each.
    pub(crate) fn of<T>(calls: usize, mut call: impl FnMut(usize) -> T) -> Self {
        let mut times = Vec::with_capacity(calls);
        for number in 0..calls {
            let begun = Instant::now();
            let result = black_box(call(number));
            times.push(begun.elapsed());
            drop(result);
        }
        times.sort_unstable();
        Self(times)
    }

    pub(crate) fn median(&self) -> Duration {
        self.share(1, 2)
    }

    fn most(&self) -> Duration {
        self.share(9, 10)
    }

    fn share(&self, of: usize, all: usize) -> Duration {
        self.0[(self.0.len() - 1) * of / all]
    }

    /// Prints the times, and fails if the median is above `bound`. Single calls may be held up by
    /// the machine.
    pub(crate) fn expect(self, what: &str, bound: Duration) {
        println!("{what}: {self} (bound {bound:?})");
        assert!(self.median() <= bound, "{what}: more than {bound:?}");
    }

    /// Prints the times, and fails if one in ten is above `bound`. On a busy machine one in a
    /// hundred is held up by other programs.
    pub(crate) fn expect_most(self, what: &str, bound: Duration) {
        println!("{what}: {self} (bound of 90 % {bound:?})");
        assert!(self.most() <= bound, "{what}: more than {bound:?}");
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = self.share(1, 1);
        write!(f, "median {:?}, 90 % {:?}, 99 % {:?}, worst {worst:?}", self.median(), self.most(), self.share(99, 100))
    }
}
