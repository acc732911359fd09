//! Gives up jobs that take longer than they may, because an authenticator blocks its thread or does
//! not end although it was cancelled.
//!
//! The place of such a job goes to others, and its account is treated as if the server had not
//! answered. The thread goes on until the authenticator returns, and sends nothing after that.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::job::{Job, Request};
use super::shared::PoolShared;
use crate::error::{Error, ErrorKind};
use crate::renewal::Outcome;
use crate::runtime::BackgroundTask;
use crate::sync::Mutex;

/// How much longer than its time-outs a job may take.
const GRACE: Duration = Duration::from_secs(1);

/// As long as any job may take: 30 years.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 86_400);

/// How long the watching task sleeps between two jobs.
const IDLE: Duration = Duration::from_secs(1);

type Current = Arc<Mutex<Option<(Instant, Arc<Job>)>>>;

/// Watches the jobs of one task from another one.
pub(super) struct Overdue {
    current: Current,
    _watch: BackgroundTask,
}

impl Overdue {
    pub(super) fn watch(pool: &Arc<PoolShared>) -> Self {
        let current = Current::default();
        let watch = watch(Arc::downgrade(pool), Arc::clone(&current));
        Self { _watch: BackgroundTask::spawn(&pool.runtime, watch), current }
    }

    /// Notes that the task begins a job that takes `longest` at most.
    pub(super) fn begin(&self, job: &Arc<Job>, longest: Duration) {
        let longest = longest.saturating_add(GRACE).min(LONGEST);
        *self.current.lock() = Some((Instant::now() + longest, Arc::clone(job)));
    }

    /// Notes that the task has ended its job.
    pub(super) fn end(&self) {
        *self.current.lock() = None;
    }
}

async fn watch(pool: Weak<PoolShared>, current: Current) {
    loop {
        let deadline = current.lock().as_ref().map(|(deadline, _)| *deadline);
        tokio::time::sleep_until(deadline.unwrap_or_else(|| Instant::now() + IDLE)).await;
        let overdue = current.lock().take_if(|(deadline, _)| *deadline <= Instant::now());
        let Some(pool) = pool.upgrade() else { return };
        if let Some((_, job)) = overdue {
            let outcome = outcome(&job);
            pool.change(|state, now| state.complete(&job, outcome, &pool.policy, now));
        }
    }
}

/// Returns the outcome of an exchange that was given up.
fn outcome(job: &Job) -> Option<Outcome> {
    let Request::Exchange(_, credential, _) = &job.request else { return None };
    let what = "the exchange did not end when its time was up, so the authenticator may block its thread";
    Some(Outcome::failed(Error::new(ErrorKind::Unanswered, what), credential.clone().in_doubt()))
}
