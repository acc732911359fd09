//! The exchanges of a pool that are due, by the token endpoint that they go to, and which of them
//! begins next.
//!
//! Those of one endpoint are sorted by priority. An endpoint where none may begin is passed over,
//! so an outage of one holds up no account of another.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use super::endpoint::{TokenEndpoint, Verdict};
use super::pages::Pages;
use super::rank::Slot;
use super::slots::Priority;
use crate::error::Error;
use crate::pool::limits::EndpointIndex;
use crate::pool::policy::PoolPolicy;

/// Stands for accounts whose authenticator does not name its endpoint. They may have nothing in
/// common, so it is never left alone.
pub(super) const UNKNOWN: EndpointIndex = 0;

/// How many accounts without a known endpoint have to begin to fail, without an answer between
/// them, for all of them to count as failing.
const MANY: usize = 3;

/// An exchange that is due. What the number means depends on the priority; the lowest goes first.
pub(super) type DueExchange = (Priority, i64, Slot);

/// An endpoint, and the accounts that log in there.
#[derive(Debug)]
struct EndpointUse {
    endpoint: TokenEndpoint,
    name: Box<str>,
    due: BTreeSet<DueExchange>,
    accounts: usize,
    /// How many of them failed to renew their tokens, and have not succeeded since.
    failing: usize,
    /// How many have begun to fail since the last answer.
    failed_in_a_row: usize,
    /// The exchange that is due whose account was told last that the endpoint is left alone. `None`
    /// if there is none to tell.
    told: Option<DueExchange>,
    /// Its place in `ready` and in `left_alone`.
    listed: Listed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Listed {
    /// The first exchange that is due of each priority, if one may begin.
    ready: [Option<DueExchange>; 3],
    left_alone: Option<i64>,
    without_renewal: usize,
}

impl EndpointUse {
    fn new(name: Box<str>) -> Self {
        Self {
            endpoint: TokenEndpoint::new(),
            name,
            due: BTreeSet::new(),
            accounts: 0,
            failing: 0,
            failed_in_a_row: 0,
            told: None,
            listed: Listed::default(),
        }
    }

    fn first(&self, priority: Priority) -> Option<DueExchange> {
        self.due.range((priority, i64::MIN, Slot::MIN)..).next().filter(|due| due.0 == priority).copied()
    }

    fn to_list(&self, index: EndpointIndex, most: usize, now: i64) -> Listed {
        let may_begin = self.endpoint.may_begin(most, now);
        let ready = EXCHANGES.map(|priority| self.first(priority).filter(|_| may_begin));
        let left_alone = self.endpoint.left_alone().map(|(until, _)| until).filter(|until| *until > now);
        let is_out = self.endpoint.is_out_of_order() || (index == UNKNOWN && self.failed_in_a_row >= MANY);
        Listed { ready, left_alone, without_renewal: if is_out { self.accounts } else { self.failing } }
    }

    fn is_unused(&self) -> bool {
        self.accounts == 0 && self.endpoint.is_idle()
    }
}

/// The priorities that exchanges have.
const EXCHANGES: [Priority; 3] = [Priority::Serving, Priority::Joining, Priority::Failing];

#[derive(Debug)]
pub(super) struct Endpoints {
    /// How many exchanges may run at once, and how many of them at one of several endpoints.
    most: (usize, usize),
    indices: BTreeMap<Box<str>, EndpointIndex>,
    uses: Pages<EndpointUse>,
    /// Indices that no account uses any more.
    free: Vec<EndpointIndex>,
    /// Of each endpoint where an exchange may begin, the first one that is due of each priority.
    ready: BTreeSet<(DueExchange, EndpointIndex)>,
    /// When the endpoints that are left alone may be tried again.
    left_alone: BTreeSet<(i64, EndpointIndex)>,
    /// Endpoints whose accounts are to be told that they are left alone.
    to_tell: Vec<EndpointIndex>,
    /// How many accounts cannot renew their tokens at present.
    pub(super) without_renewal: usize,
}

impl Endpoints {
    /// Returns the endpoints of a pool without accounts. `most` is how many exchanges may run at
    /// once, and how many of them at one of several endpoints.
    pub(super) fn new(most: (usize, usize)) -> Self {
        let mut uses = Pages::default();
        uses.push(EndpointUse::new(Box::default()));
        Self {
            most,
            indices: BTreeMap::new(),
            uses,
            free: Vec::new(),
            ready: BTreeSet::new(),
            left_alone: BTreeSet::new(),
            to_tell: Vec::new(),
            without_renewal: 0,
        }
    }

