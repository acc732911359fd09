//! Renewing together with whoever else shares the store: one at a time, each after reading what the last has written.
//!
//! The lease keeps the others waiting; what keeps them *out* is the entry's revision. Before a refresh token is spent, the
//! entry says that it is about to be, and only one can write that: a second who believes that he has the lease fails there,
//! with the token unspent. What is found to be about to be spent, by somebody who has the lease, was left by one who died.

use std::sync::Arc;

use super::account_store::{AccountStore, FoundEntry, longest_turn};
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

/// How often a renewal begins anew because another has written meanwhile. Each time somebody else got on, so it is rare.
const ATTEMPTS: u32 = 5;

impl SessionShared {
    /// Renews the tokens, together with the other processes if there is a store.
    pub(super) async fn renew(&self, plan: Plan, basis: &Basis) -> Outcome {
        match &self.store {
            None => exchange(self, plan, basis.credential.clone(), basis.sequence + 1).await,
            Some(store) => self.renew_jointly(store, plan, basis).await,
        }
    }

    async fn renew_jointly(&self, store: &AccountStore, plan: Plan, basis: &Basis) -> Outcome {
        match self.try_jointly(store, plan, basis).await {
            Ok(outcome) => outcome,
            Err(error) => self.renew_without_store(&error, plan, basis).await,
        }
    }

    async fn try_jointly(&self, store: &AccountStore, plan: Plan, basis: &Basis) -> Result<Outcome, StoreError> {
        // Often another has renewed already, and there is nothing to wait for.
        if plan == Plan::Renew
            && let Some(outcome) = self.settled(&store.load(self.policy()).await?, basis)
        {
            return Ok(outcome);
        }
        let Some(_lease) = store.lease(self.policy()).await? else {
            // They may have sent the very token that is held here, so this is no case of `StoreFailure::RefreshUnguarded`.
            let turn = longest_turn(self.policy()).as_secs_f32();
            let error = Error::new(ErrorKind::Store, format!("others have been renewing the token for {turn} s"));
            return Ok(Outcome::failed(error, basis.credential.clone()));
        };
        for _ in 0..ATTEMPTS {
            match self.attempt(store, plan, basis).await {
                Err(error) if error.kind() == StoreErrorKind::Conflict => {}
                done => return done,
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "others keep writing to the store"))
    }

    /// Under the lease: reads what there is, marks the refresh token as about to be spent, spends it, writes what came of it.
    async fn attempt(&self, store: &AccountStore, plan: Plan, basis: &Basis) -> Result<Outcome, StoreError> {
        let found = store.load(self.policy()).await?;
        if plan == Plan::Renew
            && let Some(outcome) = self.settled(&found, basis)
        {
            return Ok(outcome);
        }
        let (record, credential) = start(found.record, basis);
        if record.is_spending() {
            let what =
                "a refresh was cut off before its answer was saved: whether the refresh token is spent is unknown";
            tracing::warn!(target: "jwt_refresh", sequence = record.sequence, "{what}");
        }
        let mut revision = found.revision;
        let spends = plan == Plan::Renew && matches!(credential, RefreshCredential::Valid(_));
        if spends {
            revision = store.save(self.policy(), revision, &record.with(credential.clone(), true)).await?;
        }
        match exchange(self, plan, credential, record.sequence + 1).await {
            Outcome::Renewed(issued) => Ok(self.save(store, revision, issued).await),
            Outcome::Failed { error, credential, serving } => {
                // If this is not written, the mark stays, and says the same less exactly.
                let after = record.with(credential.clone(), false);
                if spends || after != record {
                    let _ = store.save(self.policy(), revision, &after).await;
                }
                Ok(Outcome::Failed { error, credential, serving })
            }
            other => Ok(other),
        }
    }

