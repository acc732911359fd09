//! Accounts whose tokens are supplied: they do not log in here, and wait for the token that another
//! process gets for them.

use super::PoolState;
use crate::pool::local::entry::{AccountEntry, TokenTimes};
use crate::pool::local::rank::Slot;
use crate::pool::local::share_table::Served;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::share::SuppliedToken;

impl PoolState {
    /// Gives an account a token, if this process has a share of it, and if it is newer than the one
    /// that the account has, or may not use any more.
    pub(in crate::pool::local) fn supply(&mut self, name: &str, supplied: SuppliedToken, now: i64) {
        let Some(slot) = self.supplied(name) else { return };
        let SuppliedToken { token, sequence, expires } = supplied;
        let Some(entry) = self.table.get_mut(slot) else { return };
        let Some(held) = self.shares.held.get_mut(&slot) else { return };
        let is_old = held.spent.is_some_and(|(spent, _)| sequence <= spent)
            || entry.token.as_ref().is_some_and(|token| sequence <= token.generation());
        let expires_at = expires.boot.as_nanos();
        if is_old || expires_at <= now {
            return;
        }
        let old = entry.token.replace(token.issued(expires.wall, sequence));
        let old_expires = old.map(|_| entry.times.expires);
        // It serves until it expires: nobody here could renew it earlier.
        entry.times = TokenTimes { due: expires_at, expires: expires_at };
        entry.used = match std::mem::replace(&mut held.served, Served::Nothing) {
            Served::Token(served, leases) if served == sequence => leases,
            // All leases that the cap allows.
            Served::Unknown => entry.limits.usage_cap,
            Served::Token(..) | Served::Nothing => 0,
        };
        let is_used_up = entry.used >= entry.limits.usage_cap;
        let rests = entry.quarantine().filter(|quarantine| quarantine.cause.is_rest());
        let is_unavailable = held.is_unavailable && rests.is_some();
        let own_rest = rests.filter(|_| !held.is_covered()).cloned();
        held.is_unavailable = is_unavailable;
        if let Some(expires) = old_expires {
            self.counters.token_removed(expires);
        }
        self.counters.token_issued(expires_at);
        self.note_change(slot);
        if is_used_up {
            self.note_spent(slot, QuarantineCause::UsageCap);
        }
        if !is_unavailable {
            self.end_unavailable(slot, own_rest, now);
        }
        self.set_alarm(slot);
        self.dispatch(slot, now);
    }

    /// Returns why an account does not serve here, apart from rests and from what others say.
    pub(super) fn own_quarantine(&self, slot: Slot, now: i64) -> Option<Quarantine> {
        let elsewhere = Quarantine { cause: QuarantineCause::Elsewhere, until: None, error: None };
        let (Some(entry), Some(held)) = (self.table.get(slot), self.shares.held.get(&slot)) else {
            return Some(elsewhere);
        };
        let is_spent = |sequence| held.spent.is_some_and(|(spent, _)| sequence <= spent);
        if entry.has_usable_token(now) && entry.token.as_ref().is_some_and(|token| !is_spent(token.generation())) {
            return None;
        }
        let waits = held.spent.map(|(_, cause)| Quarantine { cause, until: None, error: None });
        Some(waits.unwrap_or(elsewhere))
    }

    /// Puts an account where it belongs that the auth workers have nothing to say of any more: it
    /// rests as others were told, goes on with a rest of its own, waits for a token, serves, or is
    /// elsewhere.
    fn end_unavailable(&mut self, slot: Slot, own_rest: Option<Quarantine>, now: i64) {
        let lasts = |rest: &Quarantine| rest.until.is_none_or(|until| until > now);
        let held = self.shares.held.get_mut(&slot);
        let to_go_on = held.and_then(|held| {
            held.told_others = held.told_others.take().filter(lasts);
            let own_rest = held.rest.take().or(own_rest);
            if held.told_others.is_some() {
                held.rest = own_rest;
                return held.told_others.clone();
            }
            own_rest.filter(lasts)
        });
        let quarantine = to_go_on.or_else(|| self.own_quarantine(slot, now));
        self.set_quarantine(slot, quarantine);
    }

    /// Lets an account of which others have parts rest for what one of them was told. It is not
    /// told of again from here.
    pub(in crate::pool::local) fn rest_as_told_others(&mut self, name: &str, rest: Quarantine, now: i64) {
        let Some(slot) = self.supplied(name) else { return };
        let own = self.table.get(slot).and_then(|entry| entry.quarantine()).cloned();
        let Some(held) = self.shares.held.get_mut(&slot) else { return };
        let own_rest = own.filter(|own| own.cause.is_rest() && !held.is_covered());
        held.told_others = Some(rest);
        if held.is_unavailable {
            return;
        }
        self.end_unavailable(slot, own_rest, now);
        self.dispatch(slot, now);
    }

