//! How a caller gets a lease: at once, or after it has waited for one.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::key_ring::hash;
use super::shared::PoolShared;
use super::waiters::WaiterId;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::pool::failure;
use crate::pool::lease::Lease;
use crate::pool::request::{LeaseSource, LeaseTerms};
use crate::provider::Renewal;
use crate::renewal;
use crate::runtime;

impl LeaseSource for PoolShared {
    fn id(&self) -> u64 {
        self.id
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn try_lease(self: &Arc<Self>) -> Option<Lease> {
        let granted = self.change(|state, now| {
            let selector = state.selector(None, None, 1).ok()?;
            state.acquire(selector, now).ok()?.ok()
        });
        granted.map(|granted| self.make_lease(granted))
    }

    fn rerun(self: &Arc<Self>) -> Option<Lease> {
        if self.policy.rerun_rate_limited { self.try_lease() } else { None }
    }

    fn lease(self: Arc<Self>, terms: LeaseTerms) -> Renewal<Lease> {
        Box::pin(wait_for_lease(self, terms))
    }
}

/// Waits until there is a lease by `terms`.
async fn wait_for_lease(pool: Arc<PoolShared>, terms: LeaseTerms) -> Result<Lease, Error> {
    let key = terms.key.as_deref().map(hash);
    let queued = pool.change(|state, now| {
        let selector = state.selector(terms.tag.as_deref(), key, terms.cost)?;
        let wait_for = match state.acquire(selector, now)? {
            Ok(granted) => return Ok(Err(granted)),
            Err(wait_for) => wait_for,
        };
        if renewal::is_within(pool.id) {
            return Err(failure::reentrant());
        }
        // In a fork nobody would answer.
        runtime::expect_threads()?;
        if state.waiting() >= pool.policy.queue {
            return Err(failure::queue_full(state.waiting()));
        }
        let (reply, answer) = oneshot::channel();
        Ok(Ok((state.enqueue(selector, wait_for, reply, now), answer)))
    })?;
    let (id, mut answer) = match queued {
        Ok(queued) => queued,
        Err(granted) => return Ok(pool.make_lease(granted)),
    };
    let queued = Queued { pool: &pool, id };
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        () = runtime::sleep_until(&pool.clock, terms.until) => {
            drop(queued);
            // A lease may have come before the caller left the queue.
            return answer.try_recv().unwrap_or_else(|_| Err(failure::deadline_passed()));
        }
    };
    answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Aborted, "the wait for a lease was lost")))
}

/// A caller's place in the queue. If the caller is cancelled, dropping this takes it out of the
/// queue.
struct Queued<'a> {
    pool: &'a Arc<PoolShared>,
    id: WaiterId,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let waiter = self.pool.change(|state, now| state.cancel(self.id, now));
        drop(waiter);
    }
}
