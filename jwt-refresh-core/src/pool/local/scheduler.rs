//! The one task that watches a pool's clock. It sleeps until something is due, begins the exchanges
//! that are due, as many at once as the policy allows, and leases accounts to waiters as their
//! rates allow. It ends with the pool.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::renew;
use super::shared::PoolShared;
use crate::clock::{Clock, Moment, Timestamp};
#[cfg(feature = "metrics")]
use crate::pool::gauges::Gauges;

/// How long it takes until a scheduler that panicked is started again.
const RESTART: Duration = Duration::from_secs(1);

/// Starts the scheduler of a pool. If it panics, which only code of the user's that it calls can
/// make it do (such as a recorder of metrics), it is started again.
pub(super) fn start(pool: &Arc<PoolShared>) {
    let (weak, wake, clock) = (Arc::downgrade(pool), Arc::clone(&pool.wake), pool.clock.clone());
    pool.runtime.spawn(async move {
        let begin = || tokio::spawn(run(Weak::clone(&weak), Arc::clone(&wake), clock.clone()));
        while begin().await.is_err_and(|error| error.is_panic()) {
            tracing::error!(target: "jwt_refresh", "the scheduler of a pool panicked, and is started again");
            tokio::time::sleep(RESTART).await;
        }
    });
}

/// How many exchanges are begun under the lock, one after the other. If more are due, the task
/// begins them right afterwards.
const JOBS_AT_ONCE: usize = 64;

async fn run(pool: Weak<PoolShared>, wake: Arc<Notify>, clock: Clock) {
    #[cfg(feature = "metrics")]
    let mut gauges = Gauges::default();
    loop {
        let until = {
            let Some(pool) = pool.upgrade() else { return };
            let (jobs, until) = pool.change(|state, now| {
                state.complete_key_rings();
                let jobs: Vec<_> = std::iter::from_fn(|| state.begin(now)).take(JOBS_AT_ONCE).collect();
                state.planned_wake = state.wake_at();
                (jobs, state.planned_wake)
            });
            for job in jobs {
                renew::spawn(&pool, job);
            }
            #[cfg(feature = "metrics")]
            let until = until.min(gauges.show(pool.id, &pool.clock, || pool.totals_only()));
            let_others_in(&pool).await;
            until
        };
        // Only time since boot counts, which cannot be stepped.
        let until = Moment::since_boot(Timestamp::from_nanos(until));
        tokio::select! {
            () = wake.notified() => {}
            () = clock.sleep_until(until) => {}
        }
    }
}

/// Waits while somebody else waits for the pool's lock, though not for long. A thread that waits
/// for a lock is woken more slowly than this task would take the lock again, if much is due.
async fn let_others_in(pool: &PoolShared) {
    for _ in 0..1000 {
        if !pool.is_contended() {
            return;
        }
        tokio::task::yield_now().await;
    }
}