    /// Ends the rest of an account that is over.
    pub(super) fn supplied_rest_over(&mut self, slot: Slot, now: i64) {
        if let Some(held) = self.shares.held.get_mut(&slot) {
            held.is_unavailable = false;
        }
        self.end_unavailable(slot, None, now);
    }

    /// Notes that the token of an account may not be used any more.
    pub(super) fn note_spent(&mut self, slot: Slot, cause: QuarantineCause) {
        let Some(token) = self.table.get(slot).and_then(|entry| entry.token.as_ref()) else { return };
        let sequence = token.generation();
        if let Some(held) = self.shares.held.get_mut(&slot)
            && held.spent.is_none_or(|(spent, _)| spent < sequence)
        {
            held.spent = Some((sequence, cause));
            self.note_change(slot);
        }
    }

    /// Takes the token of an account away, if it is the one that was answered 401. The process that
    /// gets its tokens is told, and decides what follows: also of a token that is not here any
    /// more, since others may use it.
    pub(super) fn supplied_rejected(&mut self, slot: Slot, sequence: u64, now: i64) {
        let Some(entry) = self.table.get(slot) else { return };
        let cause = entry.rare.get().cause();
        if entry.token.is_none() {
            self.note_late_rejection(slot, sequence);
        } else if entry.holds(sequence) && cause.is_none_or(QuarantineCause::is_rest) {
            self.note_spent(slot, QuarantineCause::Rejected);
            self.take_token(slot, now);
        } else {
            return;
        }
        if cause.is_none_or(|cause| cause == QuarantineCause::Elsewhere) {
            let quarantine = self.own_quarantine(slot, now);
            self.set_quarantine(slot, quarantine);
        }
    }

    /// Notes that a token was rejected which the account does not have here.
    fn note_late_rejection(&mut self, slot: Slot, sequence: u64) {
        let spent = match self.shares.held.get_mut(&slot) {
            Some(held) => &mut held.spent,
            None => &mut self.shares.late.entry(slot).or_default().spent,
        };
        if spent.is_none_or(|(known, _)| known < sequence) {
            *spent = Some((sequence, QuarantineCause::Rejected));
            self.note_change(slot);
        }
    }

    /// Has a rest wait that would begin while the account is out of service for what others say.
    /// Returns whether that is so.
    pub(super) fn covers_rest(&mut self, slot: Slot, cause: QuarantineCause, until: i64) -> bool {
        let Some(held) = self.shares.held.get_mut(&slot).filter(|held| held.is_covered()) else { return false };
        if held.rest.as_ref().is_none_or(|rest| rest.until.is_some_and(|other| other < until)) {
            held.rest = Some(Quarantine { cause, until: Some(until), error: None });
        }
        true
    }

    /// Notes the rest of an account that others have by now, who are to be told of it. Returns
    /// whether that is so.
    pub(super) fn rests_elsewhere(&mut self, slot: Slot, cause: QuarantineCause, until: i64) -> bool {
        let is_supplied = self.table.get(slot).is_some_and(AccountEntry::is_supplied);
        if !is_supplied || self.shares.held.contains_key(&slot) {
            return false;
        }
        let rest = &mut self.shares.late.entry(slot).or_default().rest;
        if rest.as_ref().is_none_or(|rest| rest.until.is_some_and(|other| other < until)) {
            *rest = Some(Quarantine { cause, until: Some(until), error: None });
            self.note_change(slot);
        }
        true
    }

    /// Takes an account out of service for what another process says of it.
    pub(in crate::pool::local) fn set_unavailable(&mut self, name: &str, quarantine: Quarantine, now: i64) {
        let Some(slot) = self.supplied(name) else { return };
        let own = self.table.get(slot).and_then(|entry| entry.quarantine()).cloned();
        if let Some(held) = self.shares.held.get_mut(&slot) {
            if !held.is_covered() {
                held.rest = own.filter(|own| own.cause.is_rest());
            }
            held.is_unavailable = true;
        }
        self.set_quarantine(slot, Some(quarantine));
        self.dispatch(slot, now);
    }

    /// Ends that.
    pub(in crate::pool::local) fn set_available(&mut self, name: &str, now: i64) {
        let Some(slot) = self.supplied(name) else { return };
        match self.shares.held.get_mut(&slot) {
            None => self.set_quarantine(slot, self.own_quarantine(slot, now)),
            Some(held) if held.is_unavailable => {
                held.is_unavailable = false;
                self.end_unavailable(slot, None, now);
            }
            Some(_) => {}
        }
        self.dispatch(slot, now);
    }
}
