//! The auth worker: one task for all accounts of a pool. It sleeps until the first of them has something due, begins the
//! exchanges that are, so many at once, and gives accounts to waiting callers as their rates let them. It ends with the pool.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use tracing::Instrument;

use super::core::Core;
use super::state::Job;
use crate::authenticator::AnyAuthenticator;
use crate::clock::{Moment, Timestamp};
use crate::session::{Grant, Landing, Party, Plan, exchange, within};
use crate::{Clock, Error, ErrorKind, Policy};

pub(super) fn start(core: &Arc<Core>) {
    core.runtime.spawn(keep(Arc::downgrade(core), Arc::clone(&core.bell), core.clock.clone()));
}

async fn keep(core: Weak<Core>, bell: Arc<tokio::sync::Notify>, clock: Clock) {
    loop {
        let until = {
            let Some(core) = core.upgrade() else { return };
            let (jobs, until) = core.change(|state, now| {
                let jobs: Vec<_> = std::iter::from_fn(|| state.begin_exchange(&core.policy, now)).collect();
                state.armed = state.wake_at(&core.policy);
                (jobs, state.armed)
            });
            for job in jobs {
                launch(&core, job);
            }
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

fn launch(core: &Arc<Core>, job: Job) {
    let span = tracing::debug_span!("jwt_refresh.exchange", pool = core.id, account = job.identity.name());
    let flight = Flight { core: Arc::clone(core), job: Some(job) };
    let work = async move {
        let Some(job) = &flight.job else { return };
        let authenticator: Arc<dyn AnyAuthenticator> = Arc::clone(&job.identity) as _;
        let party = Errand { core: &flight.core, authenticator: &authenticator };
        let landing = exchange(&party, Plan::Renew, job.grant.clone(), 1).await;
        flight.land(landing);
    };
    core.runtime.spawn(within(core.id, work).instrument(span));
}

/// An exchange in the air. Dropped before it has landed (the authenticator panicked, the runtime was shut down) it lands as a
/// failure whose outcome is unknown.
struct Flight {
    core: Arc<Core>,
    job: Option<Job>,
}

impl Flight {
    fn land(mut self, landing: Landing) {
        self.end(|_| landing);
    }

    fn end(&mut self, landing: impl FnOnce(Grant) -> Landing) {
        let Some(Job { id, grant, .. }) = self.job.take() else { return };
        let landing = landing(grant);
        self.core.change(|state, now| state.land(id, landing, &self.core.policy, now));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.end(|grant| {
            let what = "the exchange was cut off by a panic or the end of its runtime";
            Landing::failed(Error::new(ErrorKind::Aborted, what), grant.in_doubt())
        });
    }
}

/// One account's exchange.
struct Errand<'a> {
    core: &'a Core,
    authenticator: &'a Arc<dyn AnyAuthenticator>,
}

impl Party for Errand<'_> {
    fn authenticator(&self) -> &Arc<dyn AnyAuthenticator> {
        self.authenticator
    }

    fn policy(&self) -> &Policy {
        &self.core.policy.tokens
    }

    fn clock(&self) -> &Clock {
        &self.core.clock
    }

    fn answered(&self, _action: &'static str, error: Option<&Error>) {
        let count = if error.is_none() { &self.core.succeeded } else { &self.core.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    async fn rotated_elsewhere(&self, _issue: u64) -> Option<Landing> {
        None
    }
}