    /// Adds an account of the endpoint called `name`. Returns the endpoint's index.
    pub(super) fn add_account(&mut self, name: Option<&str>, now: i64) -> EndpointIndex {
        let index = name.map_or(UNKNOWN, |name| self.index(name));
        self.change(index, now, |this| this.accounts += 1);
        index
    }

    fn index(&mut self, name: &str) -> EndpointIndex {
        if let Some(index) = self.indices.get(name) {
            return *index;
        }
        let new = EndpointUse::new(name.into());
        let index = self.free.pop().unwrap_or_else(|| EndpointIndex::try_from(self.uses.len()).unwrap_or(UNKNOWN));
        match self.uses.get_mut(index as usize) {
            Some(unused) => *unused = new,
            None => self.uses.push(new),
        }
        self.indices.insert(name.into(), index);
        index
    }

    /// Removes an account that is not failing, and that has no exchange that is due.
    pub(super) fn remove_account(&mut self, index: EndpointIndex, now: i64) {
        self.change(index, now, |this| this.accounts -= 1);
        self.forget_if_unused(index);
    }

    fn forget_if_unused(&mut self, index: EndpointIndex) {
        if let Some(unused) = self.uses.get(index as usize).filter(|this| index != UNKNOWN && this.is_unused()) {
            self.indices.remove(&unused.name);
            self.free.push(index);
        }
    }

    /// Notes that an account of the endpoint begins to fail.
    pub(super) fn begins_to_fail(&mut self, index: EndpointIndex, now: i64) {
        self.change(index, now, |this| {
            this.failing += 1;
            this.failed_in_a_row += 1;
        });
    }

    /// Notes that an account of the endpoint fails no more.
    pub(super) fn fails_no_more(&mut self, index: EndpointIndex, now: i64) {
        self.change(index, now, |this| this.failing -= 1);
    }

    /// Adds an exchange that is due.
    pub(super) fn push(&mut self, index: EndpointIndex, due: DueExchange, now: i64) {
        self.change(index, now, |this| {
            this.due.insert(due);
        });
    }

    /// Removes an exchange that is due no more.
    pub(super) fn remove(&mut self, index: EndpointIndex, due: DueExchange, now: i64) {
        self.change(index, now, |this| {
            this.due.remove(&due);
        });
    }

    /// Returns the exchange that begins next, if one of its priority may begin.
    pub(super) fn first(&self, may_begin: impl Fn(Priority) -> bool) -> Option<(DueExchange, EndpointIndex)> {
        let first = |priority| {
            let first = self.ready.range(((priority, i64::MIN, Slot::MIN), UNKNOWN)..).next()?;
            Some(*first).filter(|((found, ..), _)| *found == priority)
        };
        EXCHANGES.into_iter().filter(|priority| may_begin(*priority)).find_map(first)
    }

    /// Notes that the exchange `due` begins.
    pub(super) fn begin(&mut self, index: EndpointIndex, due: DueExchange, now: i64) {
        self.change(index, now, |this| {
            this.due.remove(&due);
            this.endpoint.begin(now);
        });
    }

