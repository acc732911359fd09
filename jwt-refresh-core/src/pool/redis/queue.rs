//! Where callers of one process wait in turn for what no clock can tell: a lease that is given back, new tokens. The first of
//! those that want the same asks Redis, the others wait behind it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::Error;
use crate::pool::failure;

/// What callers wait for: a line's suffix and a place on its ring.
pub(super) type Aim = (String, String);
/// Held by the one whose turn it is. It is fair.
pub(super) type Turn = tokio::sync::Mutex<()>;

#[derive(Debug)]
pub(super) struct Queue {
    longest: usize,
    waiting: AtomicUsize,
    turns: Mutex<HashMap<Aim, Weak<Turn>>>,
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Queue);

impl Queue {
    pub(super) fn new(longest: usize) -> Self {
        Self { longest, waiting: AtomicUsize::new(0), turns: Mutex::default() }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether nobody else may wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting() >= self.longest
    }

    pub(super) fn full(&self) -> Error {
        failure::queue_full(self.waiting())
    }

    /// Counts one who waits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] if there are too many.
    pub(super) fn join(&self) -> Result<Waiting<'_>, Error> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.longest {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(self.full());
        }
        Ok(Waiting(self))
    }

    /// Whether somebody waits for the same already, and must not be overtaken.
    pub(super) fn has(&self, aim: &Aim) -> bool {
        self.waiting() > 0 && self.turns().get(aim).is_some_and(|turn| turn.strong_count() > 0)
    }

    /// Whose turn it is among those who wait for the same.
    pub(super) fn turn(&self, aim: &Aim) -> Arc<Turn> {
        let mut turns = self.turns();
        if let Some(turn) = turns.get(aim).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::default());
        turns.insert(aim.clone(), Arc::downgrade(&turn));
        turn
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<Aim, Weak<Turn>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
