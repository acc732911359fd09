//! Writing to the store outside of a renewal: what the user asked for, and what could not be
//! written when it was due.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::account_store::{must_be_left_alone, store_failure};
use super::record::Record;
use super::shared::{SessionShared, Unsaved};
use super::store_sync::SessionRenewal;
use super::unsaved::{Adoption, AdoptionWrite, TokenSource, UnsavedTokens};
use crate::clock::Moment;
use crate::error::Error;
use crate::renewal::{IssuedTokens, Outcome, revoke};
use crate::runtime;
use crate::store::{StoreError, StoreErrorKind};

/// How often an overwrite is tried while other processes keep writing, and the pause between.
const OVERWRITES: (u32, Duration) = (100, Duration::from_millis(10));

/// How often a session that was dropped tries to write, and how often [`flush`] waits for that.
///
/// [`flush`]: super::Session::flush
const LAST_ATTEMPTS: u32 = 20;

/// What could not be written when it was due.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The tokens of this sequence.
    Tokens(u64),
    Logout,
}

/// Writes to the store as soon as that is possible, after a pause each time, until it is written or
/// of no use any more. The first attempts are made even if the session is dropped, and a flush
/// waits for them.
pub(super) fn spawn_write(unsaved: Unsaved, what: Unwritten) {
    // Without the library's runtime, nothing in this process can be written.
    if let Ok(library) = runtime::handle() {
        library.spawn(write_later(library.clone(), unsaved, what));
    }
}

async fn write_later(library: Handle, unsaved: Unsaved, mut what: Unwritten) {
    for failures in 1..=LAST_ATTEMPTS {
        tokio::time::sleep(unsaved.session().policy().pause(failures, None)).await;
        match attempt(&library, unsaved.session(), what).await {
            Some(unwritten) => what = unwritten,
            None => return,
        }
    }
    let policy = unsaved.session().policy().clone();
    let session = Arc::downgrade(unsaved.session());
    drop(unsaved);
    loop {
        tokio::time::sleep(policy.pause(LAST_ATTEMPTS, None)).await;
        let Some(shared) = session.upgrade() else { return };
        match attempt(&library, &shared, what).await {
            Some(unwritten) => what = unwritten,
            None => return,
        }
    }
}

/// Tries to write once more, on a thread of its own: an authenticator may block it.
async fn attempt(library: &Handle, session: &Arc<SessionShared>, what: Unwritten) -> Option<Unwritten> {
    let shared = Arc::clone(session);
    let attempt = async move { shared.write_again(what).await };
    runtime::spawn_on_own_thread(library, attempt).await.ok().flatten()
}

impl SessionShared {
    /// Tries to write once more. Returns what is still to be written.
    async fn write_again(&self, what: Unwritten) -> Option<Unwritten> {
        match what {
            Unwritten::Tokens(sequence) => {
                let is_done = self.write_tokens_again(sequence).await;
                (!is_done).then_some(Unwritten::Tokens(sequence))
            }
            Unwritten::Logout => {
                let is_done = self.write_logout_again().await;
                (!is_done).then_some(Unwritten::Logout)
            }
        }
    }

    /// Writes a logout, unless there was a login since. Returns false if it could not be written
    /// yet, or if a login is under way that may fail.
    async fn write_logout_again(&self) -> bool {
        // A login that begins from now on waits until this is written, or its tokens would be lost
        // to the logout.
        let write = {
            let state = self.cell.lock();
            if !state.is_logged_out() {
                return state.running_renewal().is_none();
            }
            self.begin_write()
        };
        let written = self.overwrite_in_turn(write.as_ref(), |before, sequence| Some(logged_out(before, sequence)));
        let overwritten = match written.await {
            Ok(overwritten) => overwritten,
            Err(error) => return must_be_left_alone(&error),
        };
        self.delete_corrupt().await;
        drop(write);
        let stored = overwritten.and_then(|overwritten| overwritten.before?.credential().cloned());
        // A failure is logged, and there is nobody left to be told.
        let _ = revoke(&self.authenticator, &stored.unwrap_or_default(), self.policy().refresh_timeout).await;
        true
    }

    /// Saves the tokens of `sequence`, unless the store has them, or newer ones or a logout have
    /// replaced them. Returns false if they could not be saved yet.
    async fn write_tokens_again(&self, sequence: u64) -> bool {
        let (unsaved, epoch) = {
            let state = self.cell.lock();
            (state.unsaved().filter(|unsaved| unsaved.issued.sequence == sequence), state.idle_epoch())
        };
        let (Some(UnsavedTokens { issued, source }), Some(epoch)) = (&unsaved, epoch) else {
            return unsaved.is_none();
        };
        let written = match source {
            TokenSource::Adoption(_) => self.write_adoption_again(issued.sequence).await,
            TokenSource::Renewal => self.save_again(issued, epoch).await,
        };
        written.unwrap_or_else(|error| {
            let is_given_up = must_be_left_alone(&error);
            self.cell.lock().note_saved(|_| is_given_up);
            is_given_up
        })
    }

    /// Writes adopted tokens. Returns false if they could not be written yet.
    async fn write_adoption_again(&self, sequence: u64) -> Result<bool, StoreError> {
        let AdoptionWrite::LoggedOut(credential) = self.write_unsaved_adoption().await? else { return Ok(true) };
        if !self.log_out_unsaved(sequence) {
            return Ok(false);
        }
        // A failure is logged, and there is nobody left to be told.
        let _ = revoke(&self.authenticator, &credential, self.policy().refresh_timeout).await;
        Ok(true)
    }

