//! What a renewal writes into the store: new tokens, also those that could not be saved at once.

use super::{ATTEMPTS, SessionRenewal};
use crate::error::{Error, ErrorKind};
use crate::renewal::{IssuedTokens, Outcome, RefreshCredential, revoke};
use crate::session::account_store::AccountStore;
use crate::session::record::Record;
use crate::session::running::Step;
use crate::store::StoreError;

impl SessionRenewal<'_> {
    /// Writes new tokens, which follow on `before`. If that fails they are not lost: the session
    /// uses them unsaved, and saves them later.
    pub(super) async fn save(
        &self,
        store: &AccountStore,
        mut revision: u64,
        before: &Record,
        mut issued: IssuedTokens,
    ) -> Outcome {
        self.shared.cell.lock().saving(issued.token.clone());
        store.note_server_ahead(issued.server_ahead, self.shared.cell.clock.moment());
        let mut before = before.clone();
        for _ in 0..ATTEMPTS {
            self.note_other(Some(&issued));
            let record = self.record_of(&before, &issued);
            let Err(error) = self.write(store, revision, &record).await else {
                return Outcome::Renewed(issued);
            };
            tracing::warn!(target: "jwt_refresh", %error, "new tokens are not saved yet");
            let Ok(found) = self.load(store).await else { break };
            if let Some(outcome) = self.superseded(found.record.as_ref(), &issued).await {
                return outcome;
            }
            revision = found.revision;
            if let Some(found) = found.record {
                issued.sequence = issued.sequence.max(found.sequence + 1);
                before = found;
            }
        }
        Outcome::Unsaved(issued)
    }

    /// Notes that a child of the session is given a token: before it is in the store, so that the
    /// follower does not take it for one of another process.
    pub(super) fn note_other(&self, issued: Option<&IssuedTokens>) {
        if let (Some(request), Some(issued)) = (&self.other, issued) {
            self.shared.note_child(&request.parameters, issued.sequence);
        }
    }

    /// Returns the record of new tokens, which follow on `before`.
    fn record_of(&self, before: &Record, issued: &IssuedTokens) -> Record {
        let now = self.shared.cell.clock.moment();
        match &self.other {
            Some(request) => before.with_other(&request.parameters, issued, now),
            // Other access tokens are of the login before.
            None if self.shared.cell.lock().has_sent_login(self.epoch) => {
                before.without_others().with_tokens(issued, now)
            }
            None => before.with_tokens(issued, now),
        }
    }

    /// Saves tokens that could not be saved before. Returns `None` if others have had the lease all
    /// the time.
    pub(in crate::session) async fn save_again(&self, issued: &IssuedTokens) -> Result<Option<Outcome>, StoreError> {
        let Some(store) = &self.shared.store else { return Ok(None) };
        if !self.take_lease(store).await? {
            return Ok(None);
        }
        let found = self.load(store).await?;
        if let Some(outcome) = self.superseded(found.record.as_ref(), issued).await {
            return Ok(Some(outcome));
        }
        // The tokens may be of a new login, to which the other access tokens do not belong.
        let before = found.record.unwrap_or_else(|| Record::empty(0)).without_others();
        let sequence = issued.sequence.max(before.sequence + 1);
        let issued = IssuedTokens { sequence, ..issued.clone() };
        Ok(Some(self.save(store, found.revision, &before, issued).await))
    }

    /// Returns the outcome if the store has something that new tokens must not overwrite. Tokens
    /// that are of no use then are revoked.
    async fn superseded(&self, found: Option<&Record>, issued: &IssuedTokens) -> Option<Outcome> {
        let found = found?;
        let outcome = if found.is_logged_out() {
            // The logout wins.
            Outcome::LoggedOut
        } else if self.has_saved(found, issued) {
            // An earlier save has succeeded, though its answer was lost.
            return Some(Outcome::Renewed(IssuedTokens { sequence: found.sequence, ..issued.clone() }));
        } else if found.sequence >= issued.sequence && self.other.is_some() {
            let what = "another process has renewed the login meanwhile";
            Outcome::failed(Error::new(ErrorKind::Store, what), self.held().credential)
        } else if found.sequence >= issued.sequence {
            let others = self.shared.issued_tokens(found)?;
            // Tokens that have died displace none that live, or that can be renewed.
            let now = self.shared.cell.clock.moment();
            let is_renewable = issued.credential.is_valid() && !others.credential.is_valid();
            if now.reached(others.life.due) && (is_renewable || !now.reached(issued.life.due)) {
                return None;
            }
            Outcome::Found(others)
        } else {
            return None;
        };
        // A server that does not replace refresh tokens gives all the same one.
        if found.credential().and_then(RefreshCredential::token) != issued.credential.token() {
            self.revoke(&issued.credential).await;
        }
        Some(outcome)
    }

    /// Returns whether a record has these new tokens.
    fn has_saved(&self, found: &Record, issued: &IssuedTokens) -> bool {
        match &self.other {
            None => found.has_tokens(issued),
            Some(request) => {
                let other = found.other(&request.parameters);
                other.is_some_and(|other| other.token.expose() == issued.token.expose())
            }
        }
    }

    /// Revokes what is of no use. If the server cannot be told, it expires by itself.
    pub(super) async fn revoke(&self, credential: &RefreshCredential) {
        self.shared.cell.advance(self.epoch, Step::Store, self.policy().refresh_timeout);
        let _ = revoke(&self.shared.authenticator, credential, self.policy().refresh_timeout).await;
    }
}
