//! What the handles, leases and tasks of a pool share: its state behind a lock.
//!
//! `LocalLease` is the pool's side of a lease that a caller holds. It keeps the pool alive, passes
//! on what the holder reports, and gives the account back once. It is in this file because the two
//! types need each other: a change of the state hands out leases, and a lease that ends changes the
//! state.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::HeaderMap;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::job::{Job, Request, leave};
use super::state::{Granted, PoolState};
use super::stored::PoolStore;
use crate::clock::{Clock, Moment, Timestamp};
use crate::error::Error;
use crate::events::{EventChannel, Events};
use crate::pool::account::Account;
use crate::pool::event::PoolEvent;
use crate::pool::lease::{Lease, LeaseBackend, Report};
use crate::pool::limit::Call;
use crate::pool::limits::Pin;
use crate::pool::policy::PoolPolicy;
#[cfg(feature = "metrics")]
use crate::pool::quarantine::CauseCounts;
use crate::pool::rate_headers::advertised;
use crate::pool::status::PoolStatus;
use crate::renewal;
use crate::runtime;
use crate::session::StoredAccount;
use crate::store::DynStore;
use crate::sync::Mutex;
use crate::token::AccessToken;

pub(super) struct PoolShared {
    pub(super) id: u64,
    pub(super) clock: Clock,
    pub(super) policy: Arc<PoolPolicy>,
    pub(super) runtime: Handle,
    state: Mutex<PoolState>,
    /// Wakes the scheduler, if something is due earlier than it planned to wake, or if the pool has
    /// ended.
    pub(super) wake: Arc<Notify>,
    pub(super) answers: Arc<AnswerCounts>,
    events: EventChannel<PoolEvent>,
    /// Wakes those that wait for a milestone.
    changed: Notify,
    store: Option<PoolStore>,
    /// True once the pool is closed and waits no longer for its exchanges.
    pub(super) ends: watch::Sender<bool>,
}

