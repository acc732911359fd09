//! Renewing together with whoever else shares the store: one at a time, each after reading what the last has written.
//!
//! The lease keeps the others waiting; what keeps them *out* is the entry's revision. Before a refresh token is spent, the
//! entry says that it is about to be, and only one can write that: a second who believes that he has the lease fails there,
//! with the token unspent. What is found to be about to be spent, by somebody who has the lease, was left by one who died.

use super::holding::{Grant, Holding};
use super::record::{Record, Status};
use super::shared::Shared;
use super::state::{Basis, Landing, Plan, Serving};
use super::vault::{Found, Vault, longest_turn};
use crate::policy::StoreFailure;
use crate::{Error, ErrorKind, StoreError, StoreErrorKind};

/// How often a renewal begins anew because another has written meanwhile. Each time somebody else got on, so it is rare.
const ATTEMPTS: u32 = 5;

impl Shared {
    pub(super) async fn renew_jointly(&self, vault: &Vault, plan: Plan, basis: &Basis) -> Landing {
        match self.try_jointly(vault, plan, basis).await {
            Ok(landing) => landing,
            Err(error) => self.renew_without_store(&error, plan, basis).await,
        }
    }

    async fn try_jointly(&self, vault: &Vault, plan: Plan, basis: &Basis) -> Result<Landing, StoreError> {
        // Often another has renewed already, and there is nothing to wait for.
        if plan == Plan::Renew
            && let Some(landing) = self.settled(&vault.load(&self.desk.policy).await?, basis)
        {
            return Ok(landing);
        }
        let Some(_lease) = vault.lease(&self.desk.policy).await? else {
            // They may have sent the very token that is held here, so this is no case of `StoreFailure::RefreshUnguarded`.
            let turn = longest_turn(&self.desk.policy).as_secs_f32();
            let error = Error::new(ErrorKind::Store, format!("others have been renewing the token for {turn} s"));
            return Ok(Landing::failed(error, basis.grant.clone()));
        };
        for _ in 0..ATTEMPTS {
            match self.attempt(vault, plan, basis).await {
                Err(error) if error.kind() == StoreErrorKind::Conflict => {}
                done => return done,
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "others keep writing to the store"))
    }

    /// Under the lease: reads what there is, marks the refresh token as about to be spent, spends it, writes what came of it.
    async fn attempt(&self, vault: &Vault, plan: Plan, basis: &Basis) -> Result<Landing, StoreError> {
        let found = vault.load(&self.desk.policy).await?;
        if plan == Plan::Renew
            && let Some(landing) = self.settled(&found, basis)
        {
            return Ok(landing);
        }
        let (record, grant) = start(found.record, basis);
        if record.is_spending() {
            let what =
                "a refresh was cut off before its answer was saved: whether the refresh token is spent is unknown";
            tracing::warn!(target: "jwt_refresh", issue = record.issue, "{what}");
        }
        let mut revision = found.revision;
        let spends = plan == Plan::Renew && matches!(grant, Grant::Sound(_));
        if spends {
            revision = vault.save(&self.desk.policy, revision, &record.with(grant.clone(), true)).await?;
        }
        match self.exchange(plan, grant, record.issue + 1).await {
            Landing::Renewed(holding) => Ok(self.save(vault, revision, holding).await),
            Landing::Failed { error, grant, serving } => {
                // If this is not written, the mark stays, and says the same less exactly.
                let after = record.with(grant.clone(), false);
                if spends || after != record {
                    let _ = vault.save(&self.desk.policy, revision, &after).await;
                }
                Ok(Landing::Failed { error, grant, serving })
            }
            other => Ok(other),
        }
    }

    /// What another process has brought about already, if that settles it.
    fn settled(&self, found: &Found, basis: &Basis) -> Option<Landing> {
        let record = found.record.as_ref()?;
        if record.status == Status::LoggedOut {
            return Some(Landing::LoggedOut);
        }
        if record.issue <= basis.issue {
            return None;
        }
        let now = self.desk.clock.moment();
        let holding = record.holding(&self.desk.policy, now)?;
        (!now.reached(holding.life.due)).then_some(Landing::Renewed(holding))
    }

    /// After a refresh token was denied: whether another has rotated it meanwhile. `issue` is the one that was asked for.
    pub(super) async fn found_elsewhere(&self, issue: u64) -> Option<Landing> {
        let found = self.vault()?.load(&self.desk.policy).await.ok()?;
        self.settled(&found, &Basis { grant: Grant::None, issue: issue.saturating_sub(1) })
    }

