//! The shares that a process has, and the local pool.

use super::{MemberTask, UsedShare};
use crate::pool::fleet::messages::{Release, ShareRow};
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::share::{AccountState, KnownState, Share};

impl MemberTask {
    /// Takes what the coordinator says of this process' share of an account.
    pub(super) fn take_share(&mut self, name: &str) {
        let row = self.shares.rows.get(name).cloned();
        let held = self.held.get(name).map(|held| held.grant);
        let is_held = row.as_ref().is_some_and(|row| held == Some(row.grant));
        if !is_held {
            self.give_up(name);
        }
        match row {
            None => self.forget(name, held),
            // It is taken once the account is here.
            Some(row) if row.units > 0 && !self.definitions.contains_key(name) => {}
            Some(row) if row.units > 0 && is_held => self.change(name, row),
            Some(row) if row.units > 0 => self.take(name, row),
            Some(row) if is_held => self.release(name, &row),
            Some(row) => self.release_unheld(name, &row),
        }
    }

    /// Forgets a share that Redis has no row of. If it was `held` until now, the coordinator does
    /// not believe that it was this process', and counts no leases of it.
    fn forget(&mut self, name: &str, held: Option<u64>) {
        let used = self.used.remove(name);
        let leases = used.and_then(|used| used.given_up).map_or(0, |state| state.held);
        if let Some(grant) = held.filter(|_| leases > 0) {
            self.releases.tell(name, Release { grant, step: 0, units: 0, held: leases, until: None, state: None });
        }
    }

    /// Goes on with a share that has changed.
    fn change(&mut self, name: &str, row: ShareRow) {
        self.pool.change_share(name, share(&row));
        if self.held.get(name).is_some_and(|held| held.rest != row.rest) {
            self.rest(name, &row);
        }
        let was_divided = self.is_divided(name);
        self.hold(name, row);
        self.news.rests |= !was_divided && self.is_divided(name) && self.rests.contains_key(name);
    }

    /// Notes that an account rests. Those that have parts of it are to know it soon.
    pub(super) fn note_rest(&mut self, name: &str, quarantine: Option<&Quarantine>) {
        let rest = quarantine.filter(|quarantine| quarantine.cause.is_rest());
        let rest = rest.and_then(|rest| Some((rest.cause, rest.until?)));
        if self.rests.get(name) != rest.as_ref() {
            self.news.rests |= rest.is_some() && self.is_divided(name);
            self.rests.remove(name);
            self.rests.extend(rest.map(|rest| (name.to_owned(), rest)));
        }
    }

    /// Whether others may have an account, or parts of it.
    pub(super) fn is_divided(&self, name: &str) -> bool {
        self.held.get(name).is_none_or(|row| row.units < row.of)
    }

    /// Lets an account rest for what another process was told that has a part of it.
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
            let Some(row) = self.held.get(&name).filter(|row| row.leaving > 0) else { continue };
            if self.leases_beyond(&name, row) > 0 {
                self.shrinking.insert(name);
            } else {
                self.releases.tell(&name, Release::of(row));
            }
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
        let used = self.used.insert(name.to_owned(), UsedShare { grant: row.grant, given_up: None });
        let known = match used.filter(|used| used.grant == row.grant) {
            Some(used) => used.given_up.map_or(KnownState::AtLeast(None), KnownState::Exactly),
            None => row.known.clone(),
        };
        self.pool.grant_share(name, share(&row), &known, into);
        self.rest(name, &row);
        self.without_token.insert(name.to_owned());
        self.reservations.short.insert(name.to_owned());
        self.hold(name, row);
    }

    /// Notes that a share is used as its row says. It may have shrunk before this process has heard
    /// of it.
    fn hold(&mut self, name: &str, row: ShareRow) {
        if row.leaving > 0 {
            self.shrinking.insert(name.to_owned());
        }
        self.held.insert(name.to_owned(), row);
    }

    /// Ends the use of a share. Returns what others must know of the account.
    fn end(&mut self, name: &str) -> Option<AccountState> {
        self.held.remove(name);
        let (out, _) = self.offsets();
        self.pool.release_share(name, out)
    }

    /// Gives a share back.
    pub(super) fn release(&mut self, name: &str, row: &ShareRow) {
        let state = self.end(name);
        self.released(name, row, state);
    }

    /// Gives a share back that this process does not use, or not any more.
    fn release_unheld(&mut self, name: &str, row: &ShareRow) {
        let told = self.releases.told.get(name);
        let held = told.map_or(0, |told| told.held);
        // What was given back already is said again, since its state is not known any more.
        if let Some(told) = told.filter(|told| told.grant == row.grant && told.units == 0).cloned() {
            return self.releases.tell(name, Release { step: row.step, ..told });
        }
        match self.used.get_mut(name).filter(|used| used.grant >= row.grant) {
            Some(used) => {
                let state = used.given_up.take().filter(|_| used.grant == row.grant);
                self.released(name, row, state);
            }
            None => self.releases.tell(name, Release { held, state: unused(row), ..Release::of(row) }),
        }
    }

    /// Plans to tell that a share was given back in this state. Of a part of an account, that says
    /// nothing of the whole.
    fn released(&mut self, name: &str, row: &ShareRow, state: Option<AccountState>) {
        let held = state.as_ref().map_or(0, |state| state.held);
        let state = state.filter(|state| state.units == row.of);
        self.releases.tell(name, Release { units: 0, held, state, ..Release::of(row) });
    }

    /// Ends the use of a share that this process does not have any more, as far as it knows.
    pub(super) fn give_up(&mut self, name: &str) {
        if let Some(grant) = self.held.get(name).map(|row| row.grant) {
            let given_up = self.end(name);
            self.used.insert(name.to_owned(), UsedShare { grant, given_up });
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
