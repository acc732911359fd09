//! An exchange in the air: a login or a refresh of one account, or the revocation of one that was removed. A task of its own makes
//! it, and then the next that is due: to begin a task for each would take longer than all that the pool has to do for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::Instrument;

use super::core::Core;
use super::state::{Errand, Job};
use crate::authenticator::AnyAuthenticator;
use crate::session::{Landing, Party, Plan, count_answer, exchange, within};
use crate::{Clock, Error, ErrorKind, Policy, RefreshToken};

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

    /// Does the job; what is to be done after it.
    async fn fly(mut self) -> Option<Self> {
        let job = self.job.as_ref()?;
        let span = tracing::debug_span!("jwt_refresh.exchange", pool = self.core.id, account = job.identity.name());
        let landing = self.core.carry_out(job).instrument(span).await;
        let (policy, job) = (&self.core.policy, self.job.take()?);
        let next = self.core.change(|state, now| {
            state.land(&job, landing, policy, now);
            state.begin(policy, now)
        });
        next.map(|job| Self::new(&self.core, job))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(job) = self.job.take() else { return };
        let what = "the exchange was cut off by a panic or the end of its runtime";
        let landing = match &job.errand {
            Errand::Exchange(_, grant) => {
                Some(Landing::failed(Error::new(ErrorKind::Aborted, what), grant.clone().in_doubt()))
            }
            Errand::Revocation(_) => None,
        };
        self.core.change(|state, now| state.land(&job, landing, &self.core.policy, now));
    }
}

impl Core {
    /// What came of it, if it was an exchange.
    async fn carry_out(&self, job: &Job) -> Option<Landing> {
        let authenticator: Arc<dyn AnyAuthenticator> = Arc::clone(&job.identity) as _;
        match &job.errand {
            Errand::Exchange(_, grant) => {
                let envoy = Envoy { core: self, authenticator: &authenticator };
                Some(exchange(&envoy, Plan::Renew, grant.clone(), 1).await)
            }
            Errand::Revocation(token) => {
                self.revoke(authenticator, token.clone()).await;
                None
            }
        }
    }

    /// Nobody waits for it, so a failure is only logged: the token expires by itself.
    async fn revoke(&self, authenticator: Arc<dyn AnyAuthenticator>, token: RefreshToken) {
        let timeout = self.policy.tokens.refresh_timeout;
        let answer = tokio::time::timeout(timeout, authenticator.revoke(token)).await.unwrap_or_else(|_| {
            let what = format!("the revocation was not answered within {} s", timeout.as_secs_f32());
            Err(Error::new(ErrorKind::Unanswered, what))
        });
        if let Err(error) = answer {
            tracing::warn!(target: "jwt_refresh", action = "revoke", kind = ?error.kind(), %error, "failed");
        }
    }
}

/// Who makes one account's exchange.
struct Envoy<'a> {
    core: &'a Core,
    authenticator: &'a Arc<dyn AnyAuthenticator>,
}

impl Party for Envoy<'_> {
    fn authenticator(&self) -> &Arc<dyn AnyAuthenticator> {
        self.authenticator
    }

    fn policy(&self) -> &Policy {
        &self.core.policy.tokens
    }

    fn clock(&self) -> &Clock {
        &self.core.clock
    }

    fn answered(&self, action: &'static str, error: Option<&Error>) {
        count_answer(action, error.is_none());
        let count = if error.is_none() { &self.core.succeeded } else { &self.core.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    async fn rotated_elsewhere(&self, _issue: u64) -> Option<Landing> {
        None
    }
}