    /// What another process has brought about already, if that settles it.
    fn settled(&self, found: &FoundEntry, basis: &Basis) -> Option<Outcome> {
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

    /// After a refresh token was denied: whether another has rotated it meanwhile. `sequence` is the one that was asked for.
    async fn found_elsewhere(&self, sequence: u64) -> Option<Outcome> {
        let found = self.store.as_ref()?.load(self.policy()).await.ok()?;
        self.settled(&found, &Basis { credential: RefreshCredential::None, sequence: sequence.saturating_sub(1) })
    }

    /// Writes new tokens. Whatever happens here, they are not lost: at worst they are held unsaved, and saved later.
    async fn save(&self, store: &AccountStore, mut revision: u64, issued: IssuedTokens) -> Outcome {
        let record = Record::of(&issued, self.cell.clock.moment());
        for _ in 0..ATTEMPTS {
            let Err(error) = store.save(self.policy(), revision, &record).await else {
                return Outcome::Renewed(issued);
            };
            tracing::warn!(target: "jwt_refresh", %error, "new tokens are not saved yet");
            let Ok(found) = store.load(self.policy()).await else { break };
            if let Some(outcome) = self.outdone(found.record, &record, &issued).await {
                return outcome;
            }
            revision = found.revision;
        }
        Outcome::Unsaved(issued)
    }

    /// What new tokens come to if there is something in the store already that they must not be written over.
    async fn outdone(&self, found: Option<Record>, record: &Record, issued: &IssuedTokens) -> Option<Outcome> {
        match found? {
            // Logout wins: the tokens that came too late are given back.
            Record { status: LoginStatus::LoggedOut, .. } => {
                // They expire by themselves if the server cannot be told.
                let _ = revoke(&self.authenticator, &issued.credential, self.policy().refresh_timeout).await;
                Some(Outcome::LoggedOut)
            }
            // The save whose answer was lost was one.
            found if found == *record => Some(Outcome::Renewed(issued.clone())),
            found if found.sequence >= issued.sequence => {
                found.issued_tokens(self.policy(), self.cell.clock.moment()).map(Outcome::Renewed)
            }
            _ => None,
        }
    }

    /// Goes on trying to save tokens that could not be when they came.
    pub(super) async fn save_late(&self, issued: IssuedTokens) {
        let Some(store) = &self.store else { return };
        for failures in 1..=20 {
            tokio::time::sleep(self.policy().pause(failures, None)).await;
            if !self.is_current(issued.sequence) {
                return;
            }
            let Ok(Some(_lease)) = store.lease(self.policy()).await else { continue };
            let Ok(found) = store.load(self.policy()).await else { continue };
            let record = Record::of(&issued, self.cell.clock.moment());
            let outcome = match self.outdone(found.record, &record, &issued).await {
                Some(outcome) => outcome,
                None => self.save(store, found.revision, issued.clone()).await,
            };
            match outcome {
                Outcome::Unsaved(_) => {}
                Outcome::LoggedOut => {
                    self.log_out_here();
                    return;
                }
                _ => return,
            }
        }
    }

    /// What to do without the store is for the user to say: all three answers lose something.
    async fn renew_without_store(&self, error: &StoreError, plan: Plan, basis: &Basis) -> Outcome {
        let serving = match self.policy().store_failure {
            StoreFailure::RefreshUnguarded => {
                return match exchange(self, plan, basis.credential.clone(), basis.sequence + 1).await {
                    Outcome::Renewed(issued) => Outcome::Unsaved(issued),
                    other => other,
                };
            }
            StoreFailure::ServeWhatLives => Serving::WhatLives,
            StoreFailure::Fail => Serving::Nothing,
        };
        let error = Error::new(ErrorKind::Store, "the token store failed").caused_by(error.clone());
        Outcome::Failed { error, credential: basis.credential.clone(), serving }
    }

    /// Writes something that the user said, over whatever is there: a logout, or tokens of his.
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
        self.found_elsewhere(sequence).await
    }
}

/// What a renewal starts from: the store's entry, or what this process holds if that is newer.
fn start(found: Option<Record>, basis: &Basis) -> (Record, RefreshCredential) {
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
