//! The renewal lease that a session has. It belongs to the session and not to the task that took
//! it: if that task hangs, the next renewal has the lease already.

use crate::store::DynLease;
use crate::sync::Mutex;

/// The renewal lease, and the epoch of the renewal that it is held for.
#[derive(Default)]
pub(super) struct HeldLease(Mutex<Option<Box<(u64, DynLease)>>>);

impl HeldLease {
    /// Holds `lease` for a renewal, unless a newer renewal has one.
    pub(super) fn put(&self, epoch: u64, lease: DynLease) {
        let mut held = self.0.lock();
        if held.as_ref().is_none_or(|held| held.0 < epoch) {
            *held = Some(Box::new((epoch, lease)));
        }
    }

    /// Takes over the lease of an older renewal. Returns whether there was one.
    pub(super) fn inherit(&self, epoch: u64) -> bool {
        let mut held = self.0.lock();
        match &mut *held {
            Some(held) if held.0 < epoch => {
                held.0 = epoch;
                true
            }
            _ => false,
        }
    }

    /// Gives the lease back, unless a newer renewal has it.
    pub(super) fn release(&self, epoch: u64) {
        let released = {
            let mut held = self.0.lock();
            if held.as_ref().is_some_and(|held| held.0 == epoch) { held.take() } else { None }
        };
        // Dropped after the lock is released: a lease is the store's code.
        drop(released);
    }
}
