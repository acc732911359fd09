//! The pool as a state machine, without any waiting or talking in it: the accounts, who waits for which, and what is to be done
//! when. All of it runs under one short lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::account::{Account, Edges, Id, Member, Pin, Terms};
use super::lease::Lease;
use super::policy::{PoolPolicy, Selection};
use super::quarantine::{Cause, Quarantine};
use super::schedule::{ALL, Line, Place, Rank, Schedule, Slot};
use super::status::Tally;
use crate::authenticator::AnyAuthenticator;
use crate::clock::Timestamp;
use crate::session::{Grant, Holding, Landing};
use crate::{AccessToken, Error, ErrorKind};

const NEVER: i64 = Timestamp::NEVER.as_nanos();
/// What a weight of 1 adds to an account's order with each lease.
const STRIDE: i64 = 1 << 32;

/// What a caller wants a lease of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) line: Line,
    /// The account that this hash belongs to, if it can serve.
    pub(super) key: Option<u64>,
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Desk {
    Line(Line),
    Account(Slot),
}

pub(super) type Reply = oneshot::Sender<Result<Lease, Error>>;

struct Waiter {
    want: Want,
    desk: Desk,
    reply: Reply,
}

/// A lease in the making.
pub(super) struct Granted {
    pub(super) id: Id,
    pub(super) name: Arc<str>,
    pub(super) token: AccessToken,
    pub(super) pin: Option<Pin>,
}

/// An exchange to be made.
pub(super) struct Job {
    pub(super) id: Id,
    pub(super) name: Arc<str>,
    pub(super) authenticator: Arc<dyn AnyAuthenticator>,
    pub(super) grant: Grant,
}

/// How many accounts there are with a tag, or in all.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    members: usize,
    /// Those that callers may wait for.
    open: usize,
}

