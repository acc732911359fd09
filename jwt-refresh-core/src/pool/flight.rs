//! An exchange in the air: a login or a refresh of one account. A task of its own makes it, and then the next that is due: to have
//! the keeper begin a task for each would take longer than the exchange itself does here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::Instrument;

use super::core::Core;
use super::state::Job;
use crate::authenticator::AnyAuthenticator;
use crate::session::{Landing, Party, Plan, exchange, within};
use crate::{Clock, Error, ErrorKind, Policy};

pub(super) fn launch(core: &Arc<Core>, job: Job) {
    let mut flight = Flight::new(core, job);
    let work = async move {
        while let Some(next) = flight.fly().await {
            flight = next;
            // An authenticator that never waits must not keep its thread from all others.
            tokio::task::consume_budget().await;
        }
    };
    core.runtime.spawn(within(core.id, work));
}

/// Dropped before it has landed (the authenticator panicked, the runtime was shut down) it lands as a failure whose outcome is
/// unknown.
struct Flight {
    core: Arc<Core>,
    job: Option<Job>,
}

impl Flight {
    fn new(core: &Arc<Core>, job: Job) -> Self {
        Self { core: Arc::clone(core), job: Some(job) }
    }

    /// The exchange, and what is to be done after it.
    async fn fly(mut self) -> Option<Self> {
        let job = self.job.as_ref()?;
        let span = tracing::debug_span!("jwt_refresh.exchange", pool = self.core.id, account = job.identity.name());
        let authenticator: Arc<dyn AnyAuthenticator> = Arc::clone(&job.identity) as _;
        let party = Errand { core: &self.core, authenticator: &authenticator };
        let landing = exchange(&party, Plan::Renew, job.grant.clone(), 1).instrument(span).await;
        let Job { id, .. } = self.job.take()?;
        let policy = &self.core.policy;
        let next = self.core.change(|state, now| {
            state.land(id, landing, policy, now);
            state.begin_exchange(policy, now)
        });
        next.map(|job| Self::new(&self.core, job))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(Job { id, grant, .. }) = self.job.take() else { return };
        let what = "the exchange was cut off by a panic or the end of its runtime";
        let landing = Landing::failed(Error::new(ErrorKind::Aborted, what), grant.in_doubt());
        self.core.change(|state, now| state.land(id, landing, &self.core.policy, now));
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
