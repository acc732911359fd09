//! The entry of an account in a store. Each operation is bounded by a time-out, a panic of the
//! store is a failure like any other, and an entry that cannot be read is handled as the policy
//! says.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::pending_writes::PendingWrites;
use super::record::{Mark, Record};
use super::record_format;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::policy::{CorruptEntry, Policy};
use crate::provider::BoxFuture;
use crate::renewal::RefreshCredential;
use crate::store::{DynLease, DynStore, StoreEntry, StoreError, StoreErrorKind};
use crate::sync::Mutex;
use crate::token::RefreshToken;

/// The entry of an account in a store, and what this session knows of it.
pub(super) struct AccountStore {
    store: Arc<dyn DynStore>,
    account: String,
    /// The server that this session's tokens are for, if that is known.
    server: Option<String>,
    /// The logouts and adoptions that are on their way to the store.
    pub(super) pending: Arc<PendingWrites>,
    known: Mutex<Known>,
    /// Loads that have not ended within their time-out. The next one waits for them, so that a
    /// store that hangs is not asked again and again.
    hanging: Mutex<Vec<HangingLoad>>,
}

/// A load that has not ended within its time-out.
struct HangingLoad {
    load: Load,
    /// How many time-outs it has been waited for.
    waits: u32,
}

/// How many time-outs of a load pass until it is given up, as if its answer had been lost. The
/// number doubles with each load that was given up, so that a store that hangs is asked ever more
/// rarely.
const WAITS: u32 = 6;

type Load = BoxFuture<'static, Result<Option<StoreEntry>, StoreError>>;

/// What this session knows of the entry.
#[derive(Default)]
struct Known {
    /// The revision of the newest entry seen. A store that shows a lower one has lost what was
    /// written since.
    revision: u64,
    /// The highest sequence seen in it, or known from elsewhere.
    sequence: u64,
    /// A logout of this revision, or of an earlier one, is older than the tokens that this session
    /// has got since, so it says nothing.
    overruled: u64,
    /// How many loads were given up since the last one that has ended.
    given_up: u32,
    /// The marks of this session that say nothing, because it knows what came of them.
    settled: Vec<Mark>,
    /// The refresh token that was sent without an answer and without a mark.
    doubted: Option<RefreshToken>,
    /// What was wrong with the entry when it was last reported.
    reported: Option<String>,
    /// By how many nanoseconds the server's clock is ahead of the time since boot, which cannot be
    /// stepped.
    server_since_boot: Option<i64>,
    /// The refresh token that the session was built with, as long as it has not been sent.
    captured: Option<RefreshToken>,
}

impl Known {
    /// Takes the entry of `revision` for the newest, also if one of a higher revision was seen.
    fn start_from(&mut self, revision: u64) {
        self.revision = revision;
        self.overruled = self.overruled.min(revision);
    }

    /// Returns the record of `revision`. If that is a logout which was overruled, it counts as an
    /// account without tokens.
    fn judged(&self, revision: u64, record: Record) -> Record {
        if record.is_logged_out() && revision <= self.overruled {
            return record.with_credential(RefreshCredential::None, None);
        }
        record
    }
}

/// How many marks are remembered. There is one at a time, and one more for each write that has
/// timed out.
const MARKS: usize = 16;

/// The entry that was found in the store.
pub(super) struct FoundEntry {
    /// The revision of the entry, also if its content cannot be read; 0 if there is none.
    pub(super) revision: u64,
    pub(super) record: Option<Record>,
    /// Whether the trace of a refresh may be lost to this session: the store was emptied, went back
    /// to an earlier state, or has a damaged entry of another process.
    pub(super) has_lost: bool,
}