    /// Forgets the tokens of `sequence`, which could not be saved, because another process has
    /// logged out since. Returns false if a renewal, or something that the user did, came after
    /// that.
    fn log_out_unsaved(&self, sequence: u64) -> bool {
        let is_idle = || self.store.as_ref().is_some_and(|store| !store.pending.are_some());
        let is_out = self.cell.log_out_unsaved(sequence, is_idle, |event| self.telemetry.send_event(event));
        if is_out {
            self.forget_children();
        }
        is_out
    }

    /// Saves the tokens of a renewal. Returns false if they could not be saved yet.
    async fn save_again(&self, issued: &IssuedTokens, epoch: u64) -> Result<bool, StoreError> {
        let saved = SessionRenewal::new(self, epoch).save_again(issued).await;
        self.lease.release(epoch);
        match saved? {
            None | Some(Outcome::Unsaved(_)) => return Ok(false),
            Some(Outcome::LoggedOut) => return Ok(self.log_out_unsaved(issued.sequence)),
            Some(Outcome::Renewed(saved)) => self.cell.renumber(issued.sequence, saved.sequence),
            Some(Outcome::Found(found)) => {
                self.cell.replace(issued.sequence, found, |event| self.telemetry.send_event(event));
            }
            Some(Outcome::Failed { .. }) => {}
        }
        Ok(true)
    }

    /// Writes the tokens that the user has brought, if they could not be written then. They
    /// displace what another process has made of an older login since. A logout that is found came
    /// after them.
    pub(super) async fn write_unsaved_adoption(&self) -> Result<AdoptionWrite, StoreError> {
        let Some(store) = &self.store else { return Ok(AdoptionWrite::Nothing) };
        let Some((UnsavedTokens { issued, .. }, adoption)) = self.unsaved_adoption() else {
            return Ok(AdoptionWrite::Nothing);
        };
        // Between two attempts, they may be found in the store, spent or replaced.
        let current = || {
            let (UnsavedTokens { issued, .. }, _) = self.unsaved_adoption().filter(|(_, other)| *other == adoption)?;
            Some(issued)
        };
        let record = |before: Option<&Record>, _| {
            let issued = current().filter(|_| !before.is_some_and(Record::is_logged_out))?;
            Some(adopted(before, &issued, adoption, self.cell.clock.moment()))
        };
        let Some(Overwritten { before, now }) = self.overwrite(record).await? else {
            return Ok(AdoptionWrite::Nothing);
        };
        if let Some(now) = now {
            self.cell.renumber(issued.sequence, now.sequence);
            return Ok(AdoptionWrite::InStore);
        }
        let Some(before) = before else { return Ok(AdoptionWrite::Nothing) };
        if before.is_logged_out() {
            let credential = current().map(|issued| issued.credential);
            return Ok(credential.map_or(AdoptionWrite::Nothing, AdoptionWrite::LoggedOut));
        }
        // Others may have followed on them.
        self.follow_tokens(store, &before);
        Ok(AdoptionWrite::InStore)
    }

    fn unsaved_adoption(&self) -> Option<(UnsavedTokens, Adoption)> {
        let unsaved = self.cell.lock().unsaved()?;
        let TokenSource::Adoption(adoption) = unsaved.source else { return None };
        Some((unsaved, adoption))
    }

    /// Overwrites the entry with what `record` makes of the one before and of this session's
    /// sequence, unless that is `None`. Returns the records from before and now.
    pub(super) async fn overwrite(
        &self,
        record: impl Fn(Option<&Record>, u64) -> Option<Record>,
    ) -> Result<Option<Overwritten>, StoreError> {
        let Some(store) = &self.store else { return Ok(None) };
        let (attempts, pause) = OVERWRITES;
        for _ in 0..attempts {
            let found = self.load(store).await?;
            let sequence = self.cell.lock().sequence();
            let Some(now) = record(found.record.as_ref(), sequence) else {
                return Ok(Some(Overwritten { before: found.record, now: None }));
            };
            match store.save(self.policy(), found.revision, &now).await {
                Ok(_) => return Ok(Some(Overwritten { before: found.record, now: Some(now) })),
                Err(error) if error.kind() == StoreErrorKind::Conflict => tokio::time::sleep(pause).await,
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "others keep writing to the store"))
    }
}

/// An entry that was overwritten, and what it is now, or `None` if it was left as it was.
pub(super) struct Overwritten {
    pub(super) before: Option<Record>,
    pub(super) now: Option<Record>,
}

/// Returns the record of a logout. `sequence` is that of the newest token that this session knows
/// of.
pub(super) fn logged_out(before: Option<&Record>, sequence: u64) -> Record {
    let before = before.cloned().unwrap_or_else(|| Record::empty(sequence));
    Record { sequence: sequence.max(before.sequence), ..before.logged_out() }
}

/// Returns the record of tokens that the user has brought, as the clock shows `now`. They are newer
/// than any that the store has.
pub(super) fn adopted(before: Option<&Record>, issued: &IssuedTokens, adoption: Adoption, now: Moment) -> Record {
    let before = before.cloned().unwrap_or_else(|| Record::empty(0));
    let sequence = issued.sequence.max(before.sequence + 1);
    before.without_others().with_adopted(&IssuedTokens { sequence, ..issued.clone() }, adoption, now)
}

/// Logs that something is not written yet, and returns the error for the user.
pub(super) fn not_written(error: &StoreError) -> Error {
    tracing::warn!(target: "jwt_refresh", %error, "the store was not written");
    store_failure(error)
}
