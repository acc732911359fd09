//! The auth worker: one task for all accounts of a pool. It sleeps until the first of them has something due, has the exchanges
//! begun that are, so many at once, and gives accounts to waiting callers as their rates let them. It ends with the pool.

use std::sync::{Arc, Weak};

use super::core::Core;
use super::flight;
#[cfg(feature = "metrics")]
use super::gauges::Gauges;
use crate::Clock;
use crate::clock::{Moment, Timestamp};

pub(super) fn start(core: &Arc<Core>) {
    core.runtime.spawn(keep(Arc::downgrade(core), Arc::clone(&core.bell), core.clock.clone()));
}

async fn keep(core: Weak<Core>, bell: Arc<tokio::sync::Notify>, clock: Clock) {
    #[cfg(feature = "metrics")]
    let mut gauges = Gauges::default();
    loop {
        let until = {
            let Some(core) = core.upgrade() else { return };
            let (jobs, until) = core.change(|state, now| {
                let jobs: Vec<_> = std::iter::from_fn(|| state.begin(&core.policy, now)).collect();
                state.armed = state.wake_at(&core.policy);
                (jobs, state.armed)
            });
            for job in jobs {
                flight::launch(&core, job);
            }
            #[cfg(feature = "metrics")]
            let until = until.min(gauges.show(&core));
            until
        };
        // Time since boot alone: see `Edges`.
        let until = Moment { wall: Timestamp::NEVER, boot: Timestamp::from_nanos(until) };
        tokio::select! {
            () = bell.notified() => {}
            () = clock.sleep_until(until) => {}
        }
    }
}
