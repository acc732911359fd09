//! The accounts in quarantine, as a status lists them.

use std::sync::Arc;
use std::time::Duration;

use super::PoolState;
use crate::error::Error;
use crate::pool::account::NamedAuthenticator;
use crate::pool::limits::ALL;
use crate::pool::local::entry::AccountEntry;
use crate::pool::local::rank::Slot;
use crate::pool::local::time::until;
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::status::QuarantinedAccount;

/// An account in quarantine, as it is copied under the lock. Its name is copied afterwards.
pub(in crate::pool::local) struct ListedAccount {
    identity: Arc<dyn NamedAuthenticator>,
    cause: QuarantineCause,
    returns_in: Option<Duration>,
    error: Option<Error>,
}

impl ListedAccount {
    pub(in crate::pool::local) fn named(self) -> QuarantinedAccount {
        let Self { identity, cause, returns_in, error } = self;
        QuarantinedAccount { account: identity.name().to_owned(), cause, returns_in, error }
    }
}

impl PoolState {
    pub(in crate::pool::local) fn listed(
        &self,
        entry: &AccountEntry,
        quarantine: &Quarantine,
        now: i64,
    ) -> ListedAccount {
        let returns_in = self.return_time(entry, quarantine).map(|time| until(now, time));
        let error = quarantine.error.clone();
        ListedAccount { identity: Arc::clone(&entry.identity), cause: quarantine.cause, returns_in, error }
    }

    /// Returns at most `most` accounts in quarantine: first those whose return has a time, in the
    /// order of their returns.
    pub(in crate::pool::local) fn first_quarantined(&self, most: usize) -> Vec<(&AccountEntry, &Quarantine)> {
        let account = |slot| {
            let entry = self.table.get(slot)?;
            Some((entry, entry.quarantine()?))
        };
        let returning = self.quarantined.first_to_return(ALL, most);
        let mut first: Vec<_> = returning.into_iter().filter_map(|(_, slot)| account(slot)).collect();
        if first.len() < most {
            // Those that have a time are all listed by now, so few of the others are passed over.
            let others = self.quarantined.accounts_from(0).filter_map(account);
            let others = others.filter(|(_, quarantine)| quarantine.until.is_none());
            first.extend(others.take(most - first.len()));
        }
        first
    }

    /// Returns the accounts in quarantine from this slot on.
    pub(in crate::pool::local) fn quarantined_from(
        &self,
        slot: Slot,
    ) -> impl Iterator<Item = (Slot, &AccountEntry, &Quarantine)> {
        self.quarantined.accounts_from(slot).filter_map(|slot| {
            let entry = self.table.get(slot)?;
            Some((slot, entry, entry.quarantine()?))
        })
    }
}
