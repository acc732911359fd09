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
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use http::HeaderMap;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::job::{Job, Request, leave};
use super::lease_timeouts::LeaseCharge;
use super::rank::Slot;
use super::state::{Granted, ListedAccount, PoolState};
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
use crate::pool::rate_headers::advertised;
#[cfg(feature = "redis")]
use crate::pool::start::FirstToken;
use crate::pool::status::{PoolStatus, QuarantinedAccount};
use crate::runtime;
use crate::session::StoredAccount;
use crate::store::DynStore;
use crate::sync::{Mutex, MutexGuard};
use crate::token::AccessToken;

/// How many accounts are listed under the lock, one after the other.
const ACCOUNTS_AT_ONCE: usize = 1024;

/// How many accounts in quarantine a status lists.
const QUARANTINED_LISTED: usize = 100;

pub(in crate::pool) struct PoolShared {
    pub(super) id: u64,
    pub(super) clock: Clock,
    pub(super) policy: Arc<PoolPolicy>,
    pub(super) runtime: Handle,
    state: Mutex<PoolState>,
    /// How many threads wait for the lock of the state.
    contenders: AtomicUsize,
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
    pub(super) fn new(
        id: u64,
        policy: PoolPolicy,
        clock: Clock,
        store: Option<Arc<dyn DynStore>>,
        runtime: Handle,
    ) -> Self {
        let store = store.map(|store| PoolStore::new(store, policy.tokens.clone(), clock.clone()));
        let now = clock.moment().boot.as_nanos();
        Self {
            id,
            state: Mutex::new(PoolState::new(&policy, now)),
            contenders: AtomicUsize::new(0),
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
        let (result, aftermath, has_milestone, events) = {
            let mut state = self.lock();
            let milestones = state.milestones;
            let moment = self.clock.moment();
            let now = moment.boot.as_nanos();
            state.set_wall_clock(moment.wall.as_nanos(), now);
            state.process_due(now);
            let result = change(&mut state, now);
            let aftermath = state.finish_change(now);
            let wake_at = state.wake_at();
            if wake_at < state.planned_wake {
                state.planned_wake = wake_at;
                self.wake.notify_one();
            }
            (result, aftermath, state.milestones != milestones, state.events.begin())
        };
        for (reply, answer) in aftermath.replies {
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
            next = self.lock().events.next();
        }
    }

    /// Returns how many logins and refreshes have succeeded, and how many have failed.
    #[cfg(feature = "redis")]
    pub(super) fn exchange_counts(&self) -> (u64, u64) {
        let AnswerCounts { succeeded, failed } = &*self.answers;
        (succeeded.load(Ordering::Relaxed), failed.load(Ordering::Relaxed))
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

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.try_lock().unwrap_or_else(|| {
            self.contenders.fetch_add(1, Ordering::Relaxed);
            let state = self.state.lock();
            self.contenders.fetch_sub(1, Ordering::Relaxed);
            state
        })
    }

    /// Returns whether somebody waits for the lock.
    pub(super) fn is_contended(&self) -> bool {
        self.contenders.load(Ordering::Relaxed) > 0
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

    /// Adds an account that this process has no share of.
    #[cfg(feature = "redis")]
    pub(super) fn add_elsewhere(self: &Arc<Self>, account: Account) -> Result<(), Error> {
        account.check()?;
        let mut offered = Some(account);
        self.change(|state, now| state.add(&mut offered, Some(FirstToken::Supplied), None, now))
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
        let mut stored = Vec::new();
        for start in (0..).step_by(ACCOUNTS_AT_ONCE) {
            let state = self.lock();
            let Some(identities) = state.identities(start..start + ACCOUNTS_AT_ONCE) else { break };
            stored.extend(identities.filter_map(|identity| identity.stored().cloned()));
        }
        stored
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

    /// Returns the status, with those accounts in quarantine that return first.
    pub(super) fn status(self: &Arc<Self>) -> PoolStatus {
        let (totals, listed) = self.change(|state, now| {
            let listed = state.first_quarantined(QUARANTINED_LISTED).into_iter();
            let listed: Vec<_> = listed.map(|(entry, quarantine)| state.listed(entry, quarantine, now)).collect();
            (self.totals(state, now), listed)
        });
        PoolStatus { quarantined: listed.into_iter().map(ListedAccount::named).collect(), ..totals }
    }

    /// Returns the status without the list of accounts in quarantine.
    #[cfg(feature = "metrics")]
    pub(super) fn totals_only(self: &Arc<Self>) -> PoolStatus {
        self.change(|state, now| self.totals(state, now))
    }

    /// Returns the accounts in quarantine from this slot on, at most as many as are listed at once,
    /// and the slot to go on from. `None` if there are no more.
    pub(super) fn quarantined_from(self: &Arc<Self>, slot: Slot) -> Option<(Vec<QuarantinedAccount>, Slot)> {
        let listed = self.change(|state, now| {
            let listed = state.quarantined_from(slot).take(ACCOUNTS_AT_ONCE);
            listed.map(|(slot, entry, quarantine)| (slot, state.listed(entry, quarantine, now))).collect::<Vec<_>>()
        });
        let &(last, _) = listed.last()?;
        Some((listed.into_iter().map(|(_, listed)| listed.named()).collect(), last.saturating_add(1)))
    }

    /// Returns the status without the list of accounts in quarantine.
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
            auth_workers: None,
            failing: state.failing(),
            quarantined: Vec::new(),
            causes: state.counters.quarantined,
            waiting: state.waiting(),
            leases,
            leases_timed_out: state.counters.leases_timed_out,
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
    fn held(&self) -> LeaseCharge {
        let Granted { handle, tag, group, .. } = self.granted;
        LeaseCharge { handle, tag, group, cost: self.cost.load(Ordering::Relaxed) }
    }

    /// Gives the account back, unless that was done before.
    fn release(&self) {
        if !self.released.swap(true, Ordering::AcqRel) {
            self.pool.change(|state, now| state.release(self.granted.lease, self.held(), now));
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
        let Granted { lease, call, .. } = self.granted;
        self.pool.change(|state, now| {
            if !self.released.load(Ordering::Acquire) {
                let held = self.held();
                self.cost.store(cost, Ordering::Relaxed);
                state.spent(lease, held, call.leased, cost, now);
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
            let is_in_flight = !self.released.load(Ordering::Acquire) && state.is_held(self.granted.lease);
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
