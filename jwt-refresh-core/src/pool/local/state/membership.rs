//! Adding and removing accounts.

use std::sync::Arc;

use super::PoolState;
use crate::error::Error;
use crate::pool::account::Account;
use crate::pool::failure;
use crate::pool::limits::{Limits, TagIndex};
use crate::pool::local::endpoints::UNKNOWN;
use crate::pool::local::entry::{AccountEntry, ExchangeState};
use crate::pool::local::limit_states::LimitStates;
use crate::pool::local::time::NEVER;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::start::FirstToken;

impl PoolState {
    /// Adds an account. An account that is refused stays in `offered`: it contains values of the
    /// user's, whose drop must not run under the lock.
    ///
    /// `first` is the token that it has without a login, and `endpoint` the name of its endpoint.
    pub(in crate::pool::local) fn add(
        &mut self,
        offered: &mut Option<Account>,
        first: Option<FirstToken>,
        endpoint: Option<&str>,
        now: i64,
    ) -> Result<(), Error> {
        self.expect_open()?;
        let Some(account) = offered else { return Ok(()) };
        let name = account.identity.name();
        if self.table.find(name).is_some() {
            return Err(failure::duplicate(name));
        }
        if let Some(FirstToken::Key(key)) = &first {
            self.expect_new_key(name, key)?;
        }
        // The limits may be refused, so they are checked before anything is changed.
        account.limits(Box::default(), None, UNKNOWN)?;
        self.shared_limits.check(account.shared_limits())?;
        let mut tags: Vec<TagIndex> = account.tags.iter().map(|tag| self.tags.index_or_new(tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let at = self.at(now);
        let group = self.shared_limits.join(account.shared_limits(), at);
        let endpoint = self.endpoints.add_account(endpoint, now);
        let limits = self.share_limits(account.limits(tags.into(), group, endpoint)?);

        let Some(account) = offered.take() else { return Ok(()) };
        let mut entry = AccountEntry::new(account.identity, Arc::clone(&limits), now);
        if !entry.limits.further.is_empty() {
            let states = LimitStates::new(&entry.limits.further, 0, at);
            entry.rare.change(|rare| rare.limits = Some(Box::new(states)));
        }
        self.tags.account_added(entry.tags(), self.most(&entry));
        let slot = self.table.insert(entry);
        if let Some(group) = group {
            self.group_changed(group, now);
        }
        self.quarantined.insert(slot, &limits, None, None);
        self.counters.quarantined.change(None, Some(QuarantineCause::Joining));
        match first {
            None => self.exchange_due(slot, now),
            Some(FirstToken::Issued(issued)) => self.captured(slot, *issued, now),
            Some(FirstToken::Key(key)) => self.key_given(slot, key, now),
            #[cfg(feature = "redis")]
            Some(FirstToken::Supplied) => self.added_elsewhere(slot),
        }
        #[cfg(feature = "redis")]
        self.note_change(slot);
        Ok(())
    }

    /// Removes the account of that name, and returns it, to be dropped after the lock is released.
    pub(in crate::pool::local) fn remove(&mut self, name: &str, now: i64) -> Option<AccountEntry> {
        let slot = self.table.find(name)?;
        let saved_for = self.end_saving(slot, now);
        self.unsaved.extend(saved_for);
        self.plan_exchange(slot, None, now);
        self.timers.set(slot, None);
        // As if the account were in quarantine for ever, so that no caller waits for it any more,
        // and as if that had been told, so that there is no event of it.
        self.table.get_mut(slot)?.rare.change(|rare| rare.told = Some(QuarantineCause::Denied));
        self.set_quarantine(slot, Some(Quarantine { cause: QuarantineCause::Denied, until: Some(NEVER), error: None }));
        self.counters.quarantined.change(Some(QuarantineCause::Denied), None);
        #[cfg(feature = "redis")]
        self.note_removal(slot);
        let entry = self.table.remove(slot)?;
        self.milestones += 1;
        self.quarantined.remove(slot, &entry.limits, Some(NEVER));
        self.ready_queue.forget(slot, &entry.limits);
        self.metered.remove(slot, &entry.limits);
        self.tags.account_removed(entry.tags(), self.most(&entry));
        if let Some(group) = entry.limits.group {
            self.shared_limits.leave(group);
        }
        self.keys.remove(entry.token.as_ref());
        if entry.has_joined {
            self.slots.account_removed();
        }
        if entry.failures > 0 {
            self.endpoints.fails_no_more(entry.limits.endpoint, now);
        }
        self.endpoints.remove_account(entry.limits.endpoint, now);
        if entry.token.is_some() {
            self.counters.token_removed(entry.times.expires);
        }
        // If an exchange is under way, `complete` revokes what it leaves the account with. The
        // token that it sends must not be revoked meanwhile.
        if entry.exchange != ExchangeState::Running || entry.identity.stored().is_some() {
            self.revoke_later(&entry.identity, entry.limits.endpoint, entry.credential());
        }
        Some(entry)
    }

    /// Returns the limits of the account that was added last if they are equal, else `limits`.
    pub(super) fn share_limits(&mut self, limits: Limits) -> Arc<Limits> {
        match &self.last_limits {
            Some(last) if **last == limits => Arc::clone(last),
            _ => Arc::clone(self.last_limits.insert(Arc::new(limits))),
        }
    }
}
