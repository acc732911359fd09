//! Synchronization primitives for the state machines: those of the standard library, or those of a
//! model checker that tries their interleavings (`RUSTFLAGS='--cfg shuttle'`, see
//! `session/state_cell/model.rs`).

#[cfg(not(all(test, shuttle)))]
use std::sync as primitives;

#[cfg(all(test, shuttle))]
use shuttle::sync as primitives;

pub(crate) use primitives::MutexGuard;
pub(crate) use primitives::atomic::{AtomicI64, AtomicU64, Ordering};

/// A mutex that ignores poisoning. No user code runs while it is locked, so the data is intact even
/// if a thread panics that holds it.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(primitives::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(primitives::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns `None` if the mutex is locked.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}