    /// Writes new tokens. Whatever happens here, they are not lost: at worst they are held unsaved, and saved later.
    async fn save(&self, vault: &Vault, mut revision: u64, holding: Holding) -> Landing {
        let record = Record::of(&holding, self.desk.clock.moment());
        for _ in 0..ATTEMPTS {
            let Err(error) = vault.save(&self.desk.policy, revision, &record).await else {
                return Landing::Renewed(holding);
            };
            tracing::warn!(target: "jwt_refresh", %error, "new tokens are not saved yet");
            let Ok(found) = vault.load(&self.desk.policy).await else { break };
            if let Some(landing) = self.outdone(found.record, &record, &holding).await {
                return landing;
            }
            revision = found.revision;
        }
        Landing::Unsaved(holding)
    }

    /// What new tokens come to if there is something in the store already that they must not be written over.
    async fn outdone(&self, found: Option<Record>, record: &Record, holding: &Holding) -> Option<Landing> {
        match found? {
            // Logout wins: the tokens that came too late are given back.
            Record { status: Status::LoggedOut, .. } => {
                // They expire by themselves if the server cannot be told.
                let _ = self.revoke(&holding.grant).await;
                Some(Landing::LoggedOut)
            }
            // The save whose answer was lost was one.
            found if found == *record => Some(Landing::Renewed(holding.clone())),
            found if found.issue >= holding.issue => {
                found.holding(&self.desk.policy, self.desk.clock.moment()).map(Landing::Renewed)
            }
            _ => None,
        }
    }

    /// Goes on trying to save tokens that could not be when they came.
    pub(super) async fn save_late(&self, holding: Holding) {
        let Some(vault) = self.vault() else { return };
        for failures in 1..=20 {
            tokio::time::sleep(self.desk.policy.pause(failures, None)).await;
            if !self.is_current(holding.issue) {
                return;
            }
            let Ok(Some(_lease)) = vault.lease(&self.desk.policy).await else { continue };
            let Ok(found) = vault.load(&self.desk.policy).await else { continue };
            let record = Record::of(&holding, self.desk.clock.moment());
            let landing = match self.outdone(found.record, &record, &holding).await {
                Some(landing) => landing,
                None => self.save(vault, found.revision, holding.clone()).await,
            };
            match landing {
                Landing::Unsaved(_) => {}
                Landing::LoggedOut => {
                    self.log_out_here();
                    return;
                }
                _ => return,
            }
        }
    }

    /// What to do without the store is for the user to say: all three answers lose something.
    async fn renew_without_store(&self, error: &StoreError, plan: Plan, basis: &Basis) -> Landing {
        let serving = match self.desk.policy.store_failure {
            StoreFailure::RefreshUnguarded => {
                return match self.exchange(plan, basis.grant.clone(), basis.issue + 1).await {
                    Landing::Renewed(holding) => Landing::Unsaved(holding),
                    other => other,
                };
            }
            StoreFailure::ServeWhatLives => Serving::WhatLives,
            StoreFailure::Fail => Serving::Nothing,
        };
        let error = Error::new(ErrorKind::Store, "the token store failed").caused_by(error.clone());
        Landing::Failed { error, grant: basis.grant.clone(), serving }
    }

    /// Writes something that the user said, over whatever is there: a logout, or tokens of his.
    pub(super) async fn overwrite(&self, record: impl Fn(u64) -> Record) -> Result<Option<Record>, Error> {
        let Some(vault) = self.vault() else { return Ok(None) };
        let failed = |error: StoreError| Error::new(ErrorKind::Store, "the token store failed").caused_by(error);
        loop {
            let found = vault.load(&self.desk.policy).await.map_err(failed)?;
            let record = record(found.record.as_ref().map_or(0, |record| record.issue));
            match vault.save(&self.desk.policy, found.revision, &record).await {
                Ok(_) => return Ok(found.record),
                Err(error) if error.kind() == StoreErrorKind::Conflict => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// What a renewal starts from: the store's entry, or what this process holds if that is newer.
fn start(found: Option<Record>, basis: &Basis) -> (Record, Grant) {
    match found {
        Some(Record { issue, status: Status::Active(active) }) if issue >= basis.issue && issue > 0 => {
            let grant = if active.spending { active.grant.clone().in_doubt() } else { active.grant.clone() };
            (Record { issue, status: Status::Active(active) }, grant)
        }
        Some(Record { issue, status: Status::LoggedOut }) => (Record::empty(issue.max(basis.issue)), Grant::None),
        _ => (Record::empty(basis.issue), basis.grant.clone()),
    }
}
