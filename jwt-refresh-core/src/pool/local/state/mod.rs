//! The pool as a state machine, without any waiting or talking in it. All of it runs under one short lock.
//!
//! `membership` has the accounts come and go, `leasing` gives them to callers, `feedback` hears what those say, `confinement` takes
//! accounts out and back in, `exchanges` keeps them logged in.

mod exchanges;
mod feedback;
mod leasing;
mod membership;
mod quarantine;

use std::collections::VecDeque;
use std::sync::Arc;

use super::entry::{AccountEntry, AccountHandle};
use super::heap::Heap;
use super::job::Job;
use super::quarantined::QuarantineList;
use super::ready_queue::ReadyQueue;
use super::table::Table;
use super::tags::Tags;
use super::time::NEVER;
use super::waiters::{Reply, WaitFor, Waiters};
use crate::error::Error;
use crate::pool::account::NamedAuthenticator;
use crate::pool::counters::PoolCounters;
use crate::pool::limits::{Limits, Pin};
use crate::pool::policy::{PoolPolicy, Selection};
use crate::pool::quarantine::Quarantine;
use crate::token::AccessToken;

/// A lease in the making.
pub(super) struct Granted {
    pub(super) handle: AccountHandle,
    pub(super) identity: Arc<dyn NamedAuthenticator>,
    pub(super) token: AccessToken,
    pub(super) pin: Option<Pin>,
}

pub(super) struct PoolState {
    selection: Selection,
    table: Table,
    tags: Tags,
    /// The limits of the account that was added last.
    limits: Option<Arc<Limits>>,
    ready_queue: ReadyQueue,
    quarantined: QuarantineList,
    waiters: Waiters,
    /// Whose tokens are to be exchanged when.
    timers: Heap,
    /// The revocations for accounts that were removed.
    pending_revocations: VecDeque<Job>,
    /// Jobs that are under way.
    exchanges: usize,
    turn: u32,
    issued: u64,
    /// The order of the last lease, by which weighted accounts that come back are fitted in.
    level: i64,
    /// Accounts and tags that callers may wait for no longer, although some do.
    closed: Vec<WaitFor>,
    /// What the callers are to be told, once the lock is given back.
    outbox: Vec<(Reply, Result<Granted, Error>)>,
    /// When the scheduler will look next.
    pub(super) armed: i64,
    pub(super) counters: PoolCounters,
}

impl PoolState {
    pub(super) fn new(selection: Selection, now: i64) -> Self {
        Self {
            selection,
            table: Table::default(),
            tags: Tags::new(),
            limits: None,
            ready_queue: ReadyQueue::new(),
            quarantined: QuarantineList::default(),
            waiters: Waiters::default(),
            timers: Heap::default(),
            pending_revocations: VecDeque::new(),
            exchanges: 0,
            turn: 0,
            issued: 0,
            level: 0,
            closed: Vec::new(),
            outbox: Vec::new(),
            armed: NEVER,
            counters: PoolCounters::new(now),
        }
    }

    /// Does what time alone brings about: rates that let accounts serve again, rests that end.
    pub(super) fn pass_time(&mut self, now: i64) {
        while let Some(slot) = self.ready_queue.due(now) {
            self.dispatch(slot, now);
        }
        self.end_rests(now);
    }

    /// When there is something to do next.
    pub(super) fn wake_at(&self, policy: &PoolPolicy) -> i64 {
        let exchange = self.next_exchange(policy);
        let rate = self.ready_queue.next().filter(|_| !self.waiters.is_empty());
        [exchange, self.quarantined.next(), rate].into_iter().flatten().min().unwrap_or(NEVER)
    }

    /// Ends a change: what it closed is cleared, and what callers are to be told is handed out.
    pub(super) fn conclude(&mut self, now: i64) -> Vec<(Reply, Result<Granted, Error>)> {
        if !self.closed.is_empty() {
            self.clear_closed(now);
        }
        std::mem::take(&mut self.outbox)
    }

    pub(super) fn quarantined(&self) -> impl Iterator<Item = (&AccountEntry, &Quarantine)> {
        let entries = self.quarantined.accounts().filter_map(|slot| self.table.at(slot));
        entries.filter_map(|entry| Some((entry, entry.quarantine.as_deref()?)))
    }

    pub(super) fn size(&self) -> usize {
        self.tags.size()
    }
}
