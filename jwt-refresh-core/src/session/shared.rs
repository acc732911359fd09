//! What all clones of a session share.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::account_store::AccountStore;
use super::events::Event;
use super::fast_path::{ShardedCounter, thread_cache};
use super::state::RenewalPermit;
use super::state_cell::StateCell;
use super::stats::SessionStats;
use super::telemetry::{Counts, Telemetry};
use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::policy::Policy;
use crate::renewal::{self, IssuedTokens, Outcome, RefreshCredential};
use crate::sync::Mutex;
use crate::token::{AccessToken, Tokens};

pub(super) struct SessionShared {
    /// Tells this session from every other one in the process.
    pub(super) id: u64,
    pub(super) cell: StateCell,
    pub(super) authenticator: Arc<dyn DynAuthenticator>,
    pub(super) store: Option<Arc<AccountStore>>,
    pub(super) upkeep: Upkeep,
    /// The tasks that watch clock and store. They end with the session.
    pub(super) background: Mutex<JoinSet<()>>,
    /// How often a token was asked for.
    requests: ShardedCounter,
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
    pub(super) authenticator: Arc<dyn DynAuthenticator>,
    pub(super) policy: Policy,
    pub(super) clock: Clock,
    pub(super) store: Option<AccountStore>,
    pub(super) upkeep: Upkeep,
}

/// Counts as an exchange that goes on, until dropped.
pub(super) struct Busy(Arc<SessionShared>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|busy| *busy -= 1);
    }
}

impl SessionShared {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let Parts { authenticator, policy, clock, store, upkeep } = parts;
        Arc::new(Self {
            id: renewal::next_id(),
            cell: StateCell::new(policy, clock),
            authenticator,
            store: store.map(Arc::new),
            upkeep,
            background: Mutex::default(),
            requests: ShardedCounter::new(),
            telemetry: Telemetry::new(),
            busy: watch::Sender::new(0),
        })
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.cell.policy
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

    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.requests.count();
        self.cell.is_ready()
    }

    /// The token if it is fresh, from this thread's own copy of it.
    #[inline]
    pub(super) fn ready(&self) -> Option<AccessToken> {
        if !self.is_ready() {
            return None;
        }
        thread_cache::get(self.id, self.cell.generation()).or_else(|| self.copy_to_thread())
    }

    #[cold]
    fn copy_to_thread(&self) -> Option<AccessToken> {
        let token = self.cell.lock().token()?;
        Some(thread_cache::insert(self.id, token))
    }

    /// Ends a renewal, and tells those that wait for it.
    pub(super) fn complete(&self, permit: RenewalPermit, outcome: Outcome) {
        let event = Event::of(&outcome);
        let notification = self.cell.complete(permit, outcome);
        // Before the callers go on, so that what they do next is told after it.
        self.telemetry.note(event);
        notification.send();
    }

    /// Starts from captured tokens, which count as older than any that the store has.
    pub(super) fn begin_from(&self, tokens: Tokens) {
        self.cell.adopt(|_, now| IssuedTokens::captured(self.policy(), tokens, now, 0));
    }

    /// Forgets all tokens in this process. Returns what could be refreshed with until then.
    pub(super) fn log_out_here(&self) -> RefreshCredential {
        let credential = self.cell.log_out();
        self.telemetry.note(Event::LoggedOut);
        credential
    }

    pub(super) fn stats(&self) -> SessionStats {
        let expires_at = self.cell.lock().token().and_then(|token| token.expires_at());
        let expires_in = expires_at.map(|time| time.duration_since(self.cell.clock.now()).unwrap_or_default());
        let Counts { logins, refreshes, failures, waits, last_error } = self.telemetry.counts();
        SessionStats { requests: self.requests.sum(), logins, refreshes, failures, waits, expires_in, last_error }
    }

    pub(super) fn is_current(&self, sequence: u64) -> bool {
        self.cell.lock().sequence() == sequence
    }
}
