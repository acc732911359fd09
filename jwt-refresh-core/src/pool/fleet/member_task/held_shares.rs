//! The shares that a process has, and the local pool.

use super::MemberTask;
use crate::pool::fleet::messages::{Release, ShareRow};
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::share::{AccountState, KnownState, Share};

impl MemberTask {
    /// Takes what the coordinator says of this process' share of an account.
    pub(super) fn take_share(&mut self, name: &str) {
        let row = self.shares.rows.get(name).cloned();
        let held = self.held.get(name).map(|held| held.grant);
        match row {
            None => {
                self.give_up(name);
                self.given_up.remove(name);
                self.taken.remove(name);
            }
            Some(row) if held == Some(row.grant) && row.units > 0 => {
                self.pool.change_share(name, share(&row));
                self.take_rest(name, &row);
                if row.leaving > 0 {
                    self.shrinking.insert(name.to_owned());
                }
                let was_divided = self.is_divided(name);
                self.held.insert(name.to_owned(), row);
                self.news.rests |= !was_divided && self.is_divided(name) && self.rests.contains_key(name);
            }
            Some(row) if held == Some(row.grant) => self.release(name, row.step),
            Some(row) if row.units > 0 => {
                self.give_up(name);
                self.take(name, row);
            }
            Some(row) => {
                self.give_up(name);
                // What was given back already is said again, since its state is not known any more.
                if let Some(told) = self.told.get_mut(name).filter(|told| told.grant == row.grant && told.units == 0) {
                    told.step = row.step;
                    self.releases.insert(name.to_owned());
                    return;
                }
                if self.taken.get(name).is_none_or(|taken| *taken < row.grant) {
                    let held = self.told.get(name).map_or(0, |told| told.held);
                    return self.released(name, &row, held, unused(&row));
                }
                let state = self.given_up.remove(name).and_then(|(grant, state)| state.filter(|_| grant == row.grant));
                let held = state.as_ref().map_or(0, |state| state.held);
                let state = state.filter(|state| state.units == row.of);
                self.released(name, &row, held, state);
            }
        }
    }

    /// Notes that an account rests. Those that have parts of it are to know it soon.
    pub(super) fn note_rest(&mut self, name: &str, quarantine: Option<&Quarantine>) {
        let rest = quarantine.filter(|quarantine| quarantine.cause.is_rest());
        let rest = rest.and_then(|rest| Some((rest.cause, rest.until?)));
        if self.rests.get(name) == rest.as_ref() {
            return;
        }
        self.news.rests |= rest.is_some() && self.is_divided(name);
        match rest {
            Some(rest) => drop(self.rests.insert(name.to_owned(), rest)),
            None => drop(self.rests.remove(name)),
        }
    }

    /// Whether others may have an account, or parts of it.
    pub(super) fn is_divided(&self, name: &str) -> bool {
        self.held.get(name).is_none_or(|row| row.units < row.of)
    }

    /// Lets an account rest for what another process was told that has a part of it.
    fn take_rest(&mut self, name: &str, row: &ShareRow) {
        let is_known = self.held.get(name).is_some_and(|held| held.rest == row.rest);
        if !is_known {
            self.rest(name, row);
        }
    }

    pub(super) fn rest(&self, name: &str, row: &ShareRow) {
        let (Some((cause, until)), Some(time)) = (&row.rest, self.time) else { return };
        if let Some(cause) = QuarantineCause::by_name(cause) {
            self.pool.rest_as_told_others(name, cause, time.boot_late(*until));
        }
    }

    /// Gives back units of accounts of which others stay, once no more leases are held than what
    /// stays allows.
    pub(super) fn release_units(&mut self) {
        for name in std::mem::take(&mut self.shrinking) {
            let Some(row) = self.held.get(&name).filter(|row| row.leaving > 0).cloned() else { continue };
            if self.leases_beyond(&name, &row) > 0 {
                self.shrinking.insert(name);
                continue;
            }
            self.released(&name, &row, 0, None);
        }
    }

    /// Returns how many leases are held beyond what the units of a share allow.
    pub(super) fn leases_beyond(&self, name: &str, row: &ShareRow) -> u32 {
        let allowed = self.definitions.get(name).map_or(0, |definition| definition.leases_of(row.units, row.of));
        let held = self.pool.state_of(name, 0).map_or(0, |state| state.held);
        if allowed > 0 { held.saturating_sub(allowed) } else { 0 }
    }

    /// Begins to use a share.
    fn take(&mut self, name: &str, row: ShareRow) {
        let (_, into) = self.offsets();
        let before = match self.given_up.remove(name).filter(|(grant, _)| *grant == row.grant) {
            Some((_, state)) => state.map_or(KnownState::AtLeast(None), KnownState::Exactly),
            None => row.known.clone(),
        };
        self.pool.grant_share(name, share(&row), &before, into);
        self.take_rest(name, &row);
        self.without_token.insert(name.to_owned());
        self.taken.insert(name.to_owned(), row.grant);
        self.reservations.short.insert(name.to_owned());
        self.held.insert(name.to_owned(), row);
    }

    /// Gives a share back, with what others must know of the account.
    pub(super) fn release(&mut self, name: &str, step: u32) {
        let Some(row) = self.held.remove(name) else { return };
        let row = ShareRow { step, ..row };
        let (out, _) = self.offsets();
        let state = self.pool.release_share(name, out);
        let held = state.as_ref().map_or(0, |state| state.held);
        let state = state.filter(|_| row.units == row.of);
        self.released(name, &ShareRow { units: 0, ..row }, held, state);
    }

    /// Plans to tell of a share of which `row.units` stay.
    fn released(&mut self, name: &str, row: &ShareRow, held: u32, state: Option<AccountState>) {
        let &ShareRow { grant, step, units, .. } = row;
        self.told.insert(name.to_owned(), Release { grant, step, units, held, until: None, state });
        self.releases.insert(name.to_owned());
    }

    /// Ends the use of a share that this process does not have any more, as far as it knows.
    pub(super) fn give_up(&mut self, name: &str) {
        if let Some(row) = self.held.remove(name) {
            let (out, _) = self.offsets();
            let state = self.pool.release_share(name, out);
            self.given_up.insert(name.to_owned(), (row.grant, state));
        }
    }
}

/// Returns the state of an account of which this process was given a share that it has heard of
/// only when it was to give it back: that of before, if there is one for the whole account.
fn unused(row: &ShareRow) -> Option<AccountState> {
    match &row.known {
        _ if row.leaving < row.of => None,
        KnownState::Unused => Some(AccountState::unspent(row.of)),
        KnownState::Exactly(state) => Some(state.clone()),
        KnownState::AtLeast(state) => state.clone().filter(|state| state.reserved.is_some()),
    }
}

pub(super) fn share(row: &ShareRow) -> Share {
    let &ShareRow { units, of, held_elsewhere, late_cost, .. } = row;
    Share { units, of, held_elsewhere, late_cost }
}