impl AccountStore {
    pub(super) fn new(store: Arc<dyn DynStore>, account: String, server: Option<String>) -> Self {
        Self {
            store,
            account,
            server,
            pending: PendingWrites::new(),
            known: Mutex::default(),
            hanging: Mutex::default(),
        }
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// Reads the entry.
    pub(super) async fn load(&self, policy: &Policy) -> Result<FoundEntry, StoreError> {
        // This is read before the load. A revision that another task sees meanwhile may be higher,
        // and says nothing about this entry.
        let seen = self.known.lock().revision;
        let entry = match self.load_entry(policy.store_timeout).await {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                // Another process may have written it after a refresh.
                let has_lost = seen > 0 && error.revision().is_some_and(|revision| revision > seen);
                return Ok(FoundEntry { has_lost, ..self.handle_corrupt(&error, policy)? });
            }
            entry => entry.inspect_err(|error| self.report_key_mismatch(error))?,
        };
        match self.read(entry) {
            Ok((revision, record)) => {
                let has_lost = revision < seen;
                let mut known = self.known.lock();
                known.reported = None;
                if revision > known.revision || (has_lost && known.revision == seen) {
                    known.revision = revision;
                }
                if has_lost {
                    // The logout may be one that was written after that.
                    known.overruled = 0;
                }
                known.sequence = known.sequence.max(record.as_ref().map_or(0, |record| record.sequence));
                let record = record.map(|record| known.judged(revision, record));
                Ok(FoundEntry { revision, record, has_lost })
            }
            Err(error) if error.kind() == StoreErrorKind::Corrupt => self.handle_corrupt(&error, policy),
            Err(error) => {
                self.report_key_mismatch(&error);
                Err(error)
            }
        }
    }

    /// Logs, once, that the keys of this process do not fit the entry.
    fn report_key_mismatch(&self, error: &StoreError) {
        if error.kind() == StoreErrorKind::KeyMismatch && self.is_new(error) {
            tracing::error!(target: "jwt_refresh", account = self.account, %error, "the entry in the store is not used and not replaced: it has another key than this process");
        }
    }

    /// Notes what is wrong with the entry. Returns whether it was something else before.
    fn is_new(&self, error: &StoreError) -> bool {
        let text = error.to_string();
        self.known.lock().reported.replace(text.clone()) != Some(text)
    }

    async fn load_entry(&self, timeout: Duration) -> Result<Option<StoreEntry>, StoreError> {
        while let Some(HangingLoad { load, waits }) = self.next_hanging() {
            // It may have read an older entry, so its answer does not count.
            let _ = self.finish(load, waits, timeout).await?;
        }
        let (store, account) = (Arc::clone(&self.store), self.account.clone());
        self.finish(Box::pin(async move { store.load(&account).await }), 0, timeout).await?
    }

    fn next_hanging(&self) -> Option<HangingLoad> {
        self.hanging.lock().pop()
    }

    /// Waits until a load has ended, at most for `timeout`. A load that has not ended is kept for
    /// the next caller. It is given up if `waits`, the number of waits before this one, is too
    /// high.
    async fn finish(
        &self,
        mut load: Load,
        waits: u32,
        timeout: Duration,
    ) -> Result<Result<Option<StoreEntry>, StoreError>, StoreError> {
        if let Ok(answer) = tokio::time::timeout(timeout, caught(&mut load)).await {
            self.known.lock().given_up = 0;
            return Ok(answer);
        }
        let waits = waits + 1;
        let given_up = self.known.lock().given_up;
        if waits < WAITS << given_up.min(20) {
            self.hanging.lock().push(HangingLoad { load, waits });
        } else {
            self.known.lock().given_up = given_up + 1;
        }
        Err(unanswered(timeout))
    }

    fn read(&self, entry: Option<StoreEntry>) -> Result<(u64, Option<Record>), StoreError> {
        let Some(StoreEntry { revision, data }) = entry else { return Ok((0, None)) };
        let record = record_format::read(&data, &self.account, revision)?;
        match (&record.server, &self.server) {
            (Some(theirs), Some(ours)) if theirs != ours => Err(other_server(&self.account, theirs, ours)),
            _ => Ok((revision, Some(record))),
        }
    }

    /// Treats an entry that cannot be read as none, or as a failure of the store, as the policy
    /// says. The next entry that is written replaces it.
    fn handle_corrupt(&self, error: &StoreError, policy: &Policy) -> Result<FoundEntry, StoreError> {
        // A store that names no revision has set the entry aside. What it shows from now on has not
        // gone back.
        let revision = error.revision().unwrap_or(0);
        if error.revision().is_none() {
            self.known.lock().start_from(revision);
        }
        if self.is_new(error) {
            tracing::warn!(target: "jwt_refresh", account = self.account, %error, "the entry in the store cannot be read");
        }
        if policy.corrupt_entry == CorruptEntry::TreatAsDown {
            return Err(StoreError::new(StoreErrorKind::Unavailable, error.to_string()));
        }
        Ok(FoundEntry { revision, record: None, has_lost: false })
    }

