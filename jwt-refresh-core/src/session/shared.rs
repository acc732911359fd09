//! What all clones of a session share, and what they ask of it: a token, a login, a logout.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::companions::Companions;
use super::desk::{Desk, Followed, Turn};
use super::events::Event;
use super::holding::{Grant, Holding};
use super::record::Record;
use super::state::{Landing, Outcome, Ticket, Verdict};
use super::stats::SessionStats;
use super::tally::Tally;
use super::telemetry::{Counts, Telemetry};
use super::vault::{Found, Vault};
use super::{renewal, replica};
use crate::authenticator::AnyAuthenticator;
use crate::{AccessToken, Clock, Error, ErrorKind, Policy, Tokens, runtime};

pub(crate) struct Shared {
    id: u64,
    pub(super) desk: Desk,
    pub(super) authenticator: Arc<dyn AnyAuthenticator>,
    vault: Option<Arc<Vault>>,
    upkeep: Upkeep,
    companions: Companions,
    /// How often a token was asked for.
    requests: Tally,
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

impl Shared {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let Parts { authenticator, policy, clock, vault, upkeep } = parts;
        let shared = Arc::new(Self {
            id: renewal::next_id(),
            desk: Desk::new(policy, clock),
            authenticator,
            vault: vault.map(Arc::new),
            upkeep,
            companions: Companions::default(),
            requests: Tally::new(),
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

    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.requests.count();
        self.desk.is_ready()
    }

    /// The token if it is fresh, from this thread's own copy of it.
    #[inline]
    pub(super) fn ready(&self) -> Option<AccessToken> {
        if !self.is_ready() {
            return None;
        }
        replica::of(self.id, self.desk.generation()).or_else(|| self.replicate())
    }

    #[cold]
    fn replicate(&self) -> Option<AccessToken> {
        let token = self.desk.lock().token()?;
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
                if let Some(result) = shared.wait(outcome).await {
                    return result;
                }
                look = shared.look()?;
            }
        }
    }

    /// Waits for a renewal, but not until the token that there is has expired. `None`: look again.
    async fn wait(&self, outcome: Outcome) -> Option<Result<AccessToken, Error>> {
        let patience = self.desk.lock().patience(self.desk.clock.moment());
        let Some((token, until)) = patience else { return verdict(outcome).await.token() };
        tokio::select! {
            biased;
            verdict = verdict(outcome) => verdict.token(),
            () = self.desk.clock.sleep_until(until) => Some(Ok(token)),
        }
    }

    /// A login now, whatever is held. It is begun at once; the future only waits.
    pub(super) fn log_in_now(self: &Arc<Self>) -> impl Future<Output = Result<AccessToken, Error>> + use<> {
        let begun = self.begin_login();
        async move { verdict(begun?).await.success() }
    }

    fn begin_login(self: &Arc<Self>) -> Result<Outcome, Error> {
        if renewal::is_within(self.id) {
            return Err(reentrant());
        }
        let runtime = runtime::handle()?;
        match self.desk.begin_login() {
            Ok(ticket) => Ok(self.launch(ticket, &runtime)),
            Err(under_way) => Ok(under_way),
        }
    }

    /// A token, or what to wait for.
    fn look(self: &Arc<Self>) -> Result<Result<AccessToken, Outcome>, Error> {
        match self.desk.turn(runtime::handle)? {
            Turn::Serve(token) => Ok(Ok(token)),
            Turn::Wait(_) if renewal::is_within(self.id) => Err(reentrant()),
            Turn::Wait(outcome) => Ok(Err(outcome)),
            Turn::Launch(ticket, runtime, live) => {
                let outcome = self.launch(ticket, &runtime);
                Ok(live.ok_or(outcome))
            }
        }
    }

    /// Launches a renewal. The lock has been given back: a runtime that was shut down drops the task, and thereby lands it, on
    /// the spot.
    fn launch(self: &Arc<Self>, ticket: Ticket, runtime: &Handle) -> Outcome {
        let outcome = ticket.subscribe();
        self.companions.start(self, runtime);
        renewal::launch(Arc::clone(self), ticket, runtime);
        outcome
    }

