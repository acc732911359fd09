//! Renewal together with the other processes that share the store: one at a time, each after
//! reading what the last one has written. See "How do processes share a login?" in DESIGN.md.
//!
//! The renewal lease makes the others wait. What excludes them is the revision of the entry: before
//! a refresh token is spent, the entry is marked, and only one process can write that revision. A
//! second process that believes it has the lease fails there, with the token unspent. If a process
//! that has the lease finds the mark, the process that set it has died.

use std::sync::Arc;

use super::account_store::{AccountStore, FoundEntry, max_lease_wait};
use super::record::{LoginStatus, Record};
use super::shared::SessionShared;
use super::state::Basis;
use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::policy::{Policy, StoreFailure};
use crate::renewal::{
    Action, IssuedTokens, Outcome, Plan, RefreshCredential, RenewalContext, Serving, exchange, revoke,
};
use crate::store::{StoreError, StoreErrorKind};

/// How often a renewal starts over because another process has written meanwhile. Each time, that
/// process has made progress, so it is rare.
const ATTEMPTS: u32 = 5;

impl SessionShared {
    /// Renews the tokens, together with the other processes if there is a store.
    pub(super) async fn renew(&self, plan: Plan, basis: &Basis) -> Outcome {
        match &self.store {
            None => exchange(self, plan, basis.credential.clone(), basis.sequence + 1).await,
            Some(store) => self.renew_with_store(store, plan, basis).await,
        }
    }

    async fn renew_with_store(&self, store: &AccountStore, plan: Plan, basis: &Basis) -> Outcome {
        match self.try_with_store(store, plan, basis).await {
            Ok(outcome) => outcome,
            Err(error) => self.renew_without_store(&error, plan, basis).await,
        }
    }

    async fn try_with_store(&self, store: &AccountStore, plan: Plan, basis: &Basis) -> Result<Outcome, StoreError> {
        // Another process has often renewed already, and then there is nothing to wait for.
        if plan == Plan::Renew
            && let Some(outcome) = self.outcome_in_store(&store.load(self.policy()).await?, basis)
        {
            return Ok(outcome);
        }
        let Some(_lease) = store.lease(self.policy()).await? else {
            // The others may have sent the refresh token that this session has too, so this is no
            // case of `StoreFailure::RefreshUnguarded`.
            let waited = max_lease_wait(self.policy()).as_secs_f32();
            let error = Error::new(ErrorKind::Store, format!("others have been renewing the token for {waited} s"));
            return Ok(Outcome::failed(error, basis.credential.clone()));
        };
        for _ in 0..ATTEMPTS {
            match self.renew_under_lease(store, plan, basis).await {
                Err(error) if error.kind() == StoreErrorKind::Conflict => {}
                result => return result,
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "others keep writing to the store"))
    }

    /// Renews once, under the lease: reads the entry, marks the refresh token as about to be spent,
    /// spends it, and writes the outcome.
    async fn renew_under_lease(&self, store: &AccountStore, plan: Plan, basis: &Basis) -> Result<Outcome, StoreError> {
        let found = store.load(self.policy()).await?;
        if plan == Plan::Renew
            && let Some(outcome) = self.outcome_in_store(&found, basis)
        {
            return Ok(outcome);
        }
        let (record, credential) = starting_point(found.record, basis);
        if record.is_spending() {
            let what =
                "a refresh was cut off before its answer was saved: whether the refresh token is spent is unknown";
            tracing::warn!(target: "jwt_refresh", sequence = record.sequence, "{what}");
        }
        let mut revision = found.revision;
        let spends_token = plan == Plan::Renew && matches!(credential, RefreshCredential::Valid(_));
        if spends_token {
            revision = store.save(self.policy(), revision, &record.with_credential(credential.clone(), true)).await?;
        }
        match exchange(self, plan, credential, record.sequence + 1).await {
            Outcome::Renewed(issued) => Ok(self.save(store, revision, issued).await),
            Outcome::Failed { error, credential, serving } => {
                // If this is not written, the mark stays, which says the same less exactly.
                let after = record.with_credential(credential.clone(), false);
                if spends_token || after != record {
                    let _ = store.save(self.policy(), revision, &after).await;
                }
                Ok(Outcome::Failed { error, credential, serving })
            }
            other => Ok(other),
        }
    }

    /// Returns the outcome if another process has renewed the tokens already, or has logged out.
    fn outcome_in_store(&self, found: &FoundEntry, basis: &Basis) -> Option<Outcome> {
        let record = found.record.as_ref()?;
        if record.status == LoginStatus::LoggedOut {
            return Some(Outcome::LoggedOut);
        }
        if record.sequence <= basis.sequence {
            return None;
        }
        let now = self.cell.clock.moment();
        let issued = record.issued_tokens(self.policy(), now)?;
        (!now.reached(issued.life.due)).then_some(Outcome::Renewed(issued))
    }

    /// Returns the outcome if another process has rotated a refresh token that was denied here.
    /// `sequence` is the one that this renewal would have got.
    async fn rotated_in_store(&self, sequence: u64) -> Option<Outcome> {
        let found = self.store.as_ref()?.load(self.policy()).await.ok()?;
        self.outcome_in_store(
            &found,
            &Basis { credential: RefreshCredential::None, sequence: sequence.saturating_sub(1) },
        )
    }

