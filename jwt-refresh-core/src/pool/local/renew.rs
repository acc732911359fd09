//! The tasks that do a pool's jobs: the login or refresh of an account, or the revocation for an
//! account that was removed.
//!
//! A task that has done a job goes on with the next job that is due. To spawn a task for each job
//! would take longer than everything else that the pool does for it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use tracing::Instrument;

use super::job::{Job, Request, leave};
use super::shared::{AnswerCounts, PoolShared};
use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::error::Error;
use crate::policy::Policy;
use crate::pool::policy::PoolPolicy;
use crate::renewal::{Action, CutOffGuard, Outcome, Plan, RenewalContext, count_answer, exchange, within};
use crate::runtime;
use crate::session::StoredAccount;

/// Starts a task that does `job` first.
pub(super) fn spawn(pool: &Arc<PoolShared>, job: Job) {
    let task = RenewalTask {
        pool: Arc::downgrade(pool),
        id: pool.id,
        policy: Arc::clone(&pool.policy),
        clock: pool.clock.clone(),
        answers: Arc::clone(&pool.answers),
    };
    runtime::spawn_on_own_thread(&pool.runtime, within(pool.id, task.run(job)));
}

/// Does jobs of a pool. The task does not keep the pool alive: jobs that are due when the last
/// handle is dropped are not begun.
struct RenewalTask {
    pool: Weak<PoolShared>,
    id: u64,
    policy: Arc<PoolPolicy>,
    clock: Clock,
    answers: Arc<AnswerCounts>,
}

impl RenewalTask {
    async fn run(self, job: Job) {
        let mut next = Some(job);
        while let Some(job) = next {
            next = self.run_job(job).await;
            // If an authenticator never waits, this lets other tasks of the thread run, too.
            tokio::task::consume_budget().await;
        }
    }

    /// Does a job. Returns the next job, or `None` if none is due or the pool has ended meanwhile.
    async fn run_job(&self, job: Job) -> Option<Job> {
        let span = tracing::debug_span!("jwt_refresh.exchange", pool = self.id, account = job.identity.name());
        let authenticator: Arc<dyn DynAuthenticator> = Arc::clone(&job.identity) as _;
        let credential = match &job.request {
            Request::Exchange(_, credential, _) | Request::Revocation(credential) => credential.clone(),
        };
        let failures = u32::from(job.failures);
        let plan = if let Request::Exchange(_, _, plan) = job.request { Some(plan) } else { None };
        let identity = Arc::clone(&job.identity);
        let guard = CutOffGuard::new(job, |job: Job| self.cut_off(&job));
        let outcome = match (plan, identity.stored()) {
            (Some(plan), Some(account)) => Some(self.renew_stored(account, plan).instrument(span).await),
            (Some(_), None) => {
                let renewer = AccountRenewer { task: self, authenticator: &authenticator, failures };
                Some(exchange(&renewer, Plan::Renew, credential, 1).instrument(span).await)
            }
            (None, _) => {
                leave(&identity, &credential, self.policy.tokens.refresh_timeout).instrument(span).await;
                None
            }
        };
        let (job, pool) = (guard.disarm()?, self.pool.upgrade()?);
        pool.change(|state, now| {
            state.complete(&job, outcome, &pool.policy, now);
            state.begin(now)
        })
    }

    /// Gets tokens for an account that has them in a store, and counts what was sent for it.
    async fn renew_stored(&self, account: &StoredAccount, plan: Plan) -> Outcome {
        let before = account.counts();
        let outcome = account.renew(plan).await;
        let after = account.counts();
        self.answers.succeeded.fetch_add(after.succeeded - before.succeeded, Ordering::Relaxed);
        self.answers.failed.fetch_add(after.failed - before.failed, Ordering::Relaxed);
        outcome
    }

    /// Completes a job that ended without a result, by a panic or the end of its runtime.
    fn cut_off(&self, job: &Job) {
        let Some(pool) = self.pool.upgrade() else { return };
        let outcome = match &job.request {
            Request::Exchange(_, credential, _) => Some(Outcome::cut_off(Plan::Renew, credential.clone())),
            Request::Revocation(_) => None,
        };
        pool.change(|state, now| state.complete(job, outcome, &pool.policy, now));
    }
}

/// What an exchange of one account goes by: the account's authenticator, and the pool's policy and
/// clock.
struct AccountRenewer<'a> {
    task: &'a RenewalTask,
    authenticator: &'a Arc<dyn DynAuthenticator>,
    failures: u32,
}

impl RenewalContext for AccountRenewer<'_> {
    fn authenticator(&self) -> &Arc<dyn DynAuthenticator> {
        self.authenticator
    }

    fn policy(&self) -> &Policy {
        &self.task.policy.tokens
    }

    fn clock(&self) -> &Clock {
        &self.task.clock
    }

    fn failures(&self) -> u32 {
        self.failures
    }

    fn answered(&self, action: Action, error: Option<&Error>) {
        count_answer(action, error);
        let answers = &self.task.answers;
        let count = if error.is_none() { &answers.succeeded } else { &answers.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns `None`: the account has no store through which another process could rotate tokens.
    async fn rotated_elsewhere(&self, _sequence: u64) -> Option<Outcome> {
        None
    }
}
