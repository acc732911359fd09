//! The timers that wait for the same clock, in the order of their deadlines. However many there
//! are, one task watches the clock for all of them (`timer.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::moment::Moment;
use super::timestamp::Timestamp;
use crate::sync::Mutex;

/// What a timer calls.
pub(crate) trait OnDeadline: Send + Sync {
    /// Handles a deadline that has passed.
    fn deadline_passed(self: Arc<Self>);
}

/// The timers of one clock.
#[derive(Debug)]
pub(crate) struct TimerQueue {
    waiting: Mutex<WaitingTimers>,
    /// Notified when there is a timer before all others.
    changed: Notify,
}

/// Each timer is found by its number and by its deadline.
struct WaitingTimers {
    by_boot: BTreeMap<(Timestamp, u64), WaitingTimer>,
    /// The timers whose deadline the wall clock reaches first, because it was set forward since the
    /// deadline was computed, with the time since boot of that. Mostly there is none.
    by_wall: BTreeMap<(Timestamp, u64), Timestamp>,
    /// How much more the wall clock shows than the time since boot, when this was last looked at.
    wall_ahead: i64,
    /// Whether a task watches the clock.
    is_watched: bool,
}

struct WaitingTimer {
    wall: Timestamp,
    /// Does not keep alive what the timer belongs to.
    target: Weak<dyn OnDeadline>,
}

/// What there is to do at a point in time.
pub(crate) struct DueTimers {
    pub(crate) targets: Vec<Weak<dyn OnDeadline>>,
    /// How long it is until the next timer is due. If there is none, the task that watches the
    /// clock has to end, and the next timer needs another.
    pub(crate) next: Option<Duration>,
}

/// How much further ahead the wall clock may be before it counts as set: it ticks less often than
/// the time since boot, and is slowed down or sped up by time servers.
const STEP: i64 = 50_000_000;

impl TimerQueue {
    pub(super) const fn new() -> Self {
        let by_wall = BTreeMap::new();
        let waiting = WaitingTimers { by_boot: BTreeMap::new(), by_wall, wall_ahead: 0, is_watched: false };
        Self { waiting: Mutex::new(waiting), changed: Notify::const_new() }
    }

    /// Moves the timer `id` from one deadline to another. Returns true if a task has to be started
    /// that watches the clock.
    pub(crate) fn set(&self, id: u64, old: Moment, new: Moment, target: &Weak<dyn OnDeadline>) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.remove(id, old);
        if new == Moment::NEVER {
            return false;
        }
        if waiting.insert(id, new, target) {
            self.changed.notify_one();
        }
        !std::mem::replace(&mut waiting.is_watched, true)
    }

    /// Removes the timer `id`.
    pub(crate) fn remove(&self, id: u64, deadline: Moment) {
        self.waiting.lock().remove(id, deadline);
    }

    /// Notes that no task could be started that watches the clock.
    pub(crate) fn is_not_watched(&self) {
        self.waiting.lock().is_watched = false;
    }

    /// Removes all timers that are due at `now` on either clock, and returns them.
    pub(crate) fn take_due(&self, now: Moment) -> DueTimers {
        let mut waiting = self.waiting.lock();
        waiting.note_steps(now);
        let targets = std::iter::from_fn(|| waiting.take_due(now)).collect();
        let next = waiting.next(now);
        waiting.is_watched = next.is_some();
        DueTimers { targets, next }
    }

    /// Returns a future that ends when there is a timer before all that there were when this was
    /// called.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

impl WaitingTimers {
    /// Adds a timer. Returns whether it is due before all others, on one of the clocks.
    fn insert(&mut self, id: u64, Moment { wall, boot }: Moment, target: &Weak<dyn OnDeadline>) -> bool {
        self.by_boot.insert((boot, id), WaitingTimer { wall, target: Weak::clone(target) });
        if is_ahead(wall, boot, self.wall_ahead) {
            self.by_wall.insert((wall, id), boot);
        }
        let is_first_by_boot = self.by_boot.first_key_value().is_some_and(|((_, first), _)| *first == id);
        is_first_by_boot || self.by_wall.first_key_value().is_some_and(|((_, first), _)| *first == id)
    }

    /// Finds the timers that the wall clock reaches first, if it was set.
    fn note_steps(&mut self, now: Moment) {
        let wall_ahead = now.wall.as_nanos().saturating_sub(now.boot.as_nanos());
        if wall_ahead.abs_diff(self.wall_ahead) <= STEP.unsigned_abs() {
            return;
        }
        self.wall_ahead = wall_ahead;
        let timers = self.by_boot.iter().map(|(&(boot, id), timer)| ((timer.wall, id), boot));
        self.by_wall = timers.filter(|&((wall, _), boot)| is_ahead(wall, boot, wall_ahead)).collect();
    }

