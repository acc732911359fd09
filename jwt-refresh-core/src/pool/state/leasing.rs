//! The leases of a pool: which account serves a caller, at once or as soon as there is one.

use std::sync::Arc;
use std::time::Duration;

use super::{Granted, STRIDE, State, configuration};
use crate::pool::member::{Id, Member};
use crate::pool::policy::Selection;
use crate::pool::quarantine::Cause;
use crate::pool::queue::{Desk, Reply, Waiter, Want};
use crate::pool::schedule::{ALL, Line, Place, Rank, Slot};
use crate::pool::table::hash;
use crate::{Error, ErrorKind};

impl State {
    pub(in crate::pool) fn want(&self, tag: Option<&str>, key: Option<&str>) -> Result<Want, Error> {
        let line = match tag {
            None => ALL,
            Some(tag) => self.lines.of(tag).ok_or_else(|| {
                configuration(format!("no account of the pool was ever given the tag {tag:?} (see `Account::tag`)"))
            })?,
        };
        Ok(Want { line, key: key.map(hash) })
    }

    /// A lease at once, or where to wait for one.
    pub(in crate::pool) fn take(&mut self, want: Want, now: i64) -> Result<Result<Granted, Desk>, Error> {
        loop {
            if self.lines.count(want.line).open == 0 {
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
            let granted = if self.schedule.is_ready(slot) { self.grant(slot, now, now) } else { None };
            return Ok(granted.ok_or(Desk::Account(slot)));
        }
    }

    /// The first account from the key's place on the ring on that callers may wait for.
    fn of_key(&self, key: u32, line: Line) -> Option<Slot> {
        let first = self.table.round(key).find(|(_, member)| member.is_open() && member.is_in(line));
        first.map(|(slot, _)| slot)
    }

    fn none_open(&self, line: Line, now: i64) -> Error {
        let with = self.lines.tag(line).map(|tag| format!(" with the tag {tag:?}")).unwrap_or_default();
        if self.lines.count(line).members == 0 {
            return Error::new(ErrorKind::NoAccount, format!("the pool has no account{with}"));
        }
        let mut returning = self.ward.returning().filter_map(|(time, slot)| Some((time, self.table.at(slot)?)));
        let first = returning.find(|(_, member)| member.is_in(line));
        let what = format!("every account{with} is in quarantine");
        let Some((time, Member { identity, quarantine: Some(quarantine), .. })) = first else {
            return Error::new(ErrorKind::NoAccount, what);
        };
        let wait = Duration::from_nanos(u64::try_from(time.saturating_sub(now)).unwrap_or(0));
        let name = identity.name();
        let what =
            format!("{what}: the first, {name:?}, returns in {:.1} s ({})", wait.as_secs_f64(), quarantine.cause);
        let error = Error::new(ErrorKind::NoAccount, what).retry_in(wait);
        match &quarantine.error {
            Some(cause) => error.caused_by(cause.clone()),
            None => error,
        }
    }

    /// Gives a lease of an account that is ready, and charges its rate from `since` on.
    fn grant(&mut self, slot: Slot, since: i64, now: i64) -> Option<Granted> {
        self.turn = self.turn.wrapping_add(1);
        let (turn, level) = (self.turn, self.level);
        let member = self.table.at_mut(slot)?;
        let token = member.token.clone()?;
        let stride = STRIDE / i64::from(member.terms.weight).max(1);
        let order = member.order.max(level);
        member.order = order.saturating_add(stride.max(1));
        member.arrival = member.terms.limit.charge(member.arrival, since);
        member.turn = turn;
        member.held += 1;
        member.used += 1;
        let capped = member.used >= member.terms.usage_cap;
        let id = Id { slot, serial: member.serial };
        let (identity, pin) = (Arc::clone(&member.identity), member.terms.pinned.0.clone());
        self.level = order;
        self.tally.leased(now);
        if capped {
            self.renew_now(slot, Cause::UsageCap, now);
        } else {
            self.settle(slot, now);
        }
        Some(Granted { id, identity, token, pin })
    }

    pub(in crate::pool) fn enqueue(&mut self, want: Want, desk: Desk, reply: Reply) -> u64 {
        self.queue.join(Waiter { want, desk, reply })
    }

    pub(in crate::pool) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// A caller waits no longer.
    pub(in crate::pool) fn cancel(&mut self, ticket: u64) {
        self.queue.call_up(ticket);
    }

    /// Puts an account where it belongs, and gives it to those who wait for it, the first first.
    pub(super) fn seat(&mut self, slot: Slot, now: i64) {
        loop {
            self.settle(slot, now);
            let Some(member) = self.table.at(slot).filter(|_| self.schedule.is_ready(slot)) else { return };
            let desks = member.lines().map(Desk::Line).chain([Desk::Account(slot)]);
            let Some(first) = desks.filter_map(|desk| self.queue.head(desk)).min() else { return };
            let since = member.terms.limit.since(now);
            let Some(waiter) = self.queue.call_up(first) else { return };
            match self.grant(slot, since, now) {
                Some(granted) => self.outbox.push((waiter.reply, Ok(granted))),
                None => return,
            }
        }
    }

    /// Puts an account where it belongs: ready, waiting for its time, or neither.
    pub(super) fn settle(&mut self, slot: Slot, now: i64) {
        self.expire(slot, now);
        let (selection, level) = (self.selection, self.level);
        let Some(member) = self.table.at(slot) else { return };
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

    pub(super) fn place(&mut self, slot: Slot, to: Place) {
        if let Some(member) = self.table.at(slot) {
            self.schedule.place(slot, &member.terms.tags, to);
        }
    }
}
