//! The state machine of a pool. It does not wait, and sends nothing; all of it runs under one short
//! lock.
//!
//! `membership` adds and removes accounts, `first_tokens` has those that need no login, `leasing`
//! decides which account serves a caller, `keys` which one a key belongs to, and `waiting` has the
//! callers that wait. `listing` is what a status lists. `feedback` takes the reports on leases,
//! `quarantine` takes accounts out of service and back, `exchanges` keeps them logged in, and
//! `alarms` does what is due by the passing of time. `metered` does what is different for accounts
//! with more limits than a rate, and `limit_changes` gives an account others. `operating` is what a
//! user does by hand, and `events` tells what happens. `walk` checks what limits promise, in random
//! walks.
//!
//! In a process of a fleet, `shares` says which accounts it has, and `supplied` which tokens of
//! them. `demand` is what its callers wait for, and `changes` is what the fleet is told.
//! `redefinition` is what follows when the auth workers say something else of an account.

mod alarms;
#[cfg(feature = "redis")]
mod changes;
#[cfg(feature = "redis")]
mod demand;
mod events;
mod exchanges;
mod feedback;
mod first_tokens;
mod keys;
mod leasing;
mod limit_changes;
mod listing;
mod membership;
mod metered;
mod operating;
mod quarantine;
#[cfg(feature = "redis")]
mod redefinition;
#[cfg(feature = "redis")]
mod shares;
#[cfg(feature = "redis")]
mod supplied;
mod waiting;
#[cfg(test)]
mod walk;

pub(super) use operating::DrainProgress;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::listing::ListedAccount;
use super::api_keys::ApiKeys;
#[cfg(feature = "redis")]
use super::changed_accounts::ChangedAccounts;
use super::endpoints::Endpoints;
use super::entry::AccountHandle;
use super::event_queue::EventQueue;
use super::heap::Heap;
use super::job::Job;
use super::key_rings::KeyRings;
use super::lease_timeouts::{LeaseId, LeaseTimeouts};
use super::lifecycle::Lifecycle;
use super::metered_queue::{Due, MeteredQueue};
use super::quarantined::QuarantineList;
use super::rank::Slot;
use super::ready_queue::ReadyQueue;
#[cfg(feature = "redis")]
use super::share_table::ShareTable;
use super::shared_limits::{GroupIndex, SharedLimits};
use super::slots::Slots;
use super::table::Table;
use super::tags::Tags;
use super::time::{LONG_AGO, NEVER};
use super::waiters::{ReplySender, WaitFor, WaiterId, Waiters};
use crate::error::Error;
use crate::pool::account::NamedAuthenticator;
use crate::pool::counters::PoolCounters;
use crate::pool::limit::Call;
use crate::pool::limits::{ALL, Limits, Pin, TagIndex};
use crate::pool::policy::PoolPolicy;
use crate::token::AccessToken;

/// What a lease is made of, outside of the lock.
pub(super) struct Granted {
    pub(super) handle: AccountHandle,
    pub(super) identity: Arc<dyn NamedAuthenticator>,
    pub(super) token: AccessToken,
    pub(super) pin: Option<Pin>,
    pub(super) lease: LeaseId,
    pub(super) call: Call,
    /// The tag that the caller asked for.
    pub(super) tag: TagIndex,
    /// The group that the call was charged to.
    pub(super) group: Option<GroupIndex>,
}

/// How many steps a change of the state takes at most for what is due, such as the end of a rest or
/// a reply to a waiter. A million of them may be due at once, after a pause; the scheduler takes
/// the rest in further changes, so that callers get leases in between.
const STEPS: u32 = 64;

/// How many accounts whose rate allows a call again are moved with each change. It is more than a
/// change makes wait, so they do not pile up.
const SORTED_AT_ONCE: usize = 16;

/// What is to be done after the lock is released.
#[derive(Default)]
pub(super) struct Aftermath {
    /// Replies to waiters.
    pub(super) replies: Vec<(ReplySender, Result<Granted, Error>)>,
    /// Errors to be dropped.
    errors: Vec<Error>,
}

