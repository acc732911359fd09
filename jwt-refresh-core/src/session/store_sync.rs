//! Renewal together with the other processes that share the store: one at a time, each after
//! reading what the last one has written. See "How do processes share a login?" in DESIGN.md.
//!
//! The renewal lease makes the others wait. What excludes them is the revision of the entry: before
//! a refresh token is spent, the entry is marked, and only one process can write that revision. A
//! second process that believes it has the lease fails there, with the token unspent. If a process
//! that has the lease finds the mark, the process that set it has died.

use std::sync::Arc;
use std::time::Duration;

use super::account_store::{AccountStore, FoundEntry, max_lease_wait};
use super::outage::{Condition, Finding};
use super::record::{LoginStatus, Record};
use super::running::Step;
use super::shared::SessionShared;
use super::state::Basis;
use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::policy::{PROBE_TIMEOUT, Policy, StoreFailure};
use crate::renewal::{
    Action, IssuedTokens, Outcome, Plan, RefreshCredential, RenewalContext, Serving, exchange, revoke,
};
use crate::store::{StoreError, StoreErrorKind};

/// How often a renewal starts over because another process has written meanwhile. Each time, that
/// process has made progress, so it is rare.
const ATTEMPTS: u32 = 5;

/// Why a renewal that was overtaken goes no further. No caller sees it: they were told before.
const OVERTAKEN: &str = "the renewal was overtaken by a logout, by other tokens, or by its deadline";

/// A renewal of a session. Before each step it asks whether it was overtaken.
pub(super) struct SessionRenewal<'a> {
    pub(super) shared: &'a SessionShared,
    pub(super) epoch: u64,
}

