//! Renewal together with the other processes that share the store: one at a time, each after
//! reading what the last one has written. See "How do processes share a login?" in DESIGN.md.
//!
//! The renewal lease makes the others wait. What excludes them is the revision of the entry: before
//! a refresh token is spent, the entry is marked, and only one process can write that revision. A
//! second process that believes it has the lease fails there, with the token unspent. If a process
//! that has the lease finds the mark, the process that set it has died.

mod save;

use std::sync::Arc;
use std::time::Duration;

use super::account_store::{AccountStore, FoundEntry, max_lease_wait, must_be_left_alone, store_failure};
use super::other_request::OtherRequest;
use super::outage::{Condition, Finding};
use super::record::{Mark, Record};
use super::running::Step;
use super::shared::SessionShared;
use super::state::Basis;
use super::unsaved::AdoptionWrite;
use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::policy::{PROBE_TIMEOUT, Policy, StoreFailure};
use crate::renewal::{Action, Outcome, Plan, RefreshCredential, RenewalContext, Serving, exchange};
use crate::store::{StoreError, StoreErrorKind};
use crate::sync::Mutex;
use crate::token::{AccessParameters, RefreshToken};

/// How often a renewal starts over because another process has written meanwhile. Each time, that
/// process has made progress, so it is rare.
const ATTEMPTS: u32 = 5;

/// Why a renewal that was overtaken goes no further. No caller sees it: they were told before.
const OVERTAKEN: &str = "the renewal was overtaken by a logout, by other tokens, or by its deadline";

/// A renewal of a session. Before each step it asks whether it was overtaken.
pub(super) struct SessionRenewal<'a> {
    shared: &'a SessionShared,
    authenticator: Arc<dyn DynAuthenticator>,
    /// For what it gets an access token, if it is not the session's own.
    other: Option<Arc<OtherRequest>>,
    epoch: u64,
    marked: Mutex<Option<MarkedEntry>>,
}

/// The entry after this renewal has marked it.
struct MarkedEntry {
    revision: u64,
    record: Record,
    mark: Mark,
}

impl<'a> SessionRenewal<'a> {
    pub(super) fn new(shared: &'a SessionShared, epoch: u64) -> Self {
        let (stepped_up, other) = {
            let state = shared.cell.lock();
            (state.authenticator_of(epoch), state.other_request(epoch))
        };
        let authenticator = stepped_up.unwrap_or_else(|| Arc::clone(&shared.authenticator));
        Self { shared, authenticator, other, epoch, marked: Mutex::default() }
    }

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

    /// Returns what the session holds now, which may be newer than what the renewal began with: its
    /// follower goes on.
    fn held(&self) -> Basis {
        let state = self.shared.cell.lock();
        Basis { credential: state.credential().clone(), sequence: state.sequence(), token: state.token() }
    }

    async fn load(&self, store: &AccountStore) -> Result<FoundEntry, StoreError> {
        // The load may have to wait for one that hangs.
        self.enter_store(self.policy().store_timeout.saturating_mul(2))?;
        self.shared.load(store).await
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
        let outcome = match &self.shared.store {
            None => exchange(self, plan, basis.credential.clone(), basis.sequence + 1).await,
            Some(store) => self.renew_with_store(store, plan, basis).await,
        };
        if let Some(request) = &self.other {
            self.note_other(outcome.issued());
            request.answer_with(&outcome);
        }
        outcome
    }

    async fn renew_with_store(&self, store: &AccountStore, plan: Plan, basis: &Basis) -> Outcome {
        match self.try_with_store(store, plan, basis).await {
            Ok(outcome) => outcome,
            Err(error) => self.renew_without_store(store, &error, plan).await,
        }
    }