    /// Writes new tokens. If that fails they are not lost: the session uses them unsaved, and saves
    /// them later.
    async fn save(&self, store: &AccountStore, mut revision: u64, issued: IssuedTokens) -> Outcome {
        let record = Record::of(&issued, self.cell.clock.moment());
        for _ in 0..ATTEMPTS {
            let Err(error) = store.save(self.policy(), revision, &record).await else {
                return Outcome::Renewed(issued);
            };
            tracing::warn!(target: "jwt_refresh", %error, "new tokens are not saved yet");
            let Ok(found) = store.load(self.policy()).await else { break };
            if let Some(outcome) = self.superseded(found.record, &record, &issued).await {
                return outcome;
            }
            revision = found.revision;
        }
        Outcome::Unsaved(issued)
    }

    /// Returns the outcome if the store has something that new tokens must not overwrite.
    async fn superseded(&self, found: Option<Record>, record: &Record, issued: &IssuedTokens) -> Option<Outcome> {
        match found? {
            // The logout wins, so tokens that arrived after it are revoked.
            Record { status: LoginStatus::LoggedOut, .. } => {
                // If the server cannot be told, the tokens expire by themselves.
                let _ = revoke(&self.authenticator, &issued.credential, self.policy().refresh_timeout).await;
                Some(Outcome::LoggedOut)
            }
            // An earlier save has succeeded, though its answer was lost.
            found if found == *record => Some(Outcome::Renewed(issued.clone())),
            found if found.sequence >= issued.sequence => {
                found.issued_tokens(self.policy(), self.cell.clock.moment()).map(Outcome::Renewed)
            }
            _ => None,
        }
    }

    /// Tries up to 20 times to save tokens that could not be saved when they were issued, after a
    /// pause each time. Ends early if newer tokens have replaced them.
    pub(super) async fn retry_save(&self, issued: IssuedTokens) {
        let Some(store) = &self.store else { return };
        for failures in 1..=20 {
            tokio::time::sleep(self.policy().pause(failures, None)).await;
            if !self.is_current(issued.sequence) {
                return;
            }
            let Ok(Some(_lease)) = store.lease(self.policy()).await else { continue };
            let Ok(found) = store.load(self.policy()).await else { continue };
            let record = Record::of(&issued, self.cell.clock.moment());
            let outcome = match self.superseded(found.record, &record, &issued).await {
                Some(outcome) => outcome,
                None => self.save(store, found.revision, issued.clone()).await,
            };
            match outcome {
                Outcome::Unsaved(_) => {}
                Outcome::LoggedOut => {
                    self.log_out_locally();
                    return;
                }
                _ => return,
            }
        }
    }

    /// Fails, or renews without the store, as the policy says. Each of its three choices loses
    /// something, so the choice is the user's.
    async fn renew_without_store(&self, error: &StoreError, plan: Plan, basis: &Basis) -> Outcome {
        let serving = match self.policy().store_failure {
            StoreFailure::RefreshUnguarded => {
                return match exchange(self, plan, basis.credential.clone(), basis.sequence + 1).await {
                    Outcome::Renewed(issued) => Outcome::Unsaved(issued),
                    other => other,
                };
            }
            StoreFailure::ServeWhatLives => Serving::LiveToken,
            StoreFailure::Fail => Serving::Nothing,
        };
        let error = Error::new(ErrorKind::Store, "the token store failed").caused_by(error.clone());
        Outcome::Failed { error, credential: basis.credential.clone(), serving }
    }

    /// Overwrites the entry with what the user asked for, a logout or tokens. Returns the record
    /// from before.
    pub(super) async fn overwrite(&self, record: impl Fn(u64) -> Record) -> Result<Option<Record>, Error> {
        let Some(store) = &self.store else { return Ok(None) };
        let failed = |error: StoreError| Error::new(ErrorKind::Store, "the token store failed").caused_by(error);
        loop {
            let found = store.load(self.policy()).await.map_err(failed)?;
            let record = record(found.record.as_ref().map_or(0, |record| record.sequence));
            match store.save(self.policy(), found.revision, &record).await {
                Ok(_) => return Ok(found.record),
                Err(error) if error.kind() == StoreErrorKind::Conflict => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl RenewalContext for SessionShared {
    fn authenticator(&self) -> &Arc<dyn DynAuthenticator> {
        &self.authenticator
    }

    fn policy(&self) -> &Policy {
        &self.cell.policy
    }

    fn clock(&self) -> &Clock {
        &self.cell.clock
    }

    fn answered(&self, action: Action, error: Option<&Error>) {
        self.telemetry.answered(action, error);
    }

    async fn rotated_elsewhere(&self, sequence: u64) -> Option<Outcome> {
        self.rotated_in_store(sequence).await
    }
}

/// Returns what a renewal starts from: the store's entry, or what this process has if that is
/// newer.
fn starting_point(found: Option<Record>, basis: &Basis) -> (Record, RefreshCredential) {
    match found {
        Some(Record { sequence, status: LoginStatus::Active(active) })
            if sequence >= basis.sequence && sequence > 0 =>
        {
            let credential =
                if active.spending { active.credential.clone().in_doubt() } else { active.credential.clone() };
            (Record { sequence, status: LoginStatus::Active(active) }, credential)
        }
        Some(Record { sequence, status: LoginStatus::LoggedOut }) => {
            (Record::empty(sequence.max(basis.sequence)), RefreshCredential::None)
        }
        _ => (Record::empty(basis.sequence), basis.credential.clone()),
    }
}
