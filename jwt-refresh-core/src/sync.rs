//! The primitives under the state machines: the standard library's, or those of the model checker
//! that tries their interleavings (`RUSTFLAGS='--cfg shuttle'`, see `session/state_cell/model.rs`).

#[cfg(not(all(test, shuttle)))]
use std::sync as primitives;

#[cfg(all(test, shuttle))]
use shuttle::sync as primitives;

pub(crate) use primitives::MutexGuard;
pub(crate) use primitives::atomic::{AtomicI64, AtomicU64, Ordering};

/// A mutex that ignores poisoning: no code of a user runs under one, so a panic elsewhere in a
/// thread that holds it leaves the data intact.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(primitives::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(primitives::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
