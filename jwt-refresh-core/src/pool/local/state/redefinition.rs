//! Changes of all that is said of an account whose tokens are supplied, while its leases are held.

use std::sync::Arc;

use super::PoolState;
use crate::error::Error;
use crate::pool::account::Account;
use crate::pool::limits::{Limits, TagIndex};
use crate::pool::local::rank::Slot;
use crate::pool::local::rare::RareState;
use crate::pool::local::time::NEVER;
use crate::pool::local::waiters::{WaitFor, Waiter};
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::share::KnownState;

impl PoolState {
    /// Gives the account of that name other limits, tags, and so on. What was spent of its limits
    /// counts, and so do its leases. It keeps what is pinned to it, and its share, which waits for
    /// a token. Returns whether there is such an account.
    pub(in crate::pool::local) fn redefine(&mut self, account: &Account, now: i64) -> Result<bool, Error> {
        let name = account.identity.name();
        let Some(slot) = self.supplied(name) else { return Ok(false) };
        let Some(old) = self.table.get(slot).map(|entry| Arc::clone(&entry.limits)) else { return Ok(false) };
        account.limits(Box::default(), None, old.endpoint)?;
        let mut tags: Vec<TagIndex> = account.tags.iter().map(|tag| self.tags.index_or_new(tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let limits = account.limits(tags.into(), None, old.endpoint)?;
        let limits = self.share_limits(Limits { pinned: old.pinned.clone(), ..limits });

        let keyed = self.take_out(slot, now);
        let share = self.shares.held.get(&slot).map(|held| held.share);
        let part = share.map_or_else(|| Arc::clone(&limits), |share| share.limits(&limits));
        self.change_rules(slot, part.rate, part.further.clone(), None, now);
        if let Some(held) = self.shares.held.get_mut(&slot) {
            // The tags are those by which the account is known here until they are replaced.
            let Limits { tags, weight, tier, .. } = &*held.whole;
            held.whole =
                Arc::new(Limits { tags: tags.clone(), weight: *weight, tier: *tier, ..Limits::clone(&limits) });
        }
        let states = self.table.get(slot).and_then(|entry| entry.rare.get().limits.clone());
        let state = self.release_share(name, 0, now);
        self.replace_limits(slot, limits);
        if let Some((share, state)) = share.zip(state) {
            self.grant_share(name, share, &KnownState::Exactly(state), 0, now);
            if let Some((entry, states)) = self.table.get_mut(slot).zip(states) {
                // As they were, for they went to no other process.
                let reserved = |rare: &mut RareState| states.with_reserve_of(rare.limits.as_deref());
                entry.rare.change(|rare| rare.limits = Some(Box::new(reserved(rare))));
            }
        }
        // Their keys may belong to other accounts now.
        for (id, waiter) in keyed {
            let wait_for = WaitFor::LiveAccount(waiter.selector.tag);
            self.join(Some(id), Waiter { wait_for, ..waiter });
            self.redirects.push_back(wait_for);
        }
        Ok(true)
    }

    /// Replaces the limits of an account that this process has no share of, with its tags.
    fn replace_limits(&mut self, slot: Slot, limits: Arc<Limits>) {
        let Some(entry) = self.table.get_mut(slot) else { return };
        let (quarantine, told) = (entry.quarantine().cloned(), entry.rare.get().told);
        // As if it were removed and added: no caller waits for it, and no key belongs to it.
        let removed = Quarantine { cause: QuarantineCause::Denied, until: Some(NEVER), error: None };
        entry.rare.change(|rare| rare.told = Some(removed.cause));
        self.set_quarantine(slot, Some(removed));
        let Some(entry) = self.table.get(slot) else { return };
        let old = Arc::clone(&entry.limits);
        self.quarantined.remove(slot, &old, Some(NEVER));
        self.ready_queue.forget(slot, &old);
        self.metered.remove(slot, &old);
        self.tags.account_removed(entry.tags(), self.most(entry));

        let Some(entry) = self.table.get_mut(slot) else { return };
        entry.rare.change(|rare| rare.told = told);
        entry.limits = limits;
        let Some(entry) = self.table.get(slot) else { return };
        let most = self.most(entry);
        self.tags.account_added(entry.tags(), most);
        self.tags.account_closed(entry.tags(), most);
        self.quarantined.insert(slot, &entry.limits, None, Some(NEVER));
        self.set_quarantine(slot, quarantine);
    }
}