pub(super) struct State {
    selection: Selection,
    slots: Vec<Option<Member>>,
    free: Vec<Slot>,
    serial: u32,
    /// Accounts by the hash of their name: to find them by it, and for keys, the next of which is theirs.
    ring: BTreeSet<(u64, Slot)>,
    tags: HashMap<Box<str>, Line>,
    counts: Vec<Count>,
    terms: Option<Arc<Terms>>,
    schedule: Schedule,
    /// Whose tokens are to be exchanged when.
    timers: BTreeSet<(i64, Slot)>,
    /// Who returns from a rest when, or is tried again.
    returning: BTreeSet<(i64, Slot)>,
    confined: BTreeSet<Slot>,
    exchanges: usize,
    waiters: BTreeMap<u64, Waiter>,
    queues: BTreeSet<(Desk, u64)>,
    ticket: u64,
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

/// A name's or a key's place on the ring.
pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
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
            slots: Vec::new(),
            free: Vec::new(),
            serial: 0,
            ring: BTreeSet::new(),
            tags: HashMap::new(),
            counts: vec![Count::default()],
            terms: None,
            schedule: Schedule::new(),
            timers: BTreeSet::new(),
            returning: BTreeSet::new(),
            confined: BTreeSet::new(),
            exchanges: 0,
            waiters: BTreeMap::new(),
            queues: BTreeSet::new(),
            ticket: 0,
            turn: 0,
            issued: 0,
            level: 0,
            closed: Vec::new(),
            outbox: Vec::new(),
            armed: NEVER,
            tally: Tally::new(now),
        }
    }

    // Accounts that come and go.

    /// Takes the account, unless it is refused: what its user gave it must not be dropped under the lock.
    pub(super) fn add(&mut self, offered: &mut Option<Account>, now: i64) -> Result<(), Error> {
        let Some(account) = offered else { return Ok(()) };
        if self.find(&account.name).is_some() {
            let what = format!("the pool has an account {:?} already (remove that first, or rename one)", account.name);
            return Err(configuration(what));
        }
        // Before anything is changed: the terms may be refused.
        account.terms(Box::default())?;
        let mut tags: Vec<Line> = account.tags.iter().map(|tag| self.line_of(tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let terms = self.shared(account.terms(tags.into())?);

        let Some(account) = offered.take() else { return Ok(()) };
        self.serial = self.serial.wrapping_add(1);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Slot::try_from(self.slots.len() - 1).unwrap_or(Slot::MAX)
        });
        self.ring.insert((hash(&account.name), slot));
        for line in std::iter::once(&ALL).chain(&terms.tags) {
            if let Some(count) = self.counts.get_mut(*line as usize) {
                count.members += 1;
                count.open += 1;
            }
        }
        let quarantine = Quarantine { cause: Cause::Joining, until: None, error: None };
        self.confined.insert(slot);
        let member = Member {
            name: account.name,
            authenticator: account.authenticator,
            pin: account.pin,
            terms,
            serial: self.serial,
            token: None,
            edges: Edges { due: NEVER, expires: NEVER },
            grant: Grant::None,
            timer: None,
            in_exchange: false,
            failures: 0,
            place: Place::Aside,
            arrival: now,
            order: self.level,
            turn: 0,
            held: 0,
            used: 0,
            strikes: 0,
            relapses: 0,
            renewed_after_rejection: None,
            quarantine: Some(Box::new(quarantine)),
        };
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(member);
        }
        self.set_timer(slot, Some(now));
        Ok(())
    }

    /// What there was of that name, to be dropped when the lock is given back.
    pub(super) fn remove(&mut self, name: &str) -> Option<Member> {
        let slot = self.find(name)?;
        self.place(slot, Place::Aside);
        self.set_timer(slot, None);
        // Nobody waits for it any more, as if it were in quarantine for ever.
        self.confine(slot, Some(Quarantine { cause: Cause::Denied, until: Some(NEVER), error: None }));
        self.returning.remove(&(NEVER, slot));
        self.confined.remove(&slot);
        self.ring.remove(&(hash(name), slot));
        let member = self.slots.get_mut(slot as usize).and_then(Option::take)?;
        for line in std::iter::once(&ALL).chain(&member.terms.tags) {
            if let Some(count) = self.counts.get_mut(*line as usize) {
                count.members -= 1;
            }
        }
        if member.token.is_some() {
            self.tally.token_gone(member.edges.expires);
        }
        self.free.push(slot);
        Some(member)
    }

    fn find(&self, name: &str) -> Option<Slot> {
        let hash = hash(name);
        let mut range = self.ring.range((hash, Slot::MIN)..=(hash, Slot::MAX)).map(|&(_, slot)| slot);
        range.find(|&slot| self.at(slot).is_some_and(|member| &*member.name == name))
    }

    fn line_of(&mut self, tag: &str) -> Line {
        if let Some(line) = self.tags.get(tag) {
            return *line;
        }
        let line = self.schedule.add_line();
        self.counts.push(Count::default());
        self.tags.insert(tag.into(), line);
        line
    }

    fn shared(&mut self, terms: Terms) -> Arc<Terms> {
        match &self.terms {
            Some(last) if **last == terms => Arc::clone(last),
            _ => Arc::clone(self.terms.insert(Arc::new(terms))),
        }
    }

    fn at(&self, slot: Slot) -> Option<&Member> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn at_mut(&mut self, slot: Slot) -> Option<&mut Member> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The account, unless it was removed.
    fn member(&mut self, id: Id) -> Option<&mut Member> {
        self.at_mut(id.slot).filter(|member| member.serial == id.serial)
    }

    fn count(&self, line: Line) -> Count {
        self.counts.get(line as usize).copied().unwrap_or_default()
    }

    // Leases.

    pub(super) fn want(&self, tag: Option<&str>, key: Option<&str>) -> Result<Want, Error> {
        let line = match tag {
            None => ALL,
            Some(tag) => *self.tags.get(tag).ok_or_else(|| {
                configuration(format!("no account of the pool was ever given the tag {tag:?} (see `Account::tag`)"))
            })?,
        };
        Ok(Want { line, key: key.map(hash) })
    }

    /// A lease at once, or where to wait for one.
    pub(super) fn take(&mut self, want: Want, now: i64) -> Result<Result<Granted, Desk>, Error> {
        loop {
            if self.count(want.line).open == 0 {
                return Err(self.none_open(want.line, now));
            }
            let slot = match want.key {
                None => match self.schedule.first(want.line) {
                    Some(slot) => slot,
                    None => return Ok(Err(Desk::Line(want.line))),
                },
                Some(key) => match self.of_key(key, want.line) {
                    Some(slot) => slot,
                    None => return Err(self.none_open(want.line, now)),
                },
            };
            if self.expire(slot, now) {
                continue;
            }
            return Ok(match self.at(slot) {
                Some(Member { place: Place::Ready(_), .. }) => self.grant(slot, now).ok_or(Desk::Account(slot)),
                _ => Err(Desk::Account(slot)),
            });
        }
    }

    /// The first account from the key's place on the ring on that callers may wait for.
    fn of_key(&self, key: u64, line: Line) -> Option<Slot> {
        let start = (key, Slot::MIN);
        let mut round = self.ring.range(start..).chain(self.ring.range(..start)).map(|&(_, slot)| slot);
        round.find(|&slot| self.at(slot).is_some_and(|member| member.is_open() && is_in(member, line)))
    }

    fn none_open(&self, line: Line, now: i64) -> Error {
        let tag = self.tags.iter().find(|(_, of_tag)| **of_tag == line);
        let with = tag.map(|(tag, _)| format!(" with the tag {tag:?}")).unwrap_or_default();
        if self.count(line).members == 0 {
            return Error::new(ErrorKind::NoAccount, format!("the pool has no account{with}"));
        }
        let mut returning = self.returning.iter().filter_map(|&(time, slot)| Some((time, self.at(slot)?)));
        let first = returning.find(|(_, member)| is_in(member, line));
        let what = format!("every account{with} is in quarantine");
        let Some((time, Member { name, quarantine: Some(quarantine), .. })) = first else {
            return Error::new(ErrorKind::NoAccount, what);
        };
        let wait = Duration::from_nanos(u64::try_from(time.saturating_sub(now)).unwrap_or(0));
        let what =
            format!("{what}: the first, {name:?}, returns in {:.1} s ({})", wait.as_secs_f64(), quarantine.cause);
        let error = Error::new(ErrorKind::NoAccount, what).retry_in(wait);
        match &quarantine.error {
            Some(cause) => error.caused_by(cause.clone()),
            None => error,
        }
    }

    /// Gives a lease of an account that is ready.
    fn grant(&mut self, slot: Slot, now: i64) -> Option<Granted> {
        self.turn = self.turn.wrapping_add(1);
        let (turn, level) = (self.turn, self.level);
        let member = self.at_mut(slot)?;
        let token = member.token.clone()?;
        let stride = STRIDE / i64::from(member.terms.weight).max(1);
        let order = member.order.max(level);
        member.order = order.saturating_add(stride.max(1));
        member.arrival = member.terms.limit.charge(member.arrival, now);
        member.turn = turn;
        member.held += 1;
        member.used += 1;
        let capped = member.used >= member.terms.usage_cap;
        let (id, name, pin) = (Id { slot, serial: member.serial }, Arc::clone(&member.name), member.pin.clone());
        self.level = order;
        self.tally.leased(now);
        if capped {
            self.renew_now(slot, Cause::UsageCap, now);
        } else {
            self.settle(slot, now);
        }
        Some(Granted { id, name, token, pin })
    }

    pub(super) fn enqueue(&mut self, want: Want, desk: Desk, reply: Reply) -> u64 {
        self.ticket += 1;
        self.waiters.insert(self.ticket, Waiter { want, desk, reply });
        self.queues.insert((desk, self.ticket));
        self.ticket
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// A caller waits no longer.
    pub(super) fn cancel(&mut self, ticket: u64) {
        self.call_up(ticket);
    }

    fn call_up(&mut self, ticket: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        self.queues.remove(&(waiter.desk, ticket));
        Some(waiter)
    }

    /// Who has waited for longest at a desk.
    fn head(&self, desk: Desk) -> Option<u64> {
        self.queues.range((desk, 0)..=(desk, u64::MAX)).next().map(|&(_, ticket)| ticket)
    }

    /// Puts an account where it belongs, and gives it to those who wait for it, the first first.
    fn seat(&mut self, slot: Slot, now: i64) {
        loop {
            self.settle(slot, now);
            let Some(member) = self.at(slot).filter(|member| matches!(member.place, Place::Ready(_))) else { return };
            let lines = std::iter::once(&ALL).chain(&member.terms.tags).map(|&line| Desk::Line(line));
            let desks = lines.chain([Desk::Account(slot)]);
            let Some(waiter) = desks.filter_map(|desk| self.head(desk)).min() else { return };
            let Some(waiter) = self.call_up(waiter) else { return };
            match self.grant(slot, now) {
                Some(granted) => self.outbox.push((waiter.reply, Ok(granted))),
                None => return,
            }
        }
    }

    /// Puts an account where it belongs: ready, waiting for its time, or neither.
    fn settle(&mut self, slot: Slot, now: i64) {
        self.expire(slot, now);
        let (selection, level) = (self.selection, self.level);
        let Some(member) = self.at(slot) else { return };
        let serves = member.quarantine.is_none() && member.token.is_some() && member.held < member.terms.concurrency;
        let opens = member.terms.limit.opens(member.arrival);
        let order = match selection {
            Selection::Soonest => opens,
            Selection::RoundRobin => 0,
            Selection::Weighted => member.order.max(level),
        };
        let place = match serves {
            false => Place::Aside,
            true if opens > now => Place::Waiting(opens),
            true => Place::Ready(Rank { order, turn: member.turn }),
        };
        self.place(slot, place);
    }

    fn place(&mut self, slot: Slot, to: Place) {
        let Some(member) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let from = std::mem::replace(&mut member.place, to);
        if from != to {
            self.schedule.place(slot, &member.terms.tags, from, to);
        }
    }

    // What the holders of leases say.

    pub(super) fn release(&mut self, id: Id, now: i64) {
        if let Some(member) = self.member(id) {
            member.held = member.held.saturating_sub(1);
            self.seat(id.slot, now);
        }
    }

    pub(super) fn fine(&mut self, id: Id, generation: u64) {
        if let Some(member) = self.member(id) {
            member.strikes = 0;
            if member.holds(generation) {
                member.relapses = 0;
                member.renewed_after_rejection = None;
            }
        }
    }

    pub(super) fn rejected(&mut self, id: Id, generation: u64, policy: &PoolPolicy, now: i64) {
        let Some(member) = self.member(id) else { return };
        let cause = member.quarantine.as_ref().map(|found| found.cause);
        // A newer token may have come since the call was sent, or be on its way.
        if !member.holds(generation) || cause.is_some_and(|cause| !cause.is_rest()) {
            return;
        }
        member.token = None;
        let (renewed, in_exchange, expires) =
            (member.renewed_after_rejection, member.in_exchange, member.edges.expires);
        self.tally.token_gone(expires);
        if cause.is_some() {
            // It rests anyway, and has a new token when it returns.
            return self.set_timer(id.slot, Some(now).filter(|_| !in_exchange));
        }
        if renewed.is_none_or(|renewed| after(renewed, policy.probation) <= now) {
            if let Some(member) = self.member(id) {
                member.relapses = 0;
            }
            return self.renew_now(id.slot, Cause::Rejected, now);
        }
        let Some(member) = self.member(id) else { return };
        // The renewal did not help. What it brought is not used again: a login starts afresh.
        member.relapses = member.relapses.saturating_add(1);
        member.grant = Grant::None;
        let until = after(now, policy.quarantine_pause(member.relapses));
        let error = Error::new(
            ErrorKind::RejectedAsIssued,
            "the access token was rejected with 401, renewed, and rejected again",
        );
        self.set_timer(id.slot, Some(until));
        self.confine(id.slot, Some(Quarantine { cause: Cause::Rejected, until: Some(until), error: Some(error) }));
    }

    pub(super) fn rate_limited(&mut self, id: Id, retry_after: Option<Duration>, policy: &PoolPolicy, now: i64) {
        let Some(member) = self.member(id) else { return };
        let rest = if let Some(asked) = retry_after {
            asked.min(policy.tokens.longest_retry_after)
        } else {
            member.strikes = member.strikes.saturating_add(1);
            policy.rest(member.strikes)
        };
        let until = after(now, rest);
        member.arrival = member.terms.limit.closed_until(member.arrival, until);
        if rest > policy.patience {
            self.rest(id.slot, Cause::RateLimited, until);
        }
        self.settle(id.slot, now);
    }

    pub(super) fn quota_used_up(&mut self, id: Id, until: i64) {
        if self.member(id).is_some() {
            self.rest(id.slot, Cause::QuotaUsedUp, until);
        }
    }

    /// Lets an account rest, unless it cannot serve anyway, or rests for longer.
    fn rest(&mut self, slot: Slot, cause: Cause, until: i64) {
        let Some(member) = self.at(slot) else { return };
        let may = member
            .quarantine
            .as_ref()
            .is_none_or(|found| found.cause.is_rest() && found.until.is_none_or(|other| other < until));
        if may {
            self.confine(slot, Some(Quarantine { cause, until: Some(until), error: None }));
        }
    }

    // Quarantine.

    /// Takes an account out whose token has expired. Whether it has.
    fn expire(&mut self, slot: Slot, now: i64) -> bool {
        let Some(member) = self.at(slot) else { return false };
        if member.token.is_none() || member.quarantine.is_some() || now < member.usable_until() {
            return false;
        }
        match member.timer {
            // A pause after a failure.
            Some(until) if !member.in_exchange && until > now && member.failures > 0 => {
                self.confine(slot, Some(Quarantine { cause: Cause::Expired, until: Some(until), error: None }));
            }
            _ => self.renew_now(slot, Cause::Expired, now),
        }
        true
    }

    /// Takes an account out until it has new tokens, which callers may wait for.
    fn renew_now(&mut self, slot: Slot, cause: Cause, now: i64) {
        if self.at(slot).is_some_and(|member| !member.in_exchange) {
            self.set_timer(slot, Some(now));
        }
        self.confine(slot, Some(Quarantine { cause, until: None, error: None }));
    }

    /// Puts an account into quarantine, or takes it out of it.
    fn confine(&mut self, slot: Slot, quarantine: Option<Quarantine>) {
        let Some(member) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let was_open = member.is_open();
        if let Some(until) = member.quarantine.as_ref().and_then(|found| found.until) {
            self.returning.remove(&(until, slot));
        }
        if let Some(until) = quarantine.as_ref().and_then(|found| found.until) {
            self.returning.insert((until, slot));
        }
        let serves = quarantine.is_none();
        member.quarantine = quarantine.map(Box::new);
        let is_open = member.is_open();
        if was_open != is_open {
            for line in std::iter::once(&ALL).chain(&member.terms.tags) {
                let Some(count) = self.counts.get_mut(*line as usize) else { continue };
                count.open = if is_open { count.open + 1 } else { count.open - 1 };
                if count.open == 0 {
                    self.closed.push(Desk::Line(*line));
                }
            }
            if !is_open {
                self.closed.push(Desk::Account(slot));
            }
        }
        if serves {
            self.confined.remove(&slot);
        } else {
            self.confined.insert(slot);
            self.place(slot, Place::Aside);
        }
    }

    /// Sends those who wait at a closed desk to another, or away.
    fn clear_closed(&mut self, now: i64) {
        while let Some(desk) = self.closed.pop() {
            let is_open = match desk {
                Desk::Line(line) => self.count(line).open > 0,
                Desk::Account(slot) => self.at(slot).is_some_and(Member::is_open),
            };
            while let Some(ticket) = self.head(desk).filter(|_| !is_open) {
                let Some(Waiter { want, reply, .. }) = self.call_up(ticket) else { break };
                match self.take(want, now) {
                    Ok(Ok(granted)) => self.outbox.push((reply, Ok(granted))),
                    Err(error) => self.outbox.push((reply, Err(error))),
                    Ok(Err(desk)) => {
                        self.waiters.insert(ticket, Waiter { want, desk, reply });
                        self.queues.insert((desk, ticket));
                    }
                }
            }
        }
    }

    // What the keeper does.

    fn set_timer(&mut self, slot: Slot, time: Option<i64>) {
        let Some(member) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        if let Some(old) = std::mem::replace(&mut member.timer, time) {
            self.timers.remove(&(old, slot));
        }
        if let Some(time) = time {
            self.timers.insert((time, slot));
        }
    }

    /// Does what time alone brings about: rates that let accounts serve again, rests that end.
    pub(super) fn pass_time(&mut self, now: i64) {
        while let Some(slot) = self.schedule.ripe(now) {
            self.seat(slot, now);
        }
        while let Some(&(until, slot)) = self.returning.first().filter(|(until, _)| *until <= now) {
            self.returning.remove(&(until, slot));
            let Some(member) = self.at(slot) else { continue };
            match member.quarantine.as_deref().filter(|found| !found.cause.is_rest()).cloned() {
                // It is tried again: new tokens may be on their way.
                Some(quarantine) => self.confine(slot, Some(Quarantine { until: None, ..quarantine })),
                None if member.token.is_none() => self.renew_now(slot, Cause::Expired, now),
                None => self.confine(slot, None),
            }
            self.seat(slot, now);
        }
    }

    /// The next exchange that is due, if there may be one more.
    pub(super) fn begin_exchange(&mut self, policy: &PoolPolicy, now: i64) -> Option<Job> {
        if self.exchanges >= policy.exchanges {
            return None;
        }
        let slot = self.timers.first().filter(|(time, _)| *time <= now).map(|&(_, slot)| slot)?;
        self.set_timer(slot, None);
        let member = self.at_mut(slot)?;
        member.in_exchange = true;
        let job = Job {
            id: Id { slot, serial: member.serial },
            name: Arc::clone(&member.name),
            authenticator: Arc::clone(&member.authenticator),
            grant: member.grant.clone(),
        };
        self.exchanges += 1;
        Some(job)
    }

    /// Ends an exchange.
    pub(super) fn land(&mut self, id: Id, landing: Landing, policy: &PoolPolicy, now: i64) {
        self.exchanges = self.exchanges.saturating_sub(1);
        if self.member(id).is_none() {
            return;
        }
        match landing {
            Landing::Renewed(holding) | Landing::Unsaved(holding) => self.renewed(id.slot, holding, now),
            Landing::Failed { error, grant, .. } => self.failed(id.slot, &error, grant, policy, now),
            // There is nobody else who could.
            Landing::LoggedOut => {
                let error = Error::new(ErrorKind::LoggedOut, "the account was logged out");
                self.failed(id.slot, &error, Grant::None, policy, now);
            }
        }
    }

    fn renewed(&mut self, slot: Slot, holding: Holding, now: i64) {
        self.issued += 1;
        let generation = self.issued;
        let Some(member) = self.at_mut(slot) else { return };
        let Holding { token, life, grant, .. } = holding;
        let expires = (life.expires.wall != Timestamp::NEVER).then_some(life.expires.wall);
        let old = member.token.replace(token.issued(expires, generation)).map(|_| member.edges.expires);
        let [ahead, due, expires] = [life.ahead, life.due, life.expires].map(|edge| edge.boot.as_nanos());
        member.edges = Edges { due, expires };
        member.grant = grant;
        member.in_exchange = false;
        (member.failures, member.used) = (0, 0);
        let cause = member.quarantine.as_ref().map(|found| found.cause);
        if cause == Some(Cause::Rejected) {
            member.renewed_after_rejection = Some(now);
        }
        if let Some(old) = old {
            self.tally.token_gone(old);
        }
        self.tally.token_come(expires);
        self.set_timer(slot, (ahead != NEVER).then_some(ahead));
        // New tokens bring back neither rate nor quota.
        if cause.is_some_and(|cause| !cause.is_rest()) {
            self.confine(slot, None);
        }
        self.seat(slot, now);
    }

    fn failed(&mut self, slot: Slot, error: &Error, grant: Grant, policy: &PoolPolicy, now: i64) {
        let Some(member) = self.at_mut(slot) else { return };
        member.grant = grant;
        member.in_exchange = false;
        member.failures = member.failures.saturating_add(1);
        let is_final = !error.is_transient();
        let pause = if is_final {
            policy.quarantine_pause(member.failures)
        } else {
            policy.tokens.pause(u32::from(member.failures), error.retry_after())
        };
        let until = after(now, pause);
        let confined = member.quarantine.as_ref().map(|found| found.cause).filter(|cause| !cause.is_rest());
        self.set_timer(slot, Some(until));
        if let Some(cause) = confined {
            let cause = if is_final { Cause::Denied } else { cause };
            self.confine(slot, Some(Quarantine { cause, until: Some(until), error: Some(error.clone()) }));
        }
        self.settle(slot, now);
    }

    /// When there is something to do next.
    pub(super) fn wake_at(&self, policy: &PoolPolicy) -> i64 {
        let first = |set: &BTreeSet<(i64, Slot)>| set.first().map(|&(time, _)| time);
        let exchange = first(&self.timers).filter(|_| self.exchanges < policy.exchanges);
        let rate = self.schedule.next().filter(|_| !self.waiters.is_empty());
        [exchange, first(&self.returning), rate].into_iter().flatten().min().unwrap_or(NEVER)
    }

    /// Ends a change: what it closed is cleared, and what callers are to be told is handed out.
    pub(super) fn conclude(&mut self, now: i64) -> Vec<(Reply, Result<Granted, Error>)> {
        if !self.closed.is_empty() {
            self.clear_closed(now);
        }
        std::mem::take(&mut self.outbox)
    }

    // What the status shows.

    pub(super) fn confined(&self) -> impl Iterator<Item = (&Member, &Quarantine)> {
        let members = self.confined.iter().filter_map(|&slot| self.at(slot));
        members.filter_map(|member| Some((member, member.quarantine.as_deref()?)))
    }

    pub(super) fn size(&self) -> usize {
        self.count(ALL).members
    }
}

fn is_in(member: &Member, line: Line) -> bool {
    line == ALL || member.terms.tags.contains(&line)
}
