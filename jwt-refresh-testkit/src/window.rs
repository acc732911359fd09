//! A sliding window, which finds the highest number of requests in any time span as long as the
//! limit's period.

use std::{collections::VecDeque, time::Duration};

use crate::clock::Timestamp;

#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The arrival times of the requests in the last period.
    times: VecDeque<Timestamp>,
    most: usize,
}

impl Window {
    pub(crate) fn add(&mut self, now: Timestamp, period: Duration) {
        while self.times.front().is_some_and(|first| now >= first.after(period)) {
            self.times.pop_front();
        }
        self.times.push_back(now);
        self.most = self.most.max(self.times.len());
    }

    pub(crate) fn most(&self) -> usize {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_period_may_start_at_any_time() {
        let mut window = Window::default();
        for millis in [0, 600, 900, 1000, 1500, 1599, 1600, 5000] {
            window.add(Timestamp::default().after(Duration::from_millis(millis)), Duration::from_secs(1));
        }
        assert_eq!(window.most(), 5, "600 to 1599");
    }
}
