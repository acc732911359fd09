//! The tasks that do a pool's jobs: the login or refresh of an account, or the revocation for an
//! account that was removed.
//!
//! A task that has done a job goes on with the next job that is due. To spawn a task for each job
//! would take longer than everything else that the pool does for it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tracing::Instrument;

use super::job::{Job, Request, leave};
use super::overdue::Overdue;
use super::shared::{AnswerCounts, PoolShared};
use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
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
        ends: pool.ends.subscribe(),
        overdue: Overdue::watch(pool),
    };
    // The guard is made here, in case that no thread can be started.
    let guard = guard(&task.pool, job);
    runtime::spawn_on_own_thread(&pool.runtime, within(pool.id, task.run(guard)));
}

/// Returns a guard that completes a job that ends without a result, by a panic or the end of its
/// runtime.
fn guard(pool: &Weak<PoolShared>, job: Job) -> CutOffGuard<Arc<Job>, impl FnOnce(Arc<Job>) + use<>> {
    let pool = Weak::clone(pool);
    CutOffGuard::new(Arc::new(job), move |job: Arc<Job>| {
        if let Some(pool) = pool.upgrade() {
            let outcome = Outcome::cut_off(Plan::Renew, job.credential().clone());
            pool.change(|state, now| state.complete(&job, Some(outcome), &pool.policy, now));
        }
    })
}

/// Does jobs of a pool. The task does not keep the pool alive: jobs that are due when the last
/// handle is dropped are not begun.
struct RenewalTask {
    pool: Weak<PoolShared>,
    id: u64,
    policy: Arc<PoolPolicy>,
    clock: Clock,
    answers: Arc<AnswerCounts>,
    /// True once the pool is closed and waits no longer for its exchanges.
    ends: watch::Receiver<bool>,
    overdue: Overdue,
}

impl RenewalTask {
    async fn run(mut self, first: CutOffGuard<Arc<Job>, impl FnOnce(Arc<Job>)>) {
        let mut next = self.run_job(first).await;
        while let Some(job) = next {
            next = self.run_job(guard(&self.pool, job)).await;
            // If an authenticator never waits, this lets other tasks of the thread run, too.
            tokio::task::consume_budget().await;
        }
    }

    /// Does a job. Returns the next job, or `None` if none is due or the pool has ended meanwhile.
    async fn run_job(&mut self, guard: CutOffGuard<Arc<Job>, impl FnOnce(Arc<Job>)>) -> Option<Job> {
        let job = Arc::clone(guard.pending()?);
        let span = tracing::debug_span!("jwt_refresh.exchange", pool = self.id, account = job.identity.name());
        // An account with a store gives up its own renewals, like a session.
        if job.identity.stored().is_none() {
            self.overdue.begin(&job, self.longest(&job));
        }
        let mut ends = self.ends.clone();
        let outcome = tokio::select! {
            biased;
            outcome = self.send(&job).instrument(span) => outcome,
            // What a store is to have is not cut off: the server may have spent the refresh token.
            Ok(_) = ends.wait_for(|ends| *ends), if job.identity.stored().is_none() => return None,
        };
        self.overdue.end();
        guard.disarm();
        let pool = self.pool.upgrade()?;
        pool.change(|state, now| {
            state.complete(&job, outcome, &pool.policy, now);
            state.begin(now)
        })
    }

    /// Sends the requests of a job. Returns the outcome of an exchange.
    async fn send(&self, job: &Job) -> Option<Outcome> {
        let plan = match &job.request {
            Request::Exchange(_, _, plan) => *plan,
            Request::Revocation(credential) => {
                leave(&job.identity, credential, self.policy.tokens.refresh_timeout).await;
                return None;
            }
        };
        if let Some(account) = job.identity.stored() {
            return Some(self.renew_stored(account, plan).await);
        }
        let authenticator: Arc<dyn DynAuthenticator> = Arc::clone(&job.identity) as _;
        let renewer = AccountRenewer { task: self, job, authenticator: &authenticator };
        Some(exchange(&renewer, Plan::Renew, job.credential().clone(), 1).await)
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

    /// Returns how long a job takes at most, if its authenticator does not block its thread: a
    /// refresh and a login, each of which ends by its time-out.
    fn longest(&self, job: &Job) -> Duration {
        let Policy { login_timeout, refresh_timeout, .. } = self.policy.tokens;
        match job.request {
            Request::Exchange(..) => refresh_timeout.saturating_add(login_timeout),
            Request::Revocation(_) => refresh_timeout,
        }
    }
}

/// What an exchange of one account goes by: the account's authenticator, and the pool's policy and
/// clock.
struct AccountRenewer<'a> {
    task: &'a RenewalTask,
    job: &'a Job,
    authenticator: &'a Arc<dyn DynAuthenticator>,
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

    /// Returns an error if the job was given up meanwhile, so that no further request is sent.
    fn sending(&self, _: Action) -> Result<(), Error> {
        if self.job.is_completed() {
            return Err(Error::new(ErrorKind::Aborted, "the exchange was given up, since it took too long"));
        }
        Ok(())
    }

    fn account(&self) -> Option<&str> {
        Some(self.job.identity.name())
    }

    fn failures(&self) -> u32 {
        u32::from(self.job.failures)
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
