//! The state machine of a pool. It does not wait, and sends nothing; all of it runs under one short
//! lock.
//!
//! `membership` adds and removes accounts, `first_tokens` has those that need no login, `leasing`
//! gives them to callers, `feedback` takes the reports on leases, `quarantine` takes accounts out
//! of service and back, `exchanges` keeps them logged in, and `alarms` does what is due by the
//! passing of time. `metered` does what is different for accounts with more limits than a
//! rate, and `limit_changes` gives an account others. `operating` is what a user does by hand, and
//! `events` tells what happens. `walk` checks what limits promise, in random walks.

mod alarms;
mod events;
mod exchanges;
mod feedback;
mod first_tokens;
mod leasing;
mod limit_changes;
mod membership;
mod metered;
mod operating;
mod quarantine;
#[cfg(test)]
mod walk;

pub(super) use operating::DrainProgress;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::api_keys::ApiKeys;
use super::endpoints::Endpoints;
use super::entry::{AccountEntry, AccountHandle};
use super::event_queue::EventQueue;
use super::heap::Heap;
use super::job::Job;
use super::lifecycle::Lifecycle;
use super::metered_queue::{Due, MeteredQueue};
use super::quarantined::QuarantineList;
use super::ready_queue::ReadyQueue;
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
use crate::pool::limits::{Limits, Pin, TagIndex};
use crate::pool::policy::{PoolPolicy, Selection};
use crate::pool::quarantine::Quarantine;
use crate::token::AccessToken;

/// What a lease is made of, outside of the lock.
pub(super) struct Granted {
    pub(super) handle: AccountHandle,
    pub(super) identity: Arc<dyn NamedAuthenticator>,
    pub(super) token: AccessToken,
    pub(super) pin: Option<Pin>,
    pub(super) call: Call,
    /// The group that the call was charged to.
    pub(super) group: Option<GroupIndex>,
}

pub(super) struct PoolState {
    selection: Selection,
    table: Table,
    tags: Tags,
    /// The limits of the account that was added last, to be shared if the next has the same.
    last_limits: Option<Arc<Limits>>,
    keys: ApiKeys,
    ready_queue: ReadyQueue,
    metered: MeteredQueue,
    shared_limits: SharedLimits,
    quarantined: QuarantineList,
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
    /// The virtual time of the account that was leased last. Weighted accounts that were idle go on
    /// from here, so that they do not catch up on the leases that they missed.
    virtual_time: i64,
    /// Tags and accounts that are not open any more, while callers may still wait for them.
    newly_closed: Vec<WaitFor>,
    /// Tags of which fewer accounts are open, while callers may wait for a call that costs more
    /// than the others allow.
    newly_limited: Vec<TagIndex>,
    /// Accounts and groups that may serve callers after a change.
    later: Vec<Due>,
    /// Callers for which no account saves up any more.
    unsaved: Vec<WaiterId>,
    /// How far the wall clock is ahead of the clock since boot.
    wall_offset: i64,
    /// The longest time for which a server is believed that nothing remains.
    patience: Duration,
    /// The longest rest that callers wait out in line.
    max_inline_wait: Duration,
    /// Replies to waiters, to be sent after the lock is released.
    replies: Vec<(ReplySender, Result<Granted, Error>)>,
    /// When the scheduler will wake next, in nanoseconds since boot.
    pub(super) planned_wake: i64,
    pub(super) counters: PoolCounters,
    pub(super) events: EventQueue,
    /// Counts the changes that somebody may wait for: of accounts that serve, of leases that a
    /// drained account holds, of jobs under way.
    pub(super) milestones: u64,
    lifecycle: Lifecycle,
}

impl PoolState {
    pub(super) fn new(policy: &PoolPolicy, now: i64) -> Self {
        let slots = Slots::new(policy.exchanges);
        Self {
            selection: policy.selection,
            table: Table::default(),
            tags: Tags::new(),
            last_limits: None,
            keys: ApiKeys::default(),
            ready_queue: ReadyQueue::new(),
            metered: MeteredQueue::default(),
            shared_limits: SharedLimits::default(),
            quarantined: QuarantineList::default(),
            waiters: Waiters::default(),
            timers: Heap::default(),
            pending_revocations: VecDeque::new(),
            endpoints: Endpoints::new((slots.most(), slots.most() - slots.kept())),
            slots,
            last_lease: 0,
            last_generation: 0,
            virtual_time: 0,
            newly_closed: Vec::new(),
            newly_limited: Vec::new(),
            later: Vec::new(),
            unsaved: Vec::new(),
            wall_offset: 0,
            patience: policy.tokens.asked_pause(Some(Duration::MAX)),
            max_inline_wait: policy.max_inline_wait,
            replies: Vec::new(),
            planned_wake: NEVER,
            counters: PoolCounters::new(now),
            events: EventQueue::default(),
            milestones: 0,
            lifecycle: Lifecycle::Open,
        }
    }

    /// Does what is due by the passing of time: accounts serve again when their rate allows it, or
    /// when their rest is over.
    pub(super) fn process_due(&mut self, now: i64) {
        self.handle_alarms(now);
        while let Some(slot) = self.ready_queue.due(now) {
            self.dispatch(slot, now);
        }
        self.process_metered(now);
        self.end_rests(now);
    }

    /// Returns when something is due next, in nanoseconds since boot.
    pub(super) fn wake_at(&self) -> i64 {
        if self.may_begin() || self.endpoints.has_to_tell() {
            return LONG_AGO;
        }
        let rates = [self.ready_queue.next_due(), self.metered.next_due()];
        let rate = rates.into_iter().flatten().min().filter(|_| !self.waiters.is_empty());
        let [alarm, rest] = [self.timers.next_due(), self.endpoints.next_end_of_rest()];
        [alarm, rest, self.quarantined.next_due(), rate].into_iter().flatten().min().unwrap_or(NEVER)
    }

    /// Ends a change of the state: callers that wait for what it closed are redirected, and those
    /// that it has something for are served. Returns the replies to waiters.
    pub(super) fn finish_change(&mut self, now: i64) -> Vec<(ReplySender, Result<Granted, Error>)> {
        loop {
            if !self.newly_closed.is_empty() || !self.newly_limited.is_empty() {
                self.redirect_waiters(now);
            }
            if let Some(due) = self.later.pop() {
                self.serve_due(due, now);
            } else if let Some(id) = self.unsaved.pop() {
                self.find_saver(id, now);
            } else if self.newly_closed.is_empty() && self.newly_limited.is_empty() {
                break;
            }
        }
        std::mem::take(&mut self.replies)
    }

    /// Returns the accounts in quarantine.
    pub(super) fn quarantined(&self) -> impl Iterator<Item = (&AccountEntry, &Quarantine)> {
        let entries = self.quarantined.accounts().filter_map(|slot| self.table.get(slot));
        entries.filter_map(|entry| Some((entry, entry.quarantine()?)))
    }

    /// Returns the identities of all accounts.
    pub(super) fn identities(&self) -> impl Iterator<Item = &Arc<dyn NamedAuthenticator>> {
        self.table.ring_from(0).map(|(_, entry)| &entry.identity)
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