pub(super) struct PoolState {
    table: Table,
    tags: Tags,
    /// The limits of the account that was added last, to be shared if the next has the same.
    last_limits: Option<Arc<Limits>>,
    keys: ApiKeys,
    ready_queue: ReadyQueue,
    key_rings: KeyRings,
    metered: MeteredQueue,
    shared_limits: SharedLimits,
    quarantined: QuarantineList,
    lease_timeouts: LeaseTimeouts,
    waiters: Waiters,
    /// The alarm of each account.
    timers: Heap,
    /// The revocations for removed accounts that were not begun yet.
    pending_revocations: VecDeque<Job>,
    slots: Slots,
    endpoints: Endpoints,
    /// The number of the last lease. It wraps around.
    last_lease: u32,
    /// The generation of the access token that was issued last.
    last_generation: u64,
    /// What has changed so that callers who wait for it are to wait for something else.
    redirects: VecDeque<WaitFor>,
    /// Tags of which fewer accounts are open, while callers may wait for a call that costs more
    /// than the others allow.
    newly_limited: VecDeque<TagIndex>,
    /// Accounts and groups that may serve callers after a change.
    later: VecDeque<Due>,
    /// Callers for which no account saves up any more.
    unsaved: VecDeque<WaiterId>,
    /// How far the wall clock is ahead of the clock since boot.
    wall_offset: i64,
    /// The longest time for which a server is believed that nothing remains.
    patience: Duration,
    /// The longest rest that callers wait out in line.
    max_inline_wait: Duration,
    /// How many more steps this change may take for what is due.
    steps: u32,
    aftermath: Aftermath,
    /// When the scheduler will wake next, in nanoseconds since boot.
    pub(super) planned_wake: i64,
    pub(super) counters: PoolCounters,
    pub(super) events: EventQueue,
    /// Counts the changes that somebody may wait for: of accounts that serve, of leases that a
    /// drained account holds, of jobs under way.
    pub(super) milestones: u64,
    lifecycle: Lifecycle,
    #[cfg(feature = "redis")]
    shares: ShareTable,
    /// The accounts that have changed, if somebody watches.
    #[cfg(feature = "redis")]
    changes: Option<ChangedAccounts>,
}

impl PoolState {
    pub(super) fn new(policy: &PoolPolicy, now: i64) -> Self {
        let slots = Slots::new(policy.exchanges);
        Self {
            table: Table::default(),
            tags: Tags::new(),
            last_limits: None,
            keys: ApiKeys::default(),
            ready_queue: ReadyQueue::new(policy.selection),
            key_rings: KeyRings::default(),
            metered: MeteredQueue::default(),
            shared_limits: SharedLimits::default(),
            quarantined: QuarantineList::default(),
            lease_timeouts: LeaseTimeouts::new(policy.lease_timeout),
            waiters: Waiters::default(),
            timers: Heap::default(),
            pending_revocations: VecDeque::new(),
            endpoints: Endpoints::new((slots.most(), slots.most() - slots.kept())),
            slots,
            last_lease: 0,
            last_generation: 0,
            redirects: VecDeque::new(),
            newly_limited: VecDeque::new(),
            later: VecDeque::new(),
            unsaved: VecDeque::new(),
            wall_offset: 0,
            patience: policy.tokens.asked_pause(Some(Duration::MAX)),
            max_inline_wait: policy.max_inline_wait,
            steps: STEPS,
            aftermath: Aftermath::default(),
            planned_wake: NEVER,
            counters: PoolCounters::new(now),
            events: EventQueue::default(),
            milestones: 0,
            lifecycle: Lifecycle::Open,
            #[cfg(feature = "redis")]
            shares: ShareTable::default(),
            #[cfg(feature = "redis")]
            changes: None,
        }
    }

    /// Does what is due by the passing of time: callers get leases of accounts whose limits allow
    /// it by now, and accounts return whose rest is over.
    pub(super) fn process_due(&mut self, now: i64) {
        self.steps = STEPS;
        #[cfg(feature = "redis")]
        self.follow_share_end(now);
        self.handle_alarms(now);
        self.end_rests(ALL, now);
        self.end_timed_out(now);
        self.serve_waiters(now);
        self.process_metered(now);
        self.recheck_metered(now);
        self.sort_ready(now);
        self.steps = STEPS;
    }