    pub(super) fn land(&self, ticket: Ticket, landing: Landing) {
        let event = Event::of(&landing);
        let announcement = self.desk.land(ticket, landing);
        // Before anybody goes on, so that what they do next is told after it.
        self.telemetry.note(event);
        announcement.make();
    }

    /// Starts from captured tokens, which count as older than any that the store has.
    pub(super) fn begin_from(&self, tokens: Tokens) {
        self.desk.adopt(|_, now| Holding::captured(&self.desk.policy, tokens, now, 0));
    }

    /// Forgets everything, here and now; what could be refreshed with until then.
    pub(super) fn log_out_here(&self) -> Grant {
        let grant = self.desk.log_out();
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
        let timeout = self.desk.policy.refresh_timeout;
        tokio::time::timeout(timeout, revocation).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Unanswered,
                format!("the revocation was not answered within {} s", timeout.as_secs_f32()),
            ))
        })
    }

    /// Takes tokens of the user's, here and in the store.
    pub(super) async fn adopt(self: Arc<Self>, tokens: Tokens) -> Result<(), Error> {
        let holding = self.desk.adopt(|issue, now| Holding::captured(&self.desk.policy, tokens, now, issue));
        let record = |issue| {
            let issue = holding.issue.max(issue + 1);
            Record::of(&Holding { issue, ..holding.clone() }, self.desk.clock.moment())
        };
        self.overwrite(record).await.map(drop)
    }

    pub(super) fn stats(&self) -> SessionStats {
        let expires_at = self.desk.lock().token().and_then(|token| token.expires_at());
        let expires_in = expires_at.map(|time| time.duration_since(self.desk.clock.now()).unwrap_or_default());
        let Counts { logins, refreshes, failures, waits, last_error } = self.telemetry.counts();
        SessionStats { requests: self.requests.sum(), logins, refreshes, failures, waits, expires_in, last_error }
    }

    pub(super) fn is_current(&self, issue: u64) -> bool {
        self.desk.lock().issue() == issue
    }

    /// Takes what another process has written; the revision that was found, unless the store failed.
    pub(super) async fn follow_store(&self) -> Option<u64> {
        let vault = self.vault()?;
        loop {
            let Found { revision, record } = vault.load(&self.desk.policy).await.ok()?;
            match record {
                Some(record) if record.is_logged_out() => {
                    let Some(renewal) = self.follow_logout(vault, revision) else { return Some(revision) };
                    // It may be a login that the user asked for, which will overwrite the logout. If it is not, nobody else
                    // looks at the store again.
                    let _ = verdict(renewal).await;
                }
                Some(record) => {
                    self.follow_tokens(&record);
                    return Some(revision);
                }
                None => return Some(revision),
            }
        }
    }

    fn follow_tokens(&self, record: &Record) {
        let Some(holding) = record.holding(&self.desk.policy, self.desk.clock.moment()) else { return };
        if self.desk.follow(holding) {
            self.telemetry.note(Event::Adopted);
        }
    }

    /// Follows a logout that is in the store, unless a later entry is known of. While a renewal is under way nothing is done:
    /// what to wait for first.
    fn follow_logout(&self, vault: &Vault, revision: u64) -> Option<Outcome> {
        match self.desk.follow_logout(|| vault.has_seen(revision + 1)) {
            Followed::Already => None,
            Followed::Now => {
                self.telemetry.note(Event::LoggedOut);
                None
            }
            Followed::After(renewal) => Some(renewal),
        }
    }

    /// A deadline has passed, on a clock that cannot be stepped.
    pub(super) fn tick(self: &Arc<Self>) {
        match self.upkeep {
            // Whatever comes of it is told by events, and to whoever asks next.
            Upkeep::KeepFresh => drop(self.look()),
            Upkeep::OnDemand => self.desk.distrust_check(),
        }
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