/// How many logins and refreshes of a pool succeeded and failed.
#[derive(Debug, Default)]
pub(super) struct AnswerCounts {
    pub(super) succeeded: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl PoolShared {
    pub(super) fn new(policy: PoolPolicy, clock: Clock, store: Option<Arc<dyn DynStore>>, runtime: Handle) -> Self {
        let store = store.map(|store| PoolStore::new(store, policy.tokens.clone(), clock.clone()));
        let now = clock.moment().boot.as_nanos();
        Self {
            id: renewal::next_id(),
            state: Mutex::new(PoolState::new(&policy, now)),
            clock,
            policy: Arc::new(policy),
            runtime,
            wake: Arc::default(),
            answers: Arc::default(),
            events: EventChannel::new(),
            changed: Notify::new(),
            store,
            ends: watch::Sender::new(false),
        }
    }

    /// Changes the state under the lock, then releases the lock and answers the waiters that the
    /// change has an answer for. Returns what `change` returns.
    pub(super) fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut PoolState, i64) -> T) -> T {
        let (result, replies, has_milestone, events) = {
            let mut state = self.state.lock();
            let milestones = state.milestones;
            let moment = self.clock.moment();
            let now = moment.boot.as_nanos();
            state.set_wall_clock(moment.wall.as_nanos(), now);
            state.process_due(now);
            let result = change(&mut state, now);
            let replies = state.finish_change(now);
            let wake_at = state.wake_at();
            if wake_at < state.planned_wake {
                state.planned_wake = wake_at;
                self.wake.notify_one();
            }
            (result, replies, state.milestones != milestones, state.events.begin())
        };
        for (reply, answer) in replies {
            // If the caller does not wait any more, `send` returns the lease. It is dropped here,
            // and goes to the next waiter. If the waker of one caller panics, the others are
            // answered all the same.
            let send = || drop(reply.send(answer.map(|granted| self.make_lease(granted))));
            let _ = catch_unwind(AssertUnwindSafe(send));
        }
        if has_milestone {
            let _ = catch_unwind(AssertUnwindSafe(|| self.changed.notify_waiters()));
        }
        self.send(events);
        result
    }

    /// Sends events, and those that come meanwhile. Callers had their answers before, since the
    /// waker of a receiver may block this thread.
    fn send(&self, first: Option<VecDeque<PoolEvent>>) {
        let mut next = first;
        while let Some(events) = next {
            for event in events {
                let is_last = matches!(event, PoolEvent::Closed);
                let _ = catch_unwind(AssertUnwindSafe(|| self.events.send(event)));
                if is_last {
                    let _ = catch_unwind(AssertUnwindSafe(|| self.events.close()));
                }
            }
            next = self.state.lock().events.next();
        }
    }

    /// Returns a receiver for what happens from now on.
    pub(super) fn listen(self: &Arc<Self>) -> Events<PoolEvent> {
        self.change(|state, _| {
            if state.expect_open().is_err() {
                return Events::ended();
            }
            state.events.listen();
            self.events.receiver()
        })
    }

    /// Waits until `look` finds something, or until `clock` has reached `deadline`, and returns
    /// `None` then. `look` is asked after each [milestone](PoolState::milestones). Fails if this
    /// process is a fork, in which nothing would end the wait.
    pub(super) async fn wait_for<T>(
        self: &Arc<Self>,
        clock: &Clock,
        deadline: Moment,
        mut look: impl FnMut(&mut PoolState, i64) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let mut timer = pin!(runtime::sleep_until(clock, deadline));
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = self.change(&mut look) {
                return Ok(Some(found));
            }
            runtime::expect_threads()?;
            tokio::select! {
                () = changed => {}
                () = &mut timer => return Ok(self.change(&mut look)),
            }
        }
    }

    /// Returns the lease that was granted.
    pub(super) fn make_lease(self: &Arc<Self>, granted: Granted) -> Lease {
        let cost = AtomicU64::new(granted.call.cost);
        let [observed, rate_limited, released] = [false, false, false].map(AtomicBool::new);
        Lease::new(LocalLease { pool: Arc::clone(self), granted, cost, observed, rate_limited, released })
    }

    /// Adds an account. If it is refused, it is dropped after the lock is released.
    pub(super) fn add(self: &Arc<Self>, mut account: Account) -> Result<(), Error> {
        account.check()?;
        // The authenticator is the user's, so it is not asked under the lock.
        let endpoint = account.identity.server_id();
        if let Some(store) = self.store.as_ref().filter(|_| !account.has_api_key()) {
            let captured = account.take_captured();
            account.identity = store.stored(Arc::clone(&account.identity), captured);
        }
        let first = account.first_token(&self.policy.tokens, self.clock.moment())?;
        let mut offered = Some(account);
        self.change(|state, now| state.add(&mut offered, first, endpoint.as_deref(), now))
    }

    /// Removes the account of that name. Returns whether there was one, and its revocation, if that
    /// can begin.
    pub(super) fn remove(self: &Arc<Self>, name: &str) -> (bool, Option<Job>) {
        let (removed, job) = self.change(|state, now| {
            let removed = state.remove(name, now);
            if let (Some(removed), Some(store)) = (&removed, &self.store) {
                store.note_leaving(&removed.identity);
            }
            (removed, state.begin(now))
        });
        (removed.is_some(), job)
    }

    /// Returns the sessions that have the accounts' tokens, if the pool has a store.
    pub(super) fn stored_accounts(&self) -> Vec<Arc<StoredAccount>> {
        if self.store.is_none() {
            return Vec::new();
        }
        self.state.lock().identities().filter_map(|identity| identity.stored().cloned()).collect()
    }

    /// Waits until no renewal is under way, and what they brought is in the store.
    pub(super) async fn flush(&self) {
        for account in self.stored_accounts() {
            account.flush().await;
        }
    }

    /// Returns whether the accounts' tokens are in a store.
    pub(super) fn has_store(&self) -> bool {
        self.store.is_some()
    }

    /// Returns the status, with the accounts in quarantine.
    pub(super) fn status(self: &Arc<Self>) -> PoolStatus {
        self.change(|state, now| {
            let quarantined: Vec<_> = state
                .quarantined()
                .map(|(entry, quarantine)| state.quarantined_account(entry, quarantine, now))
                .collect();
            PoolStatus { quarantined, ..self.totals(state, now) }
        })
    }

    /// Returns the status with the number of accounts in quarantine for each cause instead of the
    /// accounts, of which there may be a million.
    #[cfg(feature = "metrics")]
    pub(super) fn status_by_cause(self: &Arc<Self>) -> (PoolStatus, CauseCounts) {
        self.change(|state, now| (self.totals(state, now), state.counters.quarantined))
    }

    /// Returns the status without the accounts in quarantine.
    #[expect(clippy::cast_precision_loss, reason = "ratios of counts that large need no more digits")]
    fn totals(&self, state: &mut PoolState, now: i64) -> PoolStatus {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let (succeeded, failed) = (read(&self.answers.succeeded), read(&self.answers.failed));
        let exchanges = succeeded + failed;
        let accounts = state.size();
        let active = state.active();
        let leases = state.counters.leases;
        PoolStatus {
            accounts,
            active,
            failing: state.failing(),
            quarantined: Vec::new(),
            waiting: state.waiting(),
            leases,
            average_ttl: state.counters.average_ttl(now),
            refresh_success: (exchanges > 0.0).then(|| succeeded / exchanges),
            requests_per_token_per_minute: state.counters.per_minute(now) / (active.max(1) as f64),
            auth_overhead: exchanges / (leases.max(1) as f64),
        }
    }

    /// Does the revocations for removed accounts that were not begun before the pool ended.
    fn revoke_on_shutdown(&self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let timeout = self.policy.tokens.refresh_timeout;
        runtime::spawn_on_own_thread(&self.runtime, async move {
            for Job { identity, request, .. } in jobs {
                if let Request::Revocation(credential) = request {
                    leave(&identity, &credential, timeout).await;
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

/// The pool's side of a lease. The account is given back once: by a report that ends the lease, or
/// when the lease is dropped.
struct LocalLease {
    pool: Arc<PoolShared>,
    granted: Granted,
    /// What the call is charged.
    cost: AtomicU64,
    /// Whether an answer to the call was observed.
    observed: AtomicBool,
    rate_limited: AtomicBool,
    released: AtomicBool,
}

impl LocalLease {
    /// Gives the account back, unless that was done before.
    fn release(&self) {
        if !self.released.swap(true, Ordering::AcqRel) {
            let Granted { handle, group, .. } = self.granted;
            self.pool.change(|state, now| state.release(handle, group, self.cost.load(Ordering::Relaxed), now));
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

    #[cfg(feature = "reqwest")]
    fn client(&self) -> Option<&reqwest::Client> {
        self.granted.identity.calls()
    }

    fn pool(&self) -> u64 {
        self.pool.id
    }

    fn spent(&self, cost: u64) {
        let Granted { handle, group, call, .. } = self.granted;
        self.pool.change(|state, now| {
            if !self.released.load(Ordering::Acquire) {
                let charged = self.cost.swap(cost, Ordering::Relaxed);
                state.spent(handle, group, Call { cost: charged, ..call }, cost, now);
            }
        });
    }

    fn was_rate_limited(&self) -> bool {
        self.rate_limited.load(Ordering::Relaxed)
    }

    fn observe(&self, headers: &HeaderMap) {
        let said = advertised(headers, self.pool.clock.now());
        if said.is_empty() {
            return;
        }
        let Granted { handle, call, .. } = self.granted;
        let is_first = !self.observed.swap(true, Ordering::AcqRel);
        self.pool.change(|state, now| {
            let is_in_flight = !self.released.load(Ordering::Acquire);
            let call = Call { cost: self.cost.load(Ordering::Relaxed), ..call };
            state.observe(handle, &said, call, is_first, is_in_flight, now);
        });
    }

    fn report(&self, report: Report) {
        let Granted { handle, call: Call { leased, .. }, .. } = self.granted;
        let (pool, generation) = (&self.pool, self.granted.token.generation());
        pool.change(|state, now| match report {
            Report::Succeeded => state.succeeded(handle, generation, leased),
            Report::Rejected => state.rejected(handle, generation, &pool.policy, now),
            Report::RateLimited(retry_after) => state.rate_limited(handle, leased, retry_after, &pool.policy, now),
            Report::QuotaUsedUp(resets_in) => {
                let rest = resets_in.unwrap_or(pool.policy.quota_pause);
                state.quota_used_up(handle, (Timestamp::from_nanos(now) + rest).as_nanos());
            }
        });
        if matches!(report, Report::RateLimited(_)) {
            self.rate_limited.store(true, Ordering::Relaxed);
        }
        if report.ends_lease() {
            self.release();
        }
    }
}