    /// Moves accounts to where they belong whose rate allows a call by now. They serve without
    /// that, but the next one is found faster among few of them.
    fn sort_ready(&mut self, now: i64) {
        for _ in 0..SORTED_AT_ONCE {
            let Some(slot) = self.ready_queue.due(now) else { return };
            self.place(slot, now);
        }
    }

    /// Takes one of the steps that a change may take for what is due. Returns whether there was one
    /// left.
    fn take_step(&mut self) -> bool {
        let is_left = self.steps > 0;
        self.steps = self.steps.saturating_sub(1);
        is_left
    }

    /// Returns when something is due next, in nanoseconds since boot.
    pub(super) fn wake_at(&self) -> i64 {
        #[cfg(feature = "redis")]
        if self.has_to_refuse() {
            return LONG_AGO;
        }
        if self.is_unfinished() || self.may_begin() || self.endpoints.has_to_tell() {
            return LONG_AGO;
        }
        let metered = self.metered.next_due().filter(|_| !self.waiters.is_empty());
        let may_serve = !self.have_shares_ended();
        let (metered, waiters) = (metered.filter(|_| may_serve), self.waiters.next_wake().filter(|_| may_serve));
        let [alarm, rest] = [self.timers.next_due(), self.endpoints.next_end_of_rest()];
        let [returning, lease] = [self.quarantined.next_due(), self.lease_timeouts.next_due()];
        let due = [alarm, rest, returning, lease, waiters, metered];
        let due = due.into_iter().flatten().min().unwrap_or(NEVER);
        #[cfg(feature = "redis")]
        let due = due.min(self.shares.next_refusal().unwrap_or(NEVER));
        due
    }

    /// Returns whether the shares of accounts have ended, so that none serves.
    #[cfg_attr(not(feature = "redis"), expect(clippy::unused_self, reason = "only fleets have such"))]
    fn have_shares_ended(&self) -> bool {
        #[cfg(feature = "redis")]
        return self.shares.have_ended;
        #[cfg(not(feature = "redis"))]
        false
    }

    /// Returns whether a change has left something for the next.
    fn is_unfinished(&self) -> bool {
        !self.redirects.is_empty()
            || !self.newly_limited.is_empty()
            || !self.later.is_empty()
            || !self.unsaved.is_empty()
            || self.metered.has_to_recheck()
            || self.key_rings.is_to_complete()
    }

    /// Ends a change of the state: callers for whom it changed what they wait for are redirected,
    /// and those that it has something for are served. Returns what is to be done after the lock is
    /// released.
    pub(super) fn finish_change(&mut self, now: i64) -> Aftermath {
        #[cfg(feature = "redis")]
        self.refuse_disconnected(now);
        loop {
            self.recheck_metered(now);
            self.redirect_waiters(now);
            if (self.later.is_empty() && self.unsaved.is_empty()) || !self.take_step() {
                break;
            }
            if let Some(due) = self.later.pop_front() {
                self.serve_due(due, now);
            } else if let Some(id) = self.unsaved.pop_front() {
                self.find_saver(id, now);
            }
        }
        std::mem::take(&mut self.aftermath)
    }

    /// Returns the identities of the accounts in these slots, or `None` if there are no such slots.
    pub(super) fn identities(&self, slots: Range<usize>) -> Option<impl Iterator<Item = &Arc<dyn NamedAuthenticator>>> {
        let slots = (slots.start < self.table.slots()).then_some(slots)?;
        let slots = slots.filter_map(|slot| Slot::try_from(slot).ok());
        Some(slots.filter_map(|slot| self.table.get(slot)).map(|entry| &entry.identity))
    }

    /// Returns how many accounts cannot renew their tokens at present.
    pub(super) fn failing(&self) -> usize {
        self.endpoints.without_renewal
    }

    /// Returns how many accounts the pool has.
    pub(super) fn size(&self) -> usize {
        self.tags.size()
    }
}
