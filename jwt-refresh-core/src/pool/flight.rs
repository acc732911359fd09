//! An exchange in the air: a login or a refresh of one account, or the revocation of one that was removed. A task of its own makes
//! it, and then the next that is due: to begin a task for each would take longer than all that the pool has to do for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use tracing::Instrument;

use super::core::Core;
use super::policy::PoolPolicy;
use super::state::{Errand, Job};
use crate::authenticator::AnyAuthenticator;
use crate::session::{Landing, Party, Plan, count_answer, exchange, within};
use crate::{Clock, Error, ErrorKind, Policy, RefreshToken};

/// What the servers answered to a pool's exchanges, well or not.
#[derive(Debug, Default)]
pub(super) struct Answers {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl Answers {
    /// Those that were well, and those that were not.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.succeeded.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

pub(super) fn launch(core: &Arc<Core>, job: Job) {
    let mut flight = Flight { envoy: Envoy::of(Arc::downgrade(core), core), job: Some(job) };
    let work = async move {
        while flight.fly().await {
            // An authenticator that never waits must not keep its thread from all others.
            tokio::task::consume_budget().await;
        }
    };
    core.runtime.spawn(within(core.id, work));
}

/// Does what does not end with the pool: an account that was removed is parted with all the same.
pub(super) fn see_off(core: &Core, jobs: Vec<Job>) {
    if jobs.is_empty() {
        return;
    }
    let envoy = Envoy::of(Weak::new(), core);
    core.runtime.spawn(async move {
        for job in jobs {
            envoy.carry_out(&job).await;
        }
    });
}

/// Dropped before it has landed (the authenticator panicked, the runtime was shut down) it lands as a failure whose outcome is
/// unknown.
struct Flight {
    envoy: Envoy,
    job: Option<Job>,
}

impl Flight {
    /// Does the job; whether there is another to be done after it. There is none if the pool has ended meanwhile.
    async fn fly(&mut self) -> bool {
        let Some(job) = &self.job else { return false };
        let (pool, account) = (self.envoy.pool, job.identity.name());
        let span = tracing::debug_span!("jwt_refresh.exchange", pool, account);
        let landing = self.envoy.carry_out(job).instrument(span).await;
        let (Some(core), Some(job)) = (self.envoy.core.upgrade(), self.job.take()) else { return false };
        self.job = core.change(|state, now| {
            state.land(&job, landing, &core.policy, now);
            state.begin(&core.policy, now)
        });
        self.job.is_some()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let (Some(core), Some(job)) = (self.envoy.core.upgrade(), self.job.take()) else { return };
        let what = "the exchange was cut off by a panic or the end of its runtime";
        let landing = match &job.errand {
            Errand::Exchange(_, grant) => {
                Some(Landing::failed(Error::new(ErrorKind::Aborted, what), grant.clone().in_doubt()))
            }
            Errand::Revocation(_) => None,
        };
        core.change(|state, now| state.land(&job, landing, &core.policy, now));
    }
}

/// Who makes a pool's exchanges. It does not keep the pool alive: what is due when the last handle goes is not done any more.
struct Envoy {
    core: Weak<Core>,
    pool: u64,
    policy: Arc<PoolPolicy>,
    clock: Clock,
    answers: Arc<Answers>,
}

impl Envoy {
    fn of(weak: Weak<Core>, core: &Core) -> Self {
        Self {
            core: weak,
            pool: core.id,
            policy: Arc::clone(&core.policy),
            clock: core.clock.clone(),
            answers: Arc::clone(&core.answers),
        }
    }

    /// What came of it, if it was an exchange.
    async fn carry_out(&self, job: &Job) -> Option<Landing> {
        let authenticator: Arc<dyn AnyAuthenticator> = Arc::clone(&job.identity) as _;
        match &job.errand {
            Errand::Exchange(_, grant) => {
                let of_account = OfAccount { envoy: self, authenticator: &authenticator };
                Some(exchange(&of_account, Plan::Renew, grant.clone(), 1).await)
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

/// One account's exchange.
struct OfAccount<'a> {
    envoy: &'a Envoy,
    authenticator: &'a Arc<dyn AnyAuthenticator>,
}

impl Party for OfAccount<'_> {
    fn authenticator(&self) -> &Arc<dyn AnyAuthenticator> {
        self.authenticator
    }

    fn policy(&self) -> &Policy {
        &self.envoy.policy.tokens
    }

    fn clock(&self) -> &Clock {
        &self.envoy.clock
    }

    fn answered(&self, action: &'static str, error: Option<&Error>) {
        count_answer(action, error.is_none());
        let answers = &self.envoy.answers;
        let count = if error.is_none() { &answers.succeeded } else { &answers.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    async fn rotated_elsewhere(&self, _issue: u64) -> Option<Landing> {
        None
    }
}
