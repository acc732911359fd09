//! Which account a caller's key belongs to.

use super::PoolState;
use crate::pool::limits::TagIndex;
use crate::pool::local::key_ring::{hash, point};
use crate::pool::local::rank::Slot;
use crate::pool::local::waiters::WaitFor;
use crate::pool::quarantine::QuarantineCause;

impl PoolState {
    /// Returns the account that a key belongs to, or what to wait for until there is one.
    pub(super) fn account_for_key(&mut self, key: u64, tag: TagIndex) -> Result<Slot, WaitFor> {
        if !self.key_rings.are_complete(tag) {
            // The rings of a pool that is not large are complete after this.
            self.complete_key_rings();
            if !self.key_rings.are_complete(tag) {
                return Err(WaitFor::LiveAccount(tag));
            }
        }
        let name = |slot| self.table.get(slot).map(|entry| entry.identity.name());
        self.key_rings.account(tag, key, name).ok_or(WaitFor::LiveAccount(tag))
    }

    /// Looks at one portion of the accounts for rings that are to be completed.
    pub(in crate::pool::local) fn complete_key_rings(&mut self) {
        let Some((tag, portion)) = self.key_rings.next_portion() else { return };
        let ends = portion.end as usize >= self.table.slots();
        for slot in portion {
            let Some(entry) = self.table.get(slot).filter(|entry| entry.is_live && entry.is_in(tag)) else { continue };
            self.key_rings.insert(tag, entry.limits.tier, point(hash(entry.identity.name())), slot);
        }
        if ends {
            self.key_rings.complete(tag);
            self.redirects.push_back(WaitFor::LiveAccount(tag));
        }
    }

    /// Notes whether keys can belong to an account. If they cannot any more, its keys go to other
    /// accounts until they can again.
    pub(super) fn update_live(&mut self, slot: Slot) {
        let Some(entry) = self.table.get_mut(slot) else { return };
        let is_live = match entry.rare.get().cause() {
            None => entry.token.is_some(),
            // Another process has a live token of it.
            Some(cause) => cause == QuarantineCause::Elsewhere,
        };
        if is_live == entry.is_live {
            return;
        }
        entry.is_live = is_live;
        let identity = &entry.identity;
        self.key_rings.set_live(slot, &entry.limits, is_live, || point(hash(identity.name())));
        let waits = entry.tags().map(WaitFor::LiveAccount).filter(|_| is_live);
        let waits = waits.chain((!is_live).then_some(WaitFor::Account(slot)));
        self.redirects.extend(waits.filter(|&wait_for| self.waiters.is_awaited(wait_for)));
    }
}
