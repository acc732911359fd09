//! What a pool's handles, leases and tasks share: the state behind its lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::job::{Job, Request};
use super::state::{Granted, PoolState};
use super::time::until;
use crate::authenticator::DynAuthenticator;
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::pool::account::Account;
use crate::pool::lease::{Lease, LeaseBackend, Report};
use crate::pool::limits::Pin;
use crate::pool::policy::PoolPolicy;
#[cfg(feature = "metrics")]
use crate::pool::quarantine::CauseCounts;
use crate::pool::status::{PoolStatus, QuarantinedAccount};
use crate::renewal::{self, revoke};
use crate::sync::Mutex;
use crate::token::AccessToken;

pub(super) struct PoolShared {
    pub(super) id: u64,
    pub(super) clock: Clock,
    pub(super) policy: Arc<PoolPolicy>,
    pub(super) runtime: Handle,
    state: Mutex<PoolState>,
    /// Wakes the scheduler: there is something to do earlier than it thinks, or the pool has ended.
    pub(super) wake: Arc<Notify>,
    pub(super) answers: Arc<AnswerCounts>,
}

/// How many logins and refreshes of a pool the servers answered, well or not.
#[derive(Debug, Default)]
pub(super) struct AnswerCounts {
    pub(super) succeeded: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl PoolShared {
    pub(super) fn new(policy: PoolPolicy, clock: Clock, runtime: Handle) -> Self {
        let now = clock.moment().boot.as_nanos();
        Self {
            id: renewal::next_id(),
            state: Mutex::new(PoolState::new(policy.selection, now)),
            clock,
            policy: Arc::new(policy),
            runtime,
            wake: Arc::default(),
            answers: Arc::default(),
        }
    }

    /// Changes the state, then tells the callers that the change concerns, with the lock released.
    pub(super) fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut PoolState, i64) -> T) -> T {
        let (done, outbox) = {
            let mut state = self.state.lock();
            let now = self.now();
            state.pass_time(now);
            let done = change(&mut state, now);
            let outbox = state.conclude(now);
            let wake_at = state.wake_at(&self.policy);
            if wake_at < state.armed {
                state.armed = wake_at;
                self.wake.notify_one();
            }
            (done, outbox)
        };
        for (reply, answer) in outbox {
            // If the caller does not wait any more, its lease comes back and is dropped here, and the
            // next waiter gets it.
            let _ = reply.send(answer.map(|granted| self.hand_over(granted)));
        }
        done
    }

    /// Makes a lease of what was granted.
    pub(super) fn hand_over(self: &Arc<Self>, granted: Granted) -> Lease {
        Lease::new(LocalLease { pool: Arc::clone(self), granted, released: AtomicBool::new(false) })
    }

    pub(super) fn add(self: &Arc<Self>, account: Account) -> Result<(), Error> {
        let mut offered = Some(account);
        self.change(|state, now| state.add(&mut offered, now))
    }

    fn now(&self) -> i64 {
        self.clock.moment().boot.as_nanos()
    }

    pub(super) fn status(self: &Arc<Self>) -> PoolStatus {
        self.change(|state, now| {
            let quarantined: Vec<_> = state
                .quarantined()
                .map(|(entry, quarantine)| QuarantinedAccount {
                    account: entry.identity.name().to_owned(),
                    cause: quarantine.cause,
                    returns_in: quarantine.until.map(|time| until(now, time)),
                })
                .collect();
            PoolStatus { quarantined, ..self.figures(state, now) }
        })
    }

    /// The status, with how many accounts are in quarantine by cause instead of their names: there
    /// may be a million.
    #[cfg(feature = "metrics")]
    pub(super) fn status_by_cause(self: &Arc<Self>) -> (PoolStatus, CauseCounts) {
        self.change(|state, now| (self.figures(state, now), state.counters.causes))
    }

    #[expect(clippy::cast_precision_loss, reason = "ratios of counts that large need no more digits")]
    fn figures(&self, state: &mut PoolState, now: i64) -> PoolStatus {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let (succeeded, failed) = (read(&self.answers.succeeded), read(&self.answers.failed));
        let exchanges = succeeded + failed;
        let accounts = state.size();
        let active = accounts - state.counters.causes.total();
        let leases = state.counters.leases;
        PoolStatus {
            accounts,
            active,
            quarantined: Vec::new(),
            waiting: state.waiting(),
            leases,
            average_ttl: state.counters.average_ttl(now),
            refresh_success: (exchanges > 0.0).then(|| succeeded / exchanges),
            requests_per_token_per_minute: state.counters.per_minute(now) / (active.max(1) as f64),
            auth_overhead: exchanges / (leases.max(1) as f64),
        }
    }

    /// Revokes the refresh tokens of removed accounts, which the pool has not come to while it lived.
    fn revoke_on_shutdown(&self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let timeout = self.policy.tokens.refresh_timeout;
        self.runtime.spawn(async move {
            for Job { identity, request } in jobs {
                let authenticator: Arc<dyn DynAuthenticator> = identity;
                if let Request::Revocation(credential) = request {
                    let _ = revoke(&authenticator, &credential, timeout).await;
                }
            }
        });
    }
}

impl Drop for PoolShared {
    fn drop(&mut self) {
        self.wake.notify_one();
        let jobs = self.state.lock().take_pending_revocations();
        self.revoke_on_shutdown(jobs);
    }
}

/// A lease as the pool knows it. It is given back once: by what its holder reports, or when dropped.
struct LocalLease {
    pool: Arc<PoolShared>,
    granted: Granted,
    released: AtomicBool,
}

impl LocalLease {
    fn release(&self) {
        if !self.released.swap(true, Ordering::AcqRel) {
            self.pool.change(|state, now| state.release(self.granted.handle, now));
        }
    }
}

impl Drop for LocalLease {
    fn drop(&mut self) {
        self.release();
    }
}

impl LeaseBackend for LocalLease {
    fn account(&self) -> &str {
        self.granted.identity.name()
    }

    fn token(&self) -> &AccessToken {
        &self.granted.token
    }

    fn pin(&self) -> Option<&Pin> {
        self.granted.pin.as_ref()
    }

    fn pool(&self) -> u64 {
        self.pool.id
    }

    fn report(&self, report: Report) {
        let (pool, handle, generation) = (&self.pool, self.granted.handle, self.granted.token.generation());
        pool.change(|state, now| match report {
            Report::Fine => state.fine(handle, generation),
            Report::Rejected => state.rejected(handle, generation, &pool.policy, now),
            Report::RateLimited(retry_after) => state.rate_limited(handle, retry_after, &pool.policy, now),
            Report::QuotaUsedUp(resets_in) => {
                let rest = resets_in.unwrap_or(pool.policy.quota_pause);
                state.quota_used_up(handle, (Timestamp::from_nanos(now) + rest).as_nanos());
            }
        });
        if report.ends() {
            self.release();
        }
    }
}
