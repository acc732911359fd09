//! What all clones of a session share: the state machine behind its lock, and beside it the two words that make the check
//! cheap.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::companions::Companions;
use super::events::Event;
use super::holding::{Grant, Holding};
use super::record::Record;
use super::state::{Landing, Look, Outcome, Plan, State, Ticket, Verdict};
use super::stats::SessionStats;
use super::telemetry::{Counts, Telemetry};
use super::vault::Vault;
use super::{renewal, replica};
use crate::authenticator::AnyAuthenticator;
use crate::{AccessToken, Clock, Error, ErrorKind, Policy, Tokens, runtime};

pub(crate) struct Shared {
    hot: Hot,
    id: u64,
    pub(super) clock: Clock,
    pub(super) policy: Policy,
    pub(super) authenticator: Arc<dyn AnyAuthenticator>,
    vault: Option<Arc<Vault>>,
    upkeep: Upkeep,
    state: Mutex<State>,
    companions: Companions,
    pub(super) telemetry: Telemetry,
    /// How many exchanges with server or store go on.
    busy: watch::Sender<usize>,
}

/// Whether tokens are renewed when nobody asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upkeep {
    OnDemand,
    KeepFresh,
}

/// What a session is put together from.
pub(super) struct Parts {
    pub(super) authenticator: Arc<dyn AnyAuthenticator>,
    pub(super) policy: Policy,
    pub(super) clock: Clock,
    pub(super) vault: Option<Vault>,
    pub(super) upkeep: Upkeep,
}

/// Counts as an exchange that goes on, until dropped.
pub(super) struct Busy(Arc<Shared>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|busy| *busy -= 1);
    }
}

