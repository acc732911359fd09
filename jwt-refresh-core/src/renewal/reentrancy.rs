//! Detects a login or refresh that asks its own session or pool for a token, which would wait for
//! itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

tokio::task_local! {
    /// The ids of the sessions and pools whose renewal the current task is part of, outermost
    /// first.
    static RENEWING: Arc<[u64]>;
}

/// Returns an id that no other session or pool of the process has.
pub(crate) fn next_id() -> u64 {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// Returns whether the current task is part of a renewal of the session or pool `id`, so that it
/// would wait for itself.
pub(crate) fn is_within(id: u64) -> bool {
    RENEWING.try_with(|within| within.contains(&id)).unwrap_or(false)
}

/// Runs `work` as part of a renewal of the session or pool `id`, and of those that the calling task
/// is part of.
pub(crate) fn within<F: Future>(id: u64, work: F) -> impl Future<Output = F::Output> {
    let mut within = RENEWING.try_with(|within| within.to_vec()).unwrap_or_default();
    within.push(id);
    RENEWING.scope(within.into(), work)
}
