//! The accounts that come and go.

use std::sync::Arc;

use super::PoolState;
use crate::error::Error;
use crate::pool::account::Account;
use crate::pool::failure;
use crate::pool::limits::{Limits, TagIndex};
use crate::pool::local::entry::AccountEntry;
use crate::pool::local::ready_queue::Position;
use crate::pool::local::time::NEVER;
use crate::pool::quarantine::{Quarantine, QuarantineCause};

impl PoolState {
    /// Takes the account, unless it is refused: what its user gave it must not be dropped under the lock.
    pub(in crate::pool::local) fn add(&mut self, offered: &mut Option<Account>, now: i64) -> Result<(), Error> {
        let Some(account) = offered else { return Ok(()) };
        let name = account.identity.name();
        if self.table.find(name).is_some() {
            return Err(failure::duplicate(name));
        }
        // Before anything is changed: the limits may be refused.
        account.limits(Box::default())?;
        let mut tags: Vec<TagIndex> = account.tags.iter().map(|tag| self.tag_index(tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let limits = self.share(account.limits(tags.into())?);

        let Some(account) = offered.take() else { return Ok(()) };
        let entry = AccountEntry::new(account.identity, limits, self.level, now);
        self.tags.account_added(entry.tags());
        let slot = self.table.insert(entry);
        self.quarantined.insert(slot, None, None);
        self.counters.causes.change(None, Some(QuarantineCause::Joining));
        self.set_timer(slot, Some(now));
        Ok(())
    }

    /// What there was of that name, to be dropped when the lock is given back.
    pub(in crate::pool::local) fn remove(&mut self, name: &str) -> Option<AccountEntry> {
        let slot = self.table.find(name)?;
        self.set_position(slot, Position::Idle);
        self.set_timer(slot, None);
        // Nobody waits for it any more, as if it were in quarantine for ever.
        self.set_quarantine(slot, Some(Quarantine { cause: QuarantineCause::Denied, until: Some(NEVER), error: None }));
        self.quarantined.remove(slot, Some(NEVER));
        self.counters.causes.change(Some(QuarantineCause::Denied), None);
        let entry = self.table.remove(slot)?;
        self.tags.account_removed(entry.tags());
        if entry.token.is_some() {
            self.counters.token_gone(entry.edges.expires);
        }
        // What an exchange under way leaves it with is seen when that has completed.
        if !entry.in_exchange {
            self.revoke_later(&entry.identity, entry.credential());
        }
        Some(entry)
    }

    fn tag_index(&mut self, name: &str) -> TagIndex {
        if let Some(tag) = self.tags.index(name) {
            return tag;
        }
        let tag = self.ready_queue.add_tag();
        self.tags.add(tag, name);
        tag
    }

    fn share(&mut self, limits: Limits) -> Arc<Limits> {
        match &self.limits {
            Some(last) if **last == limits => Arc::clone(last),
            _ => Arc::clone(self.limits.insert(Arc::new(limits))),
        }
    }
}