    fn remove(&mut self, id: u64, Moment { wall, boot }: Moment) {
        self.by_boot.remove(&(boot, id));
        self.by_wall.remove(&(wall, id));
    }

    fn take_due(&mut self, now: Moment) -> Option<Weak<dyn OnDeadline>> {
        let by_boot = self.by_boot.first_key_value().map(|(key, _)| *key).filter(|(boot, _)| *boot <= now.boot);
        let by_wall = || {
            let ((wall, id), boot) = self.by_wall.first_key_value()?;
            (*wall <= now.wall).then_some((*boot, *id))
        };
        let (boot, id) = by_boot.or_else(by_wall)?;
        let WaitingTimer { wall, target } = self.by_boot.remove(&(boot, id))?;
        self.by_wall.remove(&(wall, id));
        Some(target)
    }

    fn next(&self, now: Moment) -> Option<Duration> {
        let ((boot, _), _) = self.by_boot.first_key_value()?;
        let wall = self.by_wall.first_key_value().map_or(Timestamp::NEVER, |((wall, _), _)| *wall);
        Some(now.until(Moment { wall, boot: *boot }))
    }
}

/// Returns whether a wall clock that shows `wall_ahead` more than the time since boot reaches a
/// deadline first.
fn is_ahead(wall: Timestamp, boot: Timestamp, wall_ahead: i64) -> bool {
    wall != Timestamp::NEVER && wall.as_nanos().saturating_sub(boot.as_nanos()) < wall_ahead.saturating_sub(STEP)
}

impl fmt::Debug for WaitingTimers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingTimers").field("timers", &self.by_boot.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl OnDeadline for Nothing {
        fn deadline_passed(self: Arc<Self>) {}
    }

    /// Returns a moment by what the clocks show, in seconds.
    const fn at(wall: i64, boot: i64) -> Moment {
        const SECOND: i64 = 1_000_000_000;
        Moment { wall: Timestamp::from_nanos(wall * SECOND), boot: Timestamp::from_nanos(boot * SECOND) }
    }

    fn target() -> Weak<dyn OnDeadline> {
        Weak::<Nothing>::new()
    }

    /// Returns how many timers are due, and in how many seconds the next one is.
    fn due(queue: &TimerQueue, now: Moment) -> (usize, Option<u64>) {
        let DueTimers { targets, next } = queue.take_due(now);
        (targets.len(), next.map(|next| next.as_secs()))
    }

    #[test]
    fn a_timer_is_due_once_on_the_clock_that_reaches_it_first() {
        let queue = TimerQueue::new();
        queue.set(1, Moment::NEVER, at(1010, 10), &target());
        queue.set(2, Moment::NEVER, at(1020, 20), &target());
        queue.set(3, Moment::NEVER, Moment::since_boot(at(0, 30).boot), &target());
        queue.set(4, Moment::NEVER, at(2000, 1000), &target());
        assert_eq!(due(&queue, at(1000, 0)), (0, Some(10)));
        assert_eq!(due(&queue, at(1000, 10)), (1, Some(10)), "the wall clock stands still");
        assert_eq!(due(&queue, at(1900, 10)), (1, Some(20)), "the wall clock was set forward");
        assert_eq!(due(&queue, at(1920, 30)), (1, Some(80)));
        queue.set(5, Moment::NEVER, at(1960, 800), &target());
        assert_eq!(due(&queue, at(1920, 30)), (0, Some(40)), "a deadline from before the clock was set");
        assert_eq!(due(&queue, at(1960, 70)), (1, Some(40)));
        assert_eq!(due(&queue, at(1060, 70)), (0, Some(930)), "the wall clock was set back");
        assert_eq!(due(&queue, at(1990, 1000)), (1, None));
    }

    #[test]
    fn a_timer_that_is_moved_or_removed_is_not_due() {
        let queue = TimerQueue::new();
        queue.set(1, Moment::NEVER, at(1010, 10), &target());
        queue.set(1, at(1010, 10), at(1050, 50), &target());
        queue.set(2, Moment::NEVER, at(1010, 10), &target());
        queue.remove(2, at(1010, 10));
        assert_eq!(due(&queue, at(1020, 20)), (0, Some(30)));
        queue.set(1, at(1050, 50), Moment::NEVER, &target());
        assert_eq!(due(&queue, at(1020, 20)), (0, None));
    }

    #[test]
    fn the_clock_is_watched_by_one_task_while_there_are_timers() {
        let queue = TimerQueue::new();
        assert!(queue.set(1, Moment::NEVER, at(1010, 10), &target()));
        assert!(!queue.set(2, Moment::NEVER, at(1020, 20), &target()));
        assert_eq!(due(&queue, at(1020, 20)), (2, None));
        assert!(queue.set(3, Moment::NEVER, at(1030, 30), &target()));
    }
}