    async fn try_with_store(&self, store: &AccountStore, plan: Plan, basis: &Basis) -> Result<Outcome, StoreError> {
        if store.pending.are_some() {
            // A logout or an adoption is to be in the store before what comes after it.
            self.enter_store(max_lease_wait(self.policy()))?;
            store.pending.ended().await;
        }
        self.enter_store(max_lease_wait(self.policy()))?;
        let adopted = match self.shared.write_unsaved_adoption().await? {
            // In the store, adopted tokens may have another sequence.
            AdoptionWrite::InStore => Some(self.held()),
            AdoptionWrite::LoggedOut(credential) if plan != Plan::LogIn => {
                self.revoke(&credential).await;
                None
            }
            AdoptionWrite::LoggedOut(_) | AdoptionWrite::Nothing => None,
        };
        let basis = adopted.as_ref().unwrap_or(basis);
        // Another process has often renewed already, and then there is nothing to wait for.
        if plan != Plan::LogIn
            && let Some(outcome) = self.known_outcome(plan, &self.load(store).await?, basis)
        {
            return Ok(outcome);
        }
        if !self.take_lease(store).await? {
            // The others may have sent the refresh token that this session has too, so this is no
            // case of `StoreFailure::RefreshUnguarded`.
            let waited = max_lease_wait(self.policy()).as_secs_f32();
            let error = Error::new(ErrorKind::Store, format!("others have been renewing the token for {waited} s"));
            return Ok(Outcome::failed(error, self.held().credential));
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
        if let Some(outcome) = self.known_outcome(plan, &found, basis) {
            return Ok(outcome);
        }
        let was_logged_out = found.record.as_ref().is_some_and(Record::is_logged_out);
        let (mut record, credential) = self.starting_point(store, found.record, basis);
        let credential = after_loss(store, record.sequence, credential);
        let mut revision = found.revision;
        if matches!(plan, Plan::Renew | Plan::Other) && credential.is_valid() {
            self.write_mark(store, revision, &record, &credential).await?;
        }
        let outcome = exchange(self, plan, credential, record.sequence.max(store.sequence()).saturating_add(1)).await;
        let marked = self.marked.lock().take();
        let is_marked = marked.is_some();
        if let Some(marked) = marked {
            store.settle(marked.mark);
            (revision, record) = (marked.revision, marked.record);
        }
        match outcome {
            Outcome::Renewed(issued) => {
                store.overrule(found.revision);
                Ok(self.save(store, revision, &record, issued).await)
            }
            // A login that failed does not undo the logout that is in the store.
            failed @ Outcome::Failed { .. } if was_logged_out => Ok(failed),
            Outcome::Failed { error, credential, serving } => {
                // If this is not written, the mark stays. This session knows that it says nothing;
                // for others it says the same less exactly.
                let after = record.with_credential(credential.clone(), None);
                if is_marked || after != record {
                    let _ = self.write(store, revision, &after).await;
                }
                Ok(Outcome::Failed { error, credential, serving })
            }
            other => Ok(other),
        }
    }

    /// Returns the record that a renewal starts from, and what it refreshes with: the store's, or
    /// what this process has if that is newer.
    fn starting_point(
        &self,
        store: &AccountStore,
        found: Option<Record>,
        basis: &Basis,
    ) -> (Record, RefreshCredential) {
        // What is held may have come to be in doubt since the renewal began.
        let held = self.held().credential;
        let Some(record) = found else { return (Record::empty(basis.sequence), held) };
        let Some(active) = record.active() else {
            let sequence = record.sequence.max(basis.sequence);
            return (
                Record { sequence, ..record.logged_out().with_credential(RefreshCredential::None, None) },
                RefreshCredential::None,
            );
        };
        if record.sequence < basis.sequence {
            return (record.without_access(basis.sequence), held);
        }
        let credential = match active.mark {
            // The store could not be told of the doubt.
            None if active.credential.token().is_some_and(|token| store.is_doubted(token)) => {
                active.credential.clone().in_doubt()
            }
            None => active.credential.clone(),
            Some(mark)
                if store.is_settled(mark)
                    && held.token().is_none_or(|token| Some(token) == active.credential.token()) =>
            {
                held.clone()
            }
            Some(_) => {
                let what =
                    "a refresh was cut off before its answer was saved: whether the refresh token is spent is unknown";
                tracing::warn!(target: "jwt_refresh", sequence = record.sequence, "{what}");
                active.credential.clone().unanswered()
            }
        };
        let captured = store.captured(Some(&record)).filter(|token| Some(token) != active.credential.token());
        match captured {
            // The entry is dead, and the captured tokens are not known to be.
            Some(token) if credential == RefreshCredential::None => (record, RefreshCredential::Valid(token)),
            _ => (record, credential),
        }
    }

    /// Marks the refresh token as about to be spent.
    async fn write_mark(
        &self,
        store: &AccountStore,
        revision: u64,
        record: &Record,
        credential: &RefreshCredential,
    ) -> Result<(), StoreError> {
        let mark = Mark::new();
        let mut record = record.with_credential(credential.clone(), Some(mark));
        // The follower must not take the note for one of another process.
        let captured = credential.token().filter(|token| store.is_captured(token));
        if let Some(token) = captured {
            record = record.with_captured(token);
            store.keep_captured(None);
        }
        // Until the token is sent, the mark says nothing, also if it is written after its time-out.
        store.settle(mark);
        let written = self.write(store, revision, &record).await;
        if written.is_err()
            && let Some(token) = captured
        {
            store.keep_captured(Some(token.clone()));
        }
        let revision = written?;
        store.unsettle(mark);
        *self.marked.lock() = Some(MarkedEntry { revision, record, mark });
        Ok(())
    }

    /// Returns the outcome if the store says that there is nothing to ask the server for.
    fn known_outcome(&self, plan: Plan, found: &FoundEntry, basis: &Basis) -> Option<Outcome> {
        match plan {
            Plan::LogIn => None,
            Plan::Renew => self.outcome_in_store(found, basis),
            Plan::StepUp => found.record.as_ref()?.is_logged_out().then_some(Outcome::LoggedOut),
            Plan::Other => self.other_in_store(found.record.as_ref()?),
        }
    }

    /// Returns the outcome if the store has the access token with other parameters, or a logout.
    fn other_in_store(&self, record: &Record) -> Option<Outcome> {
        if record.is_logged_out() {
            return Some(Outcome::LoggedOut);
        }
        let request = self.other.as_ref()?;
        let issued = self.shared.issued_as(record, &record.other(&request.parameters)?)?;
        let is_fresh = !self.shared.cell.clock.moment().reached(issued.life.ahead);
        (is_fresh && request.takes(&issued.token)).then_some(Outcome::Found(issued))
    }

    /// Returns the outcome if another process has renewed the tokens already, or has logged out.
    fn outcome_in_store(&self, found: &FoundEntry, basis: &Basis) -> Option<Outcome> {
        let record = found.record.as_ref()?;
        if record.is_logged_out() {
            return Some(Outcome::LoggedOut);
        }
        if record.sequence <= basis.sequence {
            return None;
        }
        let now = self.shared.cell.clock.moment();
        let issued = self.shared.issued_tokens(record)?;
        // The sequence also counts access tokens of the login with other parameters.
        let is_new = basis.token.as_ref().is_none_or(|token| token.expose() != issued.token.expose());
        (is_new && !now.reached(issued.life.due)).then_some(Outcome::Found(issued))
    }

    /// Returns the outcome if another process has rotated a refresh token that was denied here.
    /// `sequence` is the one that this renewal would have got.
    async fn rotated_in_store(&self, sequence: u64) -> Option<Outcome> {
        let found = self.load(self.shared.store.as_ref()?).await.ok()?;
        self.outcome_in_store(
            &found,
            &Basis { credential: RefreshCredential::None, sequence: sequence.saturating_sub(1), token: None },
        )
    }

    /// Returns the captured refresh token if the one that the store had was denied, and this one
    /// was not sent before. Notes in the store that it is about to be sent.
    async fn captured_credential(&self, denied: &RefreshToken) -> Option<RefreshToken> {
        let store = self.shared.store.as_ref()?;
        let found = self.load(store).await.ok()?;
        let record = found.record.filter(|record| !record.is_logged_out())?;
        let token = store.captured(Some(&record)).filter(|token| token != denied)?;
        let credential = RefreshCredential::Valid(token.clone());
        self.write_mark(store, found.revision, &record, &credential).await.ok()?;
        Some(token)
    }

    /// Fails, or renews without the store, as the policy says. Each of its three choices loses
    /// something, so the choice is the user's.
    async fn renew_without_store(&self, store: &AccountStore, error: &StoreError, plan: Plan) -> Outcome {
        let serving = match self.policy().store_failure {
            StoreFailure::RefreshUnguarded if !must_be_left_alone(error) => {
                return self.renew_unguarded(store, plan).await;
            }
            StoreFailure::ServeWhatLives | StoreFailure::RefreshUnguarded => Serving::LiveToken,
            StoreFailure::Fail => Serving::Nothing,
        };
        Outcome::Failed { error: store_failure(error), credential: self.held().credential, serving }
    }
}

/// Returns what is left of the credential that came with the token of `sequence`. If the account
/// has had later tokens, what was refreshed with since is lost, and this one may be spent.
fn after_loss(store: &AccountStore, sequence: u64, credential: RefreshCredential) -> RefreshCredential {
    let latest = store.sequence();
    if sequence >= latest || !credential.is_valid() {
        return credential;
    }
    let what = "the account has had later tokens than the store has: whether the refresh token is spent is unknown";
    tracing::warn!(target: "jwt_refresh", account = store.account(), sequence, latest, "{what}");
    credential.unanswered()
}

impl SessionRenewal<'_> {
    async fn renew_unguarded(&self, store: &AccountStore, plan: Plan) -> Outcome {
        // A logout that is seen from now on is newer than the tokens.
        let seen = store.seen();
        let held = self.held();
        let sequence = held.sequence.max(store.sequence()).saturating_add(1);
        let credential = after_loss(store, held.sequence, held.credential);
        match exchange(self, plan, credential, sequence).await {
            Outcome::Renewed(issued) => {
                store.overrule(seen);
                Outcome::Unsaved(issued)
            }
            failed => {
                if let Outcome::Failed { credential: RefreshCredential::InDoubt(token), .. } = &failed {
                    store.note_doubt(token.clone());
                }
                failed
            }
        }
    }
}

impl RenewalContext for SessionRenewal<'_> {
    fn authenticator(&self) -> &Arc<dyn DynAuthenticator> {
        &self.authenticator
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

    fn parameters(&self) -> Option<AccessParameters> {
        Some(self.other.as_ref()?.parameters.clone())
    }

    fn account(&self) -> Option<&str> {
        self.shared.store.as_ref().map(|store| store.account())
    }

    fn failures(&self) -> u32 {
        self.shared.cell.lock().failures()
    }

    fn refused_login(&self) -> Option<Error> {
        self.shared.refused_login.lock().clone()
    }

    fn answered(&self, action: Action, error: Option<&Error>) {
        self.shared.telemetry.answered(action, error);
        // What a step-up is refused says nothing against the login.
        let is_step_up = self.shared.cell.lock().is_step_up(self.epoch);
        if action == Action::Login && !(is_step_up && error.is_some()) {
            self.shared.remember_login(error);
        }
    }

    async fn rotated_elsewhere(&self, sequence: u64) -> Option<Outcome> {
        self.rotated_in_store(sequence).await
    }

    async fn other_credential(&self, denied: &RefreshToken) -> Option<RefreshToken> {
        self.captured_credential(denied).await
    }
}
