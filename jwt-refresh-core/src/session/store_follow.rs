//! How a session takes over what other processes have written into the store.

use super::account_store::{AccountStore, FoundEntry};
use super::record::{Record, StoredToken};
use super::shared::SessionShared;
use super::state_cell::Followed;
use crate::renewal::IssuedTokens;
use crate::store::StoreError;

impl SessionShared {
    /// Reads the entry. If the store has lost what was written after it, the refresh token that is
    /// held is in doubt: another process may have spent it, and the trace of that is lost.
    pub(super) async fn load(&self, store: &AccountStore) -> Result<FoundEntry, StoreError> {
        let found = store.load(self.policy()).await?;
        if let Some(record) = &found.record {
            // The answer of an earlier save was lost.
            self.cell.lock().note_saved(|unsaved| record.shows_saved(unsaved));
        }
        if found.has_lost {
            let revision = found.revision;
            let account = store.account();
            tracing::warn!(target: "jwt_refresh", account, revision, "the store was emptied, went back to an earlier state, or has what cannot be opened");
            let doubted = self.cell.doubt(found.record.as_ref().map_or(0, |record| record.sequence));
            // The entry may be an earlier one of the same tokens, which does not say so.
            doubted.inspect(|token| store.note_doubt(token.clone()));
        }
        Ok(found)
    }

    /// Returns the tokens of a record, as this process sees them.
    pub(super) fn issued_tokens(&self, record: &Record) -> Option<IssuedTokens> {
        let now = self.cell.clock.moment();
        let server_ahead = self.store.as_ref().and_then(|store| store.server_ahead(now));
        record.issued_tokens(self.policy(), now, server_ahead)
    }

    /// Returns one of the access tokens of a record, as this process sees it.
    pub(super) fn issued_as(&self, record: &Record, stored: &StoredToken) -> Option<IssuedTokens> {
        let now = self.cell.clock.moment();
        let server_ahead = self.store.as_ref().and_then(|store| store.server_ahead(now));
        record.issued_as(stored, self.policy(), now, server_ahead)
    }

    /// Takes over what another process has written. Returns the revision that was found, or `None`
    /// if the store failed.
    pub(super) async fn follow_store(&self) -> Option<u64> {
        let store = self.store.as_ref()?;
        loop {
            let FoundEntry { revision, record, .. } = self.load(store).await.ok()?;
            let followed = match &record {
                Some(record) if record.is_logged_out() => self.follow_logout(store, revision),
                Some(record) => self.follow_tokens(store, record),
                None => return Some(revision),
            };
            match followed {
                Followed::Outdated if store.pending.are_some() => store.pending.ended().await,
                Followed::Already | Followed::Outdated | Followed::Now => return Some(revision),
                // The renewal may be a login that the user asked for, which will overwrite the
                // logout. If it is not, the store will announce no further change, so the renewal
                // is awaited and the entry read again.
                Followed::After(renewal) => drop(renewal.result().await),
            }
        }
    }

    pub(super) fn follow_tokens(&self, store: &AccountStore, record: &Record) -> Followed {
        if store.forget_used(record) {
            self.cell.discard_captured();
        }
        self.follow_children(record);
        let Some(issued) = self.issued_tokens(record) else { return Followed::Already };
        self.cell.follow(
            issued,
            || store.pending.are_some(),
            |event| {
                self.forget_refused_login();
                self.telemetry.send_event(event);
            },
        )
    }

    /// Follows a logout that is in the store, unless a later entry is known of. While a renewal is
    /// under way nothing is done, and that renewal is returned, which has to end first.
    fn follow_logout(&self, store: &AccountStore, revision: u64) -> Followed {
        let outdated = || store.pending.are_some() || store.has_seen(revision + 1);
        let followed = self.cell.follow_logout(outdated, |event| self.telemetry.send_event(event));
        if matches!(followed, Followed::Now) {
            self.forget_children();
        }
        followed
    }
}