impl SessionRenewal<'_> {
    fn policy(&self) -> &Policy {
        self.shared.policy()
    }

    /// Takes the renewal lease, for as long as this renewal is under way. Returns false if others
    /// had it all the time.
    async fn take_lease(&self, store: &AccountStore) -> Result<bool, StoreError> {
        if self.shared.lease.inherit(self.epoch) {
            return Ok(true);
        }
        self.enter_store(max_lease_wait(self.policy()))?;
        let Some(lease) = store.lease(self.policy()).await? else { return Ok(false) };
        // If this renewal was overtaken meanwhile, it has no use for the lease.
        self.enter_store(self.policy().store_timeout)?;
        self.shared.lease.put(self.epoch, lease);
        Ok(true)
    }

    async fn load(&self, store: &AccountStore) -> Result<FoundEntry, StoreError> {
        // A corrupt entry is read twice.
        self.enter_store(self.policy().store_timeout * 2)?;
        store.load(self.policy()).await
    }

    async fn write(&self, store: &AccountStore, revision: u64, record: &Record) -> Result<u64, StoreError> {
        self.enter_store(self.policy().store_timeout)?;
        store.save(self.policy(), revision, record).await
    }

    /// Takes the step to the store, which may take `timeout`.
    fn enter_store(&self, timeout: Duration) -> Result<(), StoreError> {
        if self.shared.cell.advance(self.epoch, Step::Store, timeout) {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, OVERTAKEN))
    }

    /// Finds out whether this renewal may talk to the server.
    pub(super) async fn check(&self, condition: Condition, basis: &Basis) -> Finding {
        if condition == Condition::None || !self.shared.cell.advance(self.epoch, Step::Probing, PROBE_TIMEOUT) {
            return Finding::Met;
        }
        let probe = Arc::clone(&self.shared.authenticator).probe();
        let answer = tokio::time::timeout(PROBE_TIMEOUT, probe).await.unwrap_or_else(|_| {
            Some(Err(Error::new(ErrorKind::Unanswered, "the server did not say whether it is back")))
        });
        tracing::debug!(target: "jwt_refresh", ?answer, "asked whether the server is back");
        condition.finding(answer.as_ref(), &basis.credential)
    }

    /// Renews the tokens, together with the other processes if there is a store.
    pub(super) async fn renew(&self, plan: Plan, basis: &Basis) -> Outcome {
        match &self.shared.store {
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
            && let Some(outcome) = self.outcome_in_store(&self.load(store).await?, basis)
        {
            return Ok(outcome);
        }
        if !self.take_lease(store).await? {
            // The others may have sent the refresh token that this session has too, so this is no
            // case of `StoreFailure::RefreshUnguarded`.
            let waited = max_lease_wait(self.policy()).as_secs_f32();
            let error = Error::new(ErrorKind::Store, format!("others have been renewing the token for {waited} s"));
            return Ok(Outcome::failed(error, basis.credential.clone()));
        }
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
        let found = self.load(store).await?;
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
        let spends_token = plan == Plan::Renew && credential.is_valid();
        if spends_token {
            revision = self.write(store, revision, &record.with_credential(credential.clone(), true)).await?;
        }
        match exchange(self, plan, credential, record.sequence + 1).await {
            Outcome::Renewed(issued) => Ok(self.save(store, revision, issued).await),
            Outcome::Failed { error, credential, serving } => {
                // If this is not written, the mark stays, which says the same less exactly.
                let after = record.with_credential(credential.clone(), false);
                if spends_token || after != record {
                    let _ = self.write(store, revision, &after).await;
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
        let now = self.shared.cell.clock.moment();
        let issued = record.issued_tokens(self.policy(), now)?;
        (!now.reached(issued.life.due)).then_some(Outcome::Found(issued))
    }

    /// Returns the outcome if another process has rotated a refresh token that was denied here.
    /// `sequence` is the one that this renewal would have got.
    async fn rotated_in_store(&self, sequence: u64) -> Option<Outcome> {
        let found = self.load(self.shared.store.as_ref()?).await.ok()?;
        self.outcome_in_store(
            &found,
            &Basis { credential: RefreshCredential::None, sequence: sequence.saturating_sub(1) },
        )
    }

    /// Writes new tokens. If that fails they are not lost: the session uses them unsaved, and saves
    /// them later.
    async fn save(&self, store: &AccountStore, mut revision: u64, issued: IssuedTokens) -> Outcome {
        let record = Record::of(&issued, self.shared.cell.clock.moment());
        for _ in 0..ATTEMPTS {
            let Err(error) = self.write(store, revision, &record).await else {
                return Outcome::Renewed(issued);
            };
            tracing::warn!(target: "jwt_refresh", %error, "new tokens are not saved yet");
            let Ok(found) = self.load(store).await else { break };
            if let Some(outcome) = self.superseded(found.record, &record, &issued).await {
                return outcome;
            }
            revision = found.revision;
        }
        Outcome::Unsaved(issued)
    }

    /// Saves tokens that could not be saved before. Returns `None` if it is not possible now.
    pub(super) async fn save_again(&self, issued: &IssuedTokens) -> Option<Outcome> {
        let store = self.shared.store.as_ref()?;
        if !self.take_lease(store).await.ok()? {
            return None;
        }
        let found = self.load(store).await.ok()?;
        let record = Record::of(issued, self.shared.cell.clock.moment());
        match self.superseded(found.record, &record, issued).await {
            Some(outcome) => Some(outcome),
            None => Some(self.save(store, found.revision, issued.clone()).await),
        }
    }

    /// Returns the outcome if the store has something that new tokens must not overwrite.
    async fn superseded(&self, found: Option<Record>, record: &Record, issued: &IssuedTokens) -> Option<Outcome> {
        match found? {
            // The logout wins, so tokens that arrived after it are revoked.
            Record { status: LoginStatus::LoggedOut, .. } => {
                // If the server cannot be told, the tokens expire by themselves.
                let _ = revoke(&self.shared.authenticator, &issued.credential, self.policy().refresh_timeout).await;
                Some(Outcome::LoggedOut)
            }
            // An earlier save has succeeded, though its answer was lost.
            found if found == *record => Some(Outcome::Renewed(issued.clone())),
            found if found.sequence >= issued.sequence => {
                found.issued_tokens(self.policy(), self.shared.cell.clock.moment()).map(Outcome::Found)
            }
            _ => None,
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
}

impl RenewalContext for SessionRenewal<'_> {
    fn authenticator(&self) -> &Arc<dyn DynAuthenticator> {
        &self.shared.authenticator
    }

    fn policy(&self) -> &Policy {
        &self.shared.cell.policy
    }

    fn clock(&self) -> &Clock {
        &self.shared.cell.clock
    }

    fn sending(&self, action: Action) -> Result<(), Error> {
        let timeout = match action {
            Action::Login => self.policy().login_timeout,
            Action::Refresh => self.policy().refresh_timeout,
        };
        if self.shared.cell.advance(self.epoch, Step::Sending(action), timeout) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Aborted, OVERTAKEN))
    }

    fn failures(&self) -> u32 {
        self.shared.cell.lock().failures()
    }

    fn refused_login(&self) -> Option<Error> {
        self.shared.refused_login.lock().clone()
    }

    fn answered(&self, action: Action, error: Option<&Error>) {
        self.shared.telemetry.answered(action, error);
        if action == Action::Login {
            self.shared.remember_login(error);
        }
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
                if active.spending { active.credential.clone().unanswered() } else { active.credential.clone() };
            (Record { sequence, status: LoginStatus::Active(active) }, credential)
        }
        Some(Record { sequence, status: LoginStatus::LoggedOut }) => {
            (Record::empty(sequence.max(basis.sequence)), RefreshCredential::None)
        }
        _ => (Record::empty(basis.sequence), basis.credential.clone()),
    }
}