    /// Notes what an exchange of the account `slot` showed that began at the time `sent`.
    pub(super) fn end(
        &mut self,
        index: EndpointIndex,
        (slot, sent): (Slot, i64),
        verdict: Verdict<'_>,
        policy: &PoolPolicy,
        now: i64,
    ) {
        let most = self.most_at_one();
        let is_failure = verdict.is_failure();
        let mut is_left_alone = false;
        self.change(index, now, |this| {
            if matches!(verdict, Verdict::Answers) {
                this.failed_in_a_row = 0;
            }
            let verdict = if index == UNKNOWN { Verdict::Nothing } else { verdict };
            this.endpoint.end((slot, sent), verdict, most, policy, now);
            is_left_alone = is_failure && this.endpoint.left_alone().is_some();
            this.told = is_left_alone.then_some((Priority::Serving, i64::MIN, Slot::MIN));
        });
        if is_left_alone {
            self.to_tell.push(index);
        }
        self.forget_if_unused(index);
    }

    /// Returns the name of an endpoint that is known.
    pub(super) fn name(&self, index: EndpointIndex) -> Option<&str> {
        self.uses.get(index as usize).filter(|_| index != UNKNOWN).map(|this| &*this.name)
    }

    /// Returns until when the endpoint is left alone, and for which failure.
    pub(super) fn left_alone(&self, index: EndpointIndex) -> Option<(i64, &Error)> {
        self.uses.get(index as usize)?.endpoint.left_alone()
    }

    /// Returns an account whose exchange is due and that was not told yet that its endpoint is left
    /// alone.
    pub(super) fn next_to_tell(&mut self) -> Option<Slot> {
        while let Some(index) = self.to_tell.last() {
            let this = self.uses.get_mut(*index as usize)?;
            let next = this.told.and_then(|told| this.due.range((Excluded(told), Unbounded)).next());
            if let Some(&due) = next {
                this.told = Some(due);
                return Some(due.2);
            }
            this.told = None;
            self.to_tell.pop();
        }
        None
    }

    pub(super) fn has_to_tell(&self) -> bool {
        !self.to_tell.is_empty()
    }

    /// Lets the endpoints be tried again whose rest is over.
    pub(super) fn end_rests(&mut self, now: i64) {
        while let Some(&(_, index)) = self.left_alone.first().filter(|(until, _)| *until <= now) {
            self.change(index, now, |_| {});
        }
    }

    /// Returns when the next endpoint may be tried again.
    pub(super) fn next_end_of_rest(&self) -> Option<i64> {
        self.left_alone.first().map(|&(until, _)| until)
    }

    /// Returns how many exchanges may run at once at one endpoint.
    fn most_at_one(&self) -> usize {
        let (most, of_several) = self.most;
        let is_unknown_used = self.uses.get(UNKNOWN as usize).is_some_and(|unknown| unknown.accounts > 0);
        if self.indices.len() + usize::from(is_unknown_used) > 1 { of_several } else { most }
    }

    /// Changes an endpoint, and lists it anew.
    fn change(&mut self, index: EndpointIndex, now: i64, change: impl FnOnce(&mut EndpointUse)) {
        let Some(this) = self.uses.get_mut(index as usize) else { return };
        change(this);
        let most = self.most_at_one();
        let Some(this) = self.uses.get_mut(index as usize) else { return };
        let new = this.to_list(index, most, now);
        let old = std::mem::replace(&mut this.listed, new);
        for (old, new) in old.ready.into_iter().zip(new.ready).filter(|(old, new)| old != new) {
            old.map(|due| self.ready.remove(&(due, index)));
            self.ready.extend(new.map(|due| (due, index)));
        }
        if old.left_alone != new.left_alone {
            old.left_alone.map(|until| self.left_alone.remove(&(until, index)));
            self.left_alone.extend(new.left_alone.map(|until| (until, index)));
        }
        self.without_renewal = self.without_renewal + new.without_renewal - old.without_renewal;
    }
}
