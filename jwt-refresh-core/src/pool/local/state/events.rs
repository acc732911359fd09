//! What happens in a pool, as it is told to a program that listens.

use super::PoolState;
use crate::error::Error;
use crate::pool::event::PoolEvent;
use crate::pool::limits::EndpointIndex;
use crate::pool::local::entry::AccountEntry;
use crate::pool::local::rank::Slot;
use crate::pool::local::time::until;
use crate::pool::quarantine::{Quarantine, QuarantineCause};

impl PoolState {
    fn tell(&mut self, event: impl FnOnce() -> PoolEvent) {
        if self.events.has_listener() {
            self.events.push(event());
        }
    }

    fn tell_of(&mut self, slot: Slot, event: impl FnOnce(String) -> PoolEvent) {
        if let Some(entry) = self.table.get(slot).filter(|_| self.events.has_listener()) {
            self.events.push(event(entry.identity.name().to_owned()));
        }
    }

    /// Tells that an account went out of service, or serves again. `before` is its quarantine until
    /// now.
    pub(super) fn tell_quarantine(&mut self, slot: Slot, before: Option<QuarantineCause>) {
        let Some(entry) = self.table.get_mut(slot) else { return };
        let told = entry.rare.get().told;
        match entry.quarantine().cloned() {
            None => {
                entry.rare.change(|rare| rare.told = None);
                if before == Some(QuarantineCause::Joining) {
                    self.tell_of(slot, |account| PoolEvent::Joined { account });
                } else if told.is_some() {
                    self.tell_of(slot, |account| PoolEvent::Returned { account });
                }
            }
            // It is in service again, in whichever process has it.
            Some(Quarantine { cause: QuarantineCause::Elsewhere, .. }) => {
                entry.rare.change(|rare| rare.told = None);
                if told.is_some() {
                    self.tell_of(slot, |account| PoolEvent::Returned { account });
                }
            }
            Some(Quarantine { cause, until: Some(_), error }) if told != Some(cause) => {
                entry.rare.change(|rare| rare.told = Some(cause));
                self.tell_of(slot, |account| PoolEvent::Quarantined { account, cause, error });
                self.tell_drained(slot);
            }
            Some(_) => {}
        }
    }

    /// Tells that a drained account holds no lease any more.
    pub(super) fn tell_drained(&mut self, slot: Slot) {
        let is_drained =
            |entry: &AccountEntry| entry.held == 0 && entry.rare.get().cause() == Some(QuarantineCause::Drained);
        if self.table.get(slot).is_some_and(is_drained) {
            self.milestones += 1;
            self.tell_of(slot, |account| PoolEvent::Drained { account });
        }
    }

    /// Tells that the server refused to log an account in.
    pub(super) fn tell_denied(&mut self, slot: Slot, error: &Error) {
        self.tell_of(slot, |account| PoolEvent::LoginDenied { account, error: error.clone() });
    }

    /// Tells that an endpoint is left alone, or answers again, if that was different `before`.
    pub(super) fn tell_endpoint(&mut self, index: EndpointIndex, before: bool, now: i64) {
        let Some(endpoint) = self.endpoints.name(index).map(str::to_owned) else { return };
        let left_alone = self.endpoints.left_alone(index).map(|(time, error)| (until(now, time), error.clone()));
        match left_alone {
            Some((pause, error)) if !before => {
                self.tell(|| PoolEvent::EndpointLeftAlone { endpoint, pause, error });
            }
            None if before => self.tell(|| PoolEvent::EndpointReturned { endpoint }),
            _ => {}
        }
    }

    pub(super) fn tell_closed(&mut self) {
        self.tell(|| PoolEvent::Closed);
    }
}
