//! Which renewals the current task works for: a login or refresh that asks its own session or pool
//! for a token would wait for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

tokio::task_local! {
    /// The sessions and pools whose renewal the current task works for, outermost first.
    static WITHIN: Arc<[u64]>;
}

/// What tells a session or a pool from every other one in the process.
pub(crate) fn next_id() -> u64 {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// Whether the current task is part of a renewal of the session or pool `id`, and would wait for itself.
pub(crate) fn is_within(id: u64) -> bool {
    WITHIN.try_with(|within| within.contains(&id)).unwrap_or(false)
}

/// `work` as a part of a renewal of the session or pool `id`, and of those that the current task is part of.
pub(crate) fn within<F: Future>(id: u64, work: F) -> impl Future<Output = F::Output> {
    let mut within = WITHIN.try_with(|within| within.to_vec()).unwrap_or_default();
    within.push(id);
    WITHIN.scope(within.into(), work)
}
