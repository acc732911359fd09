//! The pool as a state machine, without any waiting or talking in it. All of it runs under one short lock.
//!
//! `membership` has the accounts come and go, `leasing` gives them to callers, `feedback` hears what those say, `confinement` takes
//! accounts out and back in, `exchanges` keeps them logged in.

mod confinement;
mod exchanges;
mod feedback;
mod leasing;
mod membership;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::account::Pin;
use super::heap::Heap;
use super::identity::Identity;
use super::lines::Lines;
use super::member::{Id, Member};
use super::policy::{PoolPolicy, Selection};
use super::quarantine::Quarantine;
use super::queue::{Desk, Queue, Reply};
use super::schedule::Schedule;
use super::status::Tally;
use super::table::Table;
use super::terms::Terms;
use super::ward::Ward;
use crate::clock::Timestamp;
use crate::{AccessToken, Error, ErrorKind};

pub(super) use exchanges::{Errand, Job};

const NEVER: i64 = Timestamp::NEVER.as_nanos();
const LONG_AGO: i64 = Timestamp::LONG_AGO.as_nanos();
/// What a weight of 1 adds to an account's order with each lease.
const STRIDE: i64 = 1 << 32;

/// A lease in the making.
pub(super) struct Granted {
    pub(super) id: Id,
    pub(super) identity: Arc<dyn Identity>,
    pub(super) token: AccessToken,
    pub(super) pin: Option<Pin>,
}

pub(super) struct State {
    selection: Selection,
    table: Table,
    lines: Lines,
    /// The terms of the account that was added last.
    terms: Option<Arc<Terms>>,
    schedule: Schedule,
    ward: Ward,
    queue: Queue,
    /// Whose tokens are to be exchanged when.
    timers: Heap,
    /// What is to be said for accounts that were removed.
    partings: VecDeque<Job>,
    /// Jobs that are under way.
    exchanges: usize,
    turn: u32,
    issued: u64,
    /// The order of the last lease, by which weighted accounts that come back are fitted in.
    level: i64,
    /// Accounts and lines that callers may wait for no longer, although some do.
    closed: Vec<Desk>,
    /// What the callers are to be told, once the lock is given back.
    outbox: Vec<(Reply, Result<Granted, Error>)>,
    /// When the keeper will look next.
    pub(super) armed: i64,
    pub(super) tally: Tally,
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

fn after(now: i64, duration: Duration) -> i64 {
    now.saturating_add(nanos(duration))
}

fn configuration(what: String) -> Error {
    Error::new(ErrorKind::Configuration, what)
}

impl State {
    pub(super) fn new(selection: Selection, now: i64) -> Self {
        Self {
            selection,
            table: Table::default(),
            lines: Lines::new(),
            terms: None,
            schedule: Schedule::new(),
            ward: Ward::default(),
            queue: Queue::default(),
            timers: Heap::default(),
            partings: VecDeque::new(),
            exchanges: 0,
            turn: 0,
            issued: 0,
            level: 0,
            closed: Vec::new(),
            outbox: Vec::new(),
            armed: NEVER,
            tally: Tally::new(now),
        }
    }

    /// Does what time alone brings about: rates that let accounts serve again, rests that end.
    pub(super) fn pass_time(&mut self, now: i64) {
        while let Some(slot) = self.schedule.ripe(now) {
            self.seat(slot, now);
        }
        self.end_rests(now);
    }

    /// When there is something to do next.
    pub(super) fn wake_at(&self, policy: &PoolPolicy) -> i64 {
        let exchange = self.next_exchange(policy);
        let rate = self.schedule.next().filter(|_| !self.queue.is_empty());
        [exchange, self.ward.next(), rate].into_iter().flatten().min().unwrap_or(NEVER)
    }

    /// Ends a change: what it closed is cleared, and what callers are to be told is handed out.
    pub(super) fn conclude(&mut self, now: i64) -> Vec<(Reply, Result<Granted, Error>)> {
        if !self.closed.is_empty() {
            self.clear_closed(now);
        }
        std::mem::take(&mut self.outbox)
    }

    pub(super) fn confined(&self) -> impl Iterator<Item = (&Member, &Quarantine)> {
        let members = self.ward.confined().filter_map(|slot| self.table.at(slot));
        members.filter_map(|member| Some((member, member.quarantine.as_deref()?)))
    }

    pub(super) fn size(&self) -> usize {
        self.lines.size()
    }
}
