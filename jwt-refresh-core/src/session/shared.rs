//! What all clones of a session share: the state machine behind its lock, and beside it the two words that make the check
//! cheap.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::renewal;
use super::replica;
use super::state::{Landing, Look, Outcome, Plan, State, Ticket, Verdict};
use crate::authenticator::AnyAuthenticator;
use crate::clock::Timestamp;
use crate::{AccessToken, Clock, Error, ErrorKind, Policy, Tokens, runtime};

pub(crate) struct Shared {
    hot: Hot,
    id: u64,
    pub(super) clock: Clock,
    pub(super) policy: Policy,
    pub(super) authenticator: Arc<dyn AnyAuthenticator>,
    state: Mutex<State>,
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
    pub(super) fn new(authenticator: Arc<dyn AnyAuthenticator>, policy: Policy, clock: Clock) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Self {
            hot: Hot { quiet_until: AtomicI64::new(i64::MIN), generation: AtomicU64::new(0) },
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            clock,
            policy,
            authenticator,
            state: Mutex::new(State::new()),
        }
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
        async move {
            match look? {
                Ok(token) => Ok(token),
                Err(outcome) => verdict(outcome).await.token(),
            }
        }
    }

    /// A login now, whatever is held. It is begun at once; the future only waits.
    pub(super) fn log_in_now(self: &Arc<Self>) -> impl Future<Output = Result<AccessToken, Error>> + use<> {
        let begun = self.begin(&mut self.lock(), Plan::LogIn);
        async move { verdict(begun?).await.success() }
    }

    fn look(self: &Arc<Self>) -> Result<Result<AccessToken, Outcome>, Error> {
        let mut state = self.lock();
        match state.look(self.clock.timestamp()) {
            Look::Serve(token) => Ok(Ok(token)),
            Look::Fail(error) => Err(error),
            Look::Wait(_) if renewal::is_within(self.id) => Err(reentrant()),
            Look::Wait(outcome) => Ok(Err(outcome)),
            Look::Renew(live) => {
                let begun = self.begin(&mut state, Plan::Renew);
                match live {
                    // Refresh-ahead is a courtesy: that it could not begin is no reason to withhold a token that lives.
                    Some(token) => Ok(Ok(token)),
                    None => begun.map(Err),
                }
            }
        }
    }

    /// Begins a renewal in a task of its own, or joins the one under way.
    fn begin(self: &Arc<Self>, state: &mut State, plan: Plan) -> Result<Outcome, Error> {
        if renewal::is_within(self.id) {
            return Err(reentrant());
        }
        let runtime = runtime::handle()?;
        match state.begin(plan) {
            Err(under_way) => Ok(under_way),
            Ok(ticket) => {
                let outcome = ticket.subscribe();
                self.publish(state);
                renewal::launch(Arc::clone(self), ticket, &runtime);
                Ok(outcome)
            }
        }
    }

    pub(super) fn land(&self, ticket: Ticket, landing: Landing) {
        let mut state = self.lock();
        state.land(ticket, landing, &self.policy, self.clock.timestamp());
        self.publish(&state);
    }

    pub(super) fn reject(&self, generation: u64) {
        let mut state = self.lock();
        state.reject(generation, &self.policy, self.clock.timestamp());
        self.publish(&state);
    }

    pub(super) fn adopt(&self, tokens: Tokens) {
        let mut state = self.lock();
        state.adopt(tokens, &self.policy, self.clock.timestamp());
        self.publish(&state);
    }

    pub(super) fn log_out(&self) {
        let mut state = self.lock();
        state.log_out();
        self.publish(&state);
    }

    /// Makes what the state says visible to the check. Called with the lock held, so that writers do not overtake each other.
    fn publish(&self, state: &State) {
        let quiet_until: Timestamp = state.quiet_until();
        // The generation first: whoever then sees the new deadline sees the new generation too.
        self.hot.generation.store(state.generation(), Ordering::Release);
        self.hot.quiet_until.store(quiet_until.as_nanos(), Ordering::Release);
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