    /// Writes the record after the entry of `revision`. Returns its revision.
    pub(super) async fn save(&self, policy: &Policy, revision: u64, record: &Record) -> Result<u64, StoreError> {
        let revision = revision.checked_add(1).ok_or_else(|| {
            StoreError::new(StoreErrorKind::Unavailable, "the entry in the store has the last revision that there is")
        })?;
        let record = Record { server: self.server.clone().or_else(|| record.server.clone()), ..record.clone() };
        let entry = StoreEntry { revision, data: record_format::write(&record, &self.account, revision) };
        with_timeout(policy.store_timeout, caught(self.store.save(&self.account, &entry))).await?;
        // It may be lower than one seen before: the store has lost that, or set it aside.
        self.known.lock().start_from(revision);
        Ok(revision)
    }

    /// Deletes the copies of corrupt entries that the store has kept.
    pub(super) async fn delete_corrupt(&self, policy: &Policy) -> Result<(), StoreError> {
        with_timeout(policy.store_timeout, caught(self.store.delete_corrupt(&self.account))).await
    }

    /// Waits for the renewal lease. Returns `None` if others had it all the time: the store works,
    /// but it was not this session's turn.
    pub(super) async fn lease(&self, policy: &Policy) -> Result<Option<DynLease>, StoreError> {
        let lease = caught(self.store.lease(&self.account));
        tokio::time::timeout(max_lease_wait(policy), lease).await.ok().transpose()
    }

    /// Waits until the entry may be another than the one of `revision`.
    pub(super) async fn changed(&self, revision: u64) -> Result<(), StoreError> {
        let changed = async {
            self.store.changed(&self.account, revision).await;
            Ok(())
        };
        caught(changed).await
    }

    /// Returns whether an entry of `revision` or a later one has been seen.
    pub(super) fn has_seen(&self, revision: u64) -> bool {
        self.known.lock().revision >= revision
    }

    /// Returns the revision of the newest entry seen.
    pub(super) fn seen(&self) -> u64 {
        self.known.lock().revision
    }

    /// Notes that a token of the account has had this sequence.
    #[cfg(feature = "redis")]
    pub(super) fn note_sequence(&self, sequence: u64) {
        let known = &mut self.known.lock().sequence;
        *known = sequence.max(*known);
    }

    /// Returns the highest sequence seen.
    pub(super) fn sequence(&self) -> u64 {
        self.known.lock().sequence
    }

    /// Notes that this session has got tokens after it had seen the entry of `revision`, so that a
    /// logout in that one is outdated.
    pub(super) fn overrule(&self, revision: u64) {
        let overruled = &mut self.known.lock().overruled;
        *overruled = revision.max(*overruled);
    }

    /// Notes that a refresh token is in doubt, and that the store could not be told.
    pub(super) fn note_doubt(&self, token: RefreshToken) {
        self.known.lock().doubted = Some(token);
    }

    pub(super) fn is_doubted(&self, token: &RefreshToken) -> bool {
        self.known.lock().doubted.as_ref() == Some(token)
    }

    /// Remembers that this session knows what came of its `mark`: the refresh token was not sent,
    /// or the outcome is known.
    pub(super) fn settle(&self, mark: Mark) {
        let settled = &mut self.known.lock().settled;
        if settled.len() == MARKS {
            settled.remove(0);
        }
        settled.push(mark);
    }

    /// Forgets that, because the refresh token is about to be sent.
    pub(super) fn unsettle(&self, mark: Mark) {
        self.known.lock().settled.retain(|other| *other != mark);
    }

    pub(super) fn is_settled(&self, mark: Mark) -> bool {
        self.known.lock().settled.contains(&mark)
    }