/// What the check reads, on cache lines of its own: a clone of the session, or a caller inside the lock, must not make other
/// cores fetch it anew.
#[repr(align(128))]
struct Hot {
    /// Until when the token may be served unseen, in nanoseconds since the epoch.
    quiet_until: AtomicI64,
    /// The generation of that token.
    generation: AtomicU64,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let Parts { authenticator, policy, clock, vault, upkeep } = parts;
        let shared = Arc::new(Self {
            hot: Hot { quiet_until: AtomicI64::new(i64::MIN), generation: AtomicU64::new(0) },
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            clock,
            policy,
            authenticator,
            vault: vault.map(Arc::new),
            upkeep,
            state: Mutex::new(State::new()),
            companions: Companions::new(),
            telemetry: Telemetry::new(),
            busy: watch::Sender::new(0),
        });
        if let Ok(runtime) = runtime::handle() {
            shared.companions.start(&shared, &runtime);
        }
        shared
    }

    pub(super) fn vault(&self) -> Option<&Arc<Vault>> {
        self.vault.as_ref()
    }

    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.send_modify(|busy| *busy += 1);
        Busy(Arc::clone(self))
    }

    /// Waits until no exchange goes on.
    pub(super) async fn flush(&self) {
        let mut busy = self.busy.subscribe();
        // The sender is in `self`, so the wait cannot be cut off.
        let _ = busy.wait_for(|busy| *busy == 0).await;
    }

    /// Tells this session from every other one in the process.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The check: two loads and a compare.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.clock.timestamp().as_nanos() < self.hot.quiet_until.load(Ordering::Acquire)
    }

    /// The token if it is fresh, from this thread's own copy of it.
    #[inline]
    pub(super) fn ready(&self) -> Option<AccessToken> {
        if !self.is_ready() {
            return None;
        }
        let generation = self.hot.generation.load(Ordering::Acquire);
        replica::of(self.id, generation).or_else(|| self.replicate())
    }

    #[cold]
    fn replicate(&self) -> Option<AccessToken> {
        let token = self.lock().token()?;
        Some(replica::keep(self.id, token))
    }

    /// A fresh token, after a renewal if that is what it takes. The renewal is begun at once; the future only waits.
    pub(super) fn fresh(self: &Arc<Self>) -> impl Future<Output = Result<AccessToken, Error>> + use<> {
        let look = self.look();
        let shared = Arc::clone(self);
        async move {
            let mut look = look?;
            loop {
                let outcome = match look {
                    Ok(token) => return Ok(token),
                    Err(outcome) => outcome,
                };
                shared.telemetry.waited();
                match shared.wait(outcome).await {
                    Ok(token) => return Ok(token),
                    Err(verdict) => {
                        if let Some(result) = verdict.token() {
                            return result;
                        }
                    }
                }
                look = shared.look()?;
            }
        }
    }

    /// Waits for a renewal, but not until the token that there is has expired.
    async fn wait(&self, outcome: Outcome) -> Result<AccessToken, Verdict> {
        let patience = self.lock().patience(self.clock.moment());
        let Some((token, until)) = patience else { return Err(verdict(outcome).await) };
        tokio::select! {
            biased;
            verdict = verdict(outcome) => Err(verdict),
            () = self.clock.sleep_until(until) => Ok(token),
        }
    }

    /// A login now, whatever is held. It is begun at once; the future only waits.
    pub(super) fn log_in_now(self: &Arc<Self>) -> impl Future<Output = Result<AccessToken, Error>> + use<> {
        let begun = self.begin(self.lock(), Plan::LogIn);
        async move { verdict(begun?).await.success() }
    }

    fn look(self: &Arc<Self>) -> Result<Result<AccessToken, Outcome>, Error> {
        let state = self.lock();
        match state.look(self.clock.moment()) {
            Look::Serve(token) => Ok(Ok(token)),
            Look::Fail(error) => Err(error),
            Look::Wait(_) if renewal::is_within(self.id) => Err(reentrant()),
            Look::Wait(outcome) => Ok(Err(outcome)),
            Look::Renew(live) => {
                let begun = self.begin(state, Plan::Renew);
                match live {
                    // Refresh-ahead is a courtesy: that it could not begin is no reason to withhold a token that lives.
                    Some(token) => Ok(Ok(token)),
                    None => begun.map(Err),
                }
            }
        }
    }

    /// Begins a renewal in a task of its own, or joins the one under way. The task is launched after the lock is given back: a
    /// runtime that was shut down drops it, and thereby lands it, on the spot.
    fn begin(self: &Arc<Self>, mut state: MutexGuard<'_, State>, plan: Plan) -> Result<Outcome, Error> {
        if renewal::is_within(self.id) {
            return Err(reentrant());
        }
        let runtime = runtime::handle()?;
        match state.begin(plan) {
            Err(under_way) => Ok(under_way),
            Ok(ticket) => {
                let outcome = ticket.subscribe();
                self.publish(&state);
                drop(state);
                self.companions.start(self, &runtime);
                renewal::launch(Arc::clone(self), ticket, &runtime);
                Ok(outcome)
            }
        }
    }

    pub(super) fn land(&self, ticket: Ticket, landing: Landing) {
        let event = Event::of(&landing);
        let mut state = self.lock();
        let announcement = state.land(ticket, landing, &self.policy, self.clock.moment());
        self.publish(&state);
        drop(state);
        announcement.make();
        self.telemetry.note(event);
    }

    pub(super) fn reject(&self, generation: u64) {
        let mut state = self.lock();
        state.reject(generation, &self.policy, self.clock.moment());
        self.publish(&state);
    }

    /// Starts from captured tokens, which count as older than any that the store has.
    pub(super) fn begin_from(&self, tokens: Tokens) {
        let mut state = self.lock();
        state.adopt(Holding::captured(&self.policy, tokens, self.clock.moment(), 0));
        self.publish(&state);
    }

    /// Holds tokens of the user's, here and now.
    fn adopt_here(&self, tokens: Tokens) -> Holding {
        let mut state = self.lock();
        let issue = state.next_issue();
        let holding = Holding::captured(&self.policy, tokens, self.clock.moment(), issue);
        state.adopt(holding.clone());
        self.publish(&state);
        holding
    }

    /// Forgets everything, here and now; what could be refreshed with until then.
    pub(super) fn log_out_here(&self) -> Grant {
        let mut state = self.lock();
        let grant = state.grant().clone();
        state.log_out();
        self.publish(&state);
        drop(state);
        self.telemetry.note(Event::LoggedOut);
        grant
    }

    /// Logs out here, in the store, and at the server, in this order: logout wins even where the later steps fail.
    pub(super) async fn log_out(self: Arc<Self>) -> Result<(), Error> {
        let grant = self.log_out_here();
        let stored = self.overwrite(Record::logged_out).await;
        let theirs = stored.as_ref().ok().and_then(|record| record.as_ref()?.grant().cloned());
        let revoked = self.revoke(&theirs.unwrap_or(grant)).await;
        stored.map(drop).and(revoked)
    }

    /// Tells the server that a refresh token is no longer wanted.
    pub(super) async fn revoke(&self, grant: &Grant) -> Result<(), Error> {
        let (Grant::Sound(token) | Grant::Doubtful(token)) = grant else { return Ok(()) };
        let revocation = Arc::clone(&self.authenticator).revoke(token.clone());
        let timeout = self.policy.refresh_timeout;
        tokio::time::timeout(timeout, revocation).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Unanswered,
                format!("the revocation was not answered within {} s", timeout.as_secs_f32()),
            ))
        })
    }

    /// Takes tokens of the user's, here and in the store.
    pub(super) async fn adopt(self: Arc<Self>, tokens: Tokens) -> Result<(), Error> {
        let holding = self.adopt_here(tokens);
        let record = |issue| {
            let issue = holding.issue.max(issue + 1);
            Record::of(&Holding { issue, ..holding.clone() }, self.clock.moment())
        };
        self.overwrite(record).await.map(drop)
    }

    pub(super) fn stats(&self) -> SessionStats {
        let expires_at = self.lock().token().and_then(|token| token.expires_at());
        let expires_in = expires_at.map(|time| time.duration_since(self.clock.now()).unwrap_or_default());
        let Counts { logins, refreshes, failures, waits, last_error } = self.telemetry.counts();
        SessionStats { logins, refreshes, failures, waits, expires_in, last_error }
    }

    pub(super) fn is_current(&self, issue: u64) -> bool {
        self.lock().issue() == issue
    }

    /// Takes what another process has written; the revision that was found, unless the store failed.
    pub(super) async fn follow_store(&self) -> Option<u64> {
        let found = self.vault()?.load(&self.policy).await.ok()?;
        let Some(record) = found.record else { return Some(found.revision) };
        if record.is_logged_out() {
            if !self.lock().is_logged_out() && !self.is_logging_in() {
                self.log_out_here();
            }
            return Some(found.revision);
        }
        if let Some(holding) = record.holding(&self.policy, self.clock.moment()) {
            let mut state = self.lock();
            if state.follow(holding) {
                self.publish(&state);
                drop(state);
                self.telemetry.note(Event::Adopted);
            }
        }
        Some(found.revision)
    }

    /// A login that the user asked for will overwrite a logout that is still in the store.
    fn is_logging_in(&self) -> bool {
        self.lock().is_renewing()
    }

    /// A deadline has passed, on a clock that cannot be stepped.
    pub(super) fn tick(self: &Arc<Self>) {
        if self.upkeep == Upkeep::KeepFresh {
            // Whatever comes of it is told by events and to whoever asks next.
            let _ = self.look();
            return;
        }
        let state = self.lock();
        if self.clock.moment().reached(state.quiet_until()) {
            self.hot.quiet_until.store(i64::MIN, Ordering::Release);
        }
    }

    /// Makes what the state says visible to the check. Called with the lock held, so that writers do not overtake each other.
    fn publish(&self, state: &State) {
        let quiet_until = state.quiet_until();
        // The generation first: whoever then sees the new deadline sees the new generation too.
        self.hot.generation.store(state.generation(), Ordering::Release);
        self.hot.quiet_until.store(quiet_until.wall.as_nanos(), Ordering::Release);
        self.companions.wake_at(state.wake_at());
    }

    /// No code of the user's runs under this lock, so what a poisoned one guards is as good as ever.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn verdict(mut outcome: Outcome) -> Verdict {
    match outcome.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(verdict)) => verdict.clone(),
        // Every ticket is landed, if only by its guard's drop.
        _ => Verdict::Failed(Error::new(ErrorKind::Aborted, "the renewal was lost"), None),
    }
}

fn reentrant() -> Error {
    Error::new(ErrorKind::Reentrant, "a login or refresh asked its own session for a token, and would wait for itself")
}
