//! The logouts and adoptions that are on their way to the store. They are written in the order in
//! which they took effect in this session. Until all are written, what the store has is outdated
//! here, and no renewal begins.

use std::sync::Arc;

use tokio::sync::watch;

use crate::sync::{AtomicU64, Ordering};

/// How many writes have begun, and how many have ended.
pub(super) struct PendingWrites {
    begun: AtomicU64,
    done: watch::Sender<u64>,
}

/// A write that has begun. It ends when this is dropped.
pub(super) struct PendingWrite {
    of: Arc<PendingWrites>,
    number: u64,
}

impl PendingWrites {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { begun: AtomicU64::new(0), done: watch::Sender::new(0) })
    }

    /// Begins a write. Called under the lock of the state, so that writes are numbered in the order
    /// in which they take effect.
    pub(super) fn begin(self: &Arc<Self>) -> PendingWrite {
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        PendingWrite { of: Arc::clone(self), number }
    }

    pub(super) fn are_some(&self) -> bool {
        *self.done.borrow() < self.begun.load(Ordering::Acquire)
    }

    /// Waits until all writes that have begun have ended.
    pub(super) async fn ended(&self) {
        self.ended_up_to(self.begun.load(Ordering::Acquire)).await;
    }

    async fn ended_up_to(&self, number: u64) {
        // The sender is in `self`, so the wait cannot fail.
        let _ = self.done.subscribe().wait_for(|ended| *ended >= number).await;
    }
}

impl PendingWrite {
    /// Waits until all writes before this one have ended.
    pub(super) async fn turn(&self) {
        self.of.ended_up_to(self.number - 1).await;
    }
}

impl Drop for PendingWrite {
    fn drop(&mut self) {
        self.of.done.send_modify(|ended| *ended = (*ended).max(self.number));
    }
}