    /// Notes by how many nanoseconds the server's clock was found to be ahead of this process's.
    pub(super) fn note_server_ahead(&self, nanos: Option<i64>, now: Moment) {
        let since_boot = |nanos: i64| nanos.saturating_add(now.wall.as_nanos()).saturating_sub(now.boot.as_nanos());
        let known = &mut self.known.lock().server_since_boot;
        *known = nanos.map(since_boot).or(*known);
    }

    /// Returns by how many nanoseconds the server's clock is ahead of this process's wall clock, if
    /// that is known.
    pub(super) fn server_ahead(&self, now: Moment) -> Option<i64> {
        let server = self.known.lock().server_since_boot?.saturating_add(now.boot.as_nanos());
        Some(server.saturating_sub(now.wall.as_nanos()))
    }

    /// Keeps the refresh token that the session was built with, or forgets it.
    pub(super) fn keep_captured(&self, token: Option<RefreshToken>) {
        self.known.lock().captured = token;
    }

    /// Takes the refresh token that the session was built with, if it has not been sent.
    pub(super) fn take_captured(&self) -> Option<RefreshToken> {
        self.known.lock().captured.take()
    }

    /// Returns the refresh token that the session was built with, unless it was sent before.
    pub(super) fn captured(&self, record: Option<&Record>) -> Option<RefreshToken> {
        let captured = self.known.lock().captured.clone()?;
        let is_used = record.is_some_and(|record| record.has_used(&captured));
        (!is_used).then_some(captured)
    }

    /// Forgets the refresh token that the session was built with if it was sent before, so that
    /// what came of it is in the store. Returns whether it was.
    pub(super) fn forget_used(&self, record: &Record) -> bool {
        let has_outcome = record.active().is_none_or(|active| active.access.is_some());
        self.known.lock().captured.take_if(|token| has_outcome && record.has_used(token)).is_some()
    }

    /// Returns whether `token` is the one that the session was built with.
    pub(super) fn is_captured(&self, token: &RefreshToken) -> bool {
        self.known.lock().captured.as_ref() == Some(token)
    }
}

/// Returns how long to wait for the renewal lease. The process that has it may be doing a refresh
/// and then a login, so a shorter wait would give up on a renewal that goes well.
pub(super) fn max_lease_wait(policy: &Policy) -> Duration {
    let exchange = policy.refresh_timeout.saturating_add(policy.login_timeout);
    exchange.saturating_add(policy.store_timeout.saturating_mul(4))
}

/// Returns the session's error for a failure of its store. What a person has to change is said in
/// the error itself.
pub(super) fn store_failure(error: &StoreError) -> Error {
    if is_setup(error) {
        return Error::new(ErrorKind::Configuration, error.to_string()).caused_by(error.clone());
    }
    Error::new(ErrorKind::Store, "the token store failed").caused_by(error.clone())
}

/// Returns whether a person has to change something before the store can be used.
fn is_setup(error: &StoreError) -> bool {
    error.kind() == StoreErrorKind::Configuration || must_be_left_alone(error)
}

/// Returns whether the entry is not this session's to use or to replace, whatever the policy says.
pub(super) fn must_be_left_alone(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::LaterFormat | StoreErrorKind::OtherServer | StoreErrorKind::KeyMismatch)
}

fn other_server(account: &str, theirs: &str, ours: &str) -> StoreError {
    let what = format!(
        "the entry of account {account:?} in the store belongs to the server {theirs}, and this session uses {ours}: \
         give it an account name or a store of its own, or the same `server_id` if the two are one"
    );
    StoreError::new(StoreErrorKind::OtherServer, what)
}

/// Bounds an operation of the store.
async fn with_timeout<T>(
    timeout: Duration,
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(timeout, operation).await.unwrap_or_else(|_| Err(unanswered(timeout)))
}

fn unanswered(timeout: Duration) -> StoreError {
    let what = format!("the store did not answer within {} s", timeout.as_secs_f32());
    StoreError::new(StoreErrorKind::Unavailable, what)
}

/// Turns a panic of the store into a failure.
async fn caught<T>(operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let mut operation = pin!(operation);
    std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| operation.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Err(StoreError::new(StoreErrorKind::Unavailable, "the store panicked"))))
    })
    .await
}
