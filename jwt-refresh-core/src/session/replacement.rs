//! Logout and adoption, which replace all tokens of a session because the user said so.

use std::sync::Arc;

use super::account_store::must_be_left_alone;
use super::pending_writes::PendingWrite;
use super::record::Record;
use super::shared::SessionShared;
use super::store_write::{Overwritten, Unwritten, adopted, logged_out, not_written, spawn_write};
use super::unsaved::{Adoption, TokenSource};
use crate::error::Error;
use crate::renewal::{IssuedTokens, RefreshCredential, revoke};
use crate::runtime;
use crate::store::StoreError;
use crate::token::Tokens;

impl SessionShared {
    /// Logs out in this process, in the store, and at the server, in this order, so that the logout
    /// holds even if a later step fails.
    pub(super) fn log_out(self: Arc<Self>) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let captured = RefreshCredential::of(self.take_captured());
        let (credential, write) = self.cell.log_out(|event| {
            self.telemetry.send_event(event);
            self.begin_write()
        });
        self.forget_children();
        runtime::run(async move { self.log_out_elsewhere([credential, captured], write).await })
    }

    async fn log_out_elsewhere(
        self: Arc<Self>,
        held: [RefreshCredential; 2],
        write: Option<PendingWrite>,
    ) -> Result<(), Error> {
        let record = |before: Option<&Record>, sequence| Some(logged_out(before, sequence));
        let written = self.overwrite_in_turn(write.as_ref(), record).await;
        drop(write);
        self.delete_corrupt().await;
        let stored = match &written {
            Ok(Some(Overwritten { before: Some(record), .. })) => record.credential().cloned().unwrap_or_default(),
            _ => RefreshCredential::None,
        };
        let written = written.map(drop).map_err(|error| self.write_in_background(&error, Unwritten::Logout));
        // What is held and what the store had are the same, as a rule.
        let mut credentials = vec![stored];
        for credential in held {
            if credentials.iter().all(|other| other.token() != credential.token()) {
                credentials.push(credential);
            }
        }
        let mut revoked = Ok(());
        for credential in credentials {
            let answer = revoke(&self.authenticator, &credential, self.policy().refresh_timeout).await;
            revoked = revoked.and(answer);
        }
        written.and(revoked)
    }

    pub(super) async fn delete_corrupt(&self) {
        let Some(store) = &self.store else { return };
        if let Err(error) = store.delete_corrupt(self.policy()).await {
            tracing::warn!(target: "jwt_refresh", %error, "copies of corrupt entries may outlive the logout");
        }
    }

    /// Replaces the tokens with the user's, in this process and in the store.
    pub(super) fn adopt(self: Arc<Self>, tokens: Tokens) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        self.take_captured();
        let (issued, write) = self.cell.adopt(|sequence, now| {
            let sequence = sequence.max(self.overrule_store());
            (IssuedTokens::captured(self.policy(), tokens, now, sequence), self.begin_write())
        });
        self.forget_children();
        self.telemetry.token_changed();
        self.forget_refused_login();
        runtime::run(async move { self.write_adopted(issued, write).await })
    }

    /// Notes that tokens are adopted after what was seen in the store. Returns the least sequence
    /// that they may have.
    fn overrule_store(&self) -> u64 {
        let Some(store) = &self.store else { return 0 };
        store.overrule(store.seen());
        store.sequence().saturating_add(1)
    }

    async fn write_adopted(self: Arc<Self>, issued: IssuedTokens, write: Option<PendingWrite>) -> Result<(), Error> {
        let adoption = Adoption::new();
        let record = |before: Option<&Record>, _| Some(adopted(before, &issued, adoption, self.cell.clock.moment()));
        let sequence = issued.sequence;
        // What comes after this write must know the tokens in the store, so the state is changed
        // before the write ends.
        match self.overwrite_in_turn(write.as_ref(), record).await {
            Ok(overwritten) => {
                let now = overwritten.and_then(|overwritten| overwritten.now);
                now.inspect(|now| self.cell.renumber(sequence, now.sequence));
                Ok(())
            }
            Err(error) => {
                if !must_be_left_alone(&error) {
                    self.cell.lock().keep_unsaved(issued, TokenSource::Adoption(adoption));
                }
                Err(self.write_in_background(&error, Unwritten::Tokens(sequence)))
            }
        }
    }

    /// Notes that a write to the store begins. Called under the lock of the state.
    pub(super) fn begin_write(&self) -> Option<PendingWrite> {
        self.store.as_ref().map(|store| store.pending.begin())
    }

    /// Overwrites the entry when all writes that were begun before have ended.
    pub(super) async fn overwrite_in_turn(
        &self,
        write: Option<&PendingWrite>,
        record: impl Fn(Option<&Record>, u64) -> Option<Record>,
    ) -> Result<Option<Overwritten>, StoreError> {
        let Some(write) = write else { return Ok(None) };
        write.turn().await;
        self.overwrite(record).await
    }

    /// Goes on trying to write what could not be written, unless the entry must be left alone.
    /// Returns the error for the user.
    fn write_in_background(self: &Arc<Self>, error: &StoreError, what: Unwritten) -> Error {
        if !must_be_left_alone(error) {
            spawn_write(self.count_unsaved(), what);
        }
        not_written(error)
    }
}
