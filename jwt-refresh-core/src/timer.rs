//! A timer of a session. The sessions that read the same clock share one task, which watches it:
//! a task of its own would cost each of them more than all the rest of its background work.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{Clock, DueTimers, Moment, OnDeadline};
use crate::runtime;
use crate::sync::Mutex;

/// Calls its target whenever a deadline passes on its clock, in a task of the library's. The target
/// is not kept alive. Dropping the timer ends it.
pub(crate) struct Timer {
    clock: Clock,
    id: u64,
    setting: Mutex<TimerSetting>,
}

struct TimerSetting {
    deadline: Moment,
    /// `None` until the timer is started.
    target: Option<Weak<dyn OnDeadline>>,
}

impl Timer {
    /// Returns a timer that has no deadline and is not started.
    pub(crate) fn new(clock: Clock) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { clock, id, setting: Mutex::new(TimerSetting { deadline: Moment::NEVER, target: None }) }
    }

    /// Starts the timer, unless it is started.
    pub(crate) fn start(&self, target: impl FnOnce() -> Weak<dyn OnDeadline>) {
        let mut setting = self.setting.lock();
        if setting.target.is_none() {
            let target = setting.target.insert(target()).clone();
            self.wait_for(Moment::NEVER, setting.deadline, &target);
        }
    }

    /// Sets the deadline. One that has passed calls the target at once, unless it is the one that
    /// was set before: that has been handled.
    pub(crate) fn set(&self, deadline: Moment) {
        let mut setting = self.setting.lock();
        let old = std::mem::replace(&mut setting.deadline, deadline);
        if let Some(target) = setting.target.as_ref().filter(|_| old != deadline) {
            self.wait_for(old, deadline, target);
        }
    }

    #[cfg(test)]
    pub(crate) fn deadline(&self) -> Moment {
        self.setting.lock().deadline
    }

    fn wait_for(&self, old: Moment, new: Moment, target: &Weak<dyn OnDeadline>) {
        // In a fork there is no thread that could call the target, and the one that forked may have
        // left the queue locked.
        if runtime::is_of_parent() || !self.clock.timers().set(self.id, old, new, target) {
            return;
        }
        match runtime::handle() {
            Ok(library) => drop(library.spawn(watch(self.clock.clone()))),
            Err(_) => self.clock.timers().is_not_watched(),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let setting = self.setting.lock();
        if setting.target.is_some() && !runtime::is_of_parent() {
            self.clock.timers().remove(self.id, setting.deadline);
        }
    }
}

/// Calls the targets of all timers of a clock when they are due, as long as there are any. Each
/// call is a task of its own: one that panics, or blocks its thread, stops no other timer.
async fn watch(clock: Clock) {
    let timers = clock.timers();
    loop {
        // Both are asked for before the clock is read, so that no change after that is missed.
        let (changed, tick) = (timers.changed(), clock.tick());
        let DueTimers { targets, next } = timers.take_due(clock.moment());
        for target in targets {
            tokio::spawn(async move {
                if let Some(target) = target.upgrade() {
                    target.deadline_passed();
                }
            });
        }
        let Some(left) = next else { return };
        tokio::select! {
            () = changed => {}
            () = tick.within(left) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::clock::ManualClock;

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Default)]
    struct Target {
        calls: AtomicU32,
        panics: bool,
    }

    impl OnDeadline for Target {
        fn deadline_passed(self: Arc<Self>) {
            self.calls.fetch_add(1, Ordering::SeqCst);
            assert!(!self.panics, "this target panics, as it has to");
        }
    }

    fn timer(clock: &Clock, target: &Arc<Target>) -> Timer {
        let timer = Timer::new(clock.clone());
        let target = Arc::downgrade(target);
        timer.start(|| target as Weak<dyn OnDeadline>);
        timer
    }

    fn until(what: &str, is_done: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_done() {
            assert!(begun.elapsed() < SECOND * 60, "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn calls(target: &Target) -> u32 {
        target.calls.load(Ordering::SeqCst)
    }

    #[test]
    fn a_target_that_panics_stops_no_other_timer() {
        let manual = ManualClock::new();
        let clock = Clock::from(&manual);
        let bad = Arc::new(Target { panics: true, ..Target::default() });
        let good = Arc::new(Target::default());
        let (bad_timer, good_timer) = (timer(&clock, &bad), timer(&clock, &good));
        for round in 1..=3 {
            bad_timer.set(clock.moment() + SECOND);
            good_timer.set(clock.moment() + SECOND * 2);
            manual.advance(SECOND * 2);
            until("both are called", || calls(&bad) == round && calls(&good) == round);
        }
    }

    #[test]
    fn a_timer_that_is_dropped_leaves_nothing_behind() {
        let manual = ManualClock::new();
        let clock = Clock::from(&manual);
        let target = Arc::new(Target::default());
        let dropped = timer(&clock, &target);
        dropped.set(clock.moment() + SECOND);
        assert_eq!(Arc::weak_count(&target), 2, "the timer and the queue");
        drop(dropped);
        assert_eq!(Arc::weak_count(&target), 0);
    }

    #[test]
    fn a_timer_on_the_systems_clock_is_called_in_time_and_an_earlier_deadline_comes_first() {
        let clock = Clock::system();
        let target = Arc::new(Target::default());
        let timer = timer(&clock, &target);
        timer.set(clock.moment() + SECOND * 3600);
        timer.set(clock.moment() + Duration::from_millis(10));
        until("it is called", || calls(&target) == 1);
    }
}
