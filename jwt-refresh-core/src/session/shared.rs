//! The data that all clones of a session share.

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
    /// The id of the session, which no other one in the process has.
    pub(super) id: u64,
    pub(super) cell: StateCell,
    pub(super) authenticator: Arc<dyn DynAuthenticator>,
    pub(super) store: Option<Arc<AccountStore>>,
    pub(super) upkeep: Upkeep,
    /// The tasks that watch the clock and the store. They end with the session.
    pub(super) background: Mutex<JoinSet<()>>,
    /// How often a token was asked for.
    requests: ShardedCounter,
    pub(super) telemetry: Telemetry,
    /// How many renewal tasks have not ended.
    active_renewals: watch::Sender<usize>,
}

/// Whether tokens are renewed while there is no caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upkeep {
    OnDemand,
    KeepFresh,
}

/// What a session is built from.
pub(super) struct Parts {
    pub(super) authenticator: Arc<dyn DynAuthenticator>,
    pub(super) policy: Policy,
    pub(super) clock: Clock,
    pub(super) store: Option<AccountStore>,
    pub(super) upkeep: Upkeep,
}

/// Counts as a renewal task that has not ended, until it is dropped.
pub(super) struct ActiveRenewal(Arc<SessionShared>);

impl Drop for ActiveRenewal {
    fn drop(&mut self) {
        self.0.active_renewals.send_modify(|count| *count -= 1);
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
            active_renewals: watch::Sender::new(0),
        })
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.cell.policy
    }

    /// Counts a renewal task, until the returned guard is dropped.
    pub(super) fn count_renewal(self: &Arc<Self>) -> ActiveRenewal {
        self.active_renewals.send_modify(|count| *count += 1);
        ActiveRenewal(Arc::clone(self))
    }

    /// Waits until all renewal tasks have ended.
    pub(super) async fn flush(&self) {
        let mut count = self.active_renewals.subscribe();
        // The sender is in `self`, so the wait cannot fail.
        let _ = count.wait_for(|count| *count == 0).await;
    }

    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.requests.count();
        self.cell.is_ready()
    }

    /// Returns the token if it is fresh, from this thread's own copy of it.
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

    /// Completes a renewal, and tells the callers that wait for it.
    pub(super) fn complete(&self, permit: RenewalPermit, outcome: Outcome) {
        let event = Event::of(&outcome);
        let notification = self.cell.complete(permit, outcome);
        // The event is sent before the callers go on, so that events of what they do next come
        // after it.
        self.telemetry.send_event(event);
        notification.send();
    }

    /// Starts from captured tokens, which count as older than any that the store has.
    pub(super) fn start_from_captured(&self, tokens: Tokens) {
        self.cell.adopt(|_, now| IssuedTokens::captured(self.policy(), tokens, now, 0));
    }

    /// Forgets all tokens in this process. Returns what could be refreshed with until then.
    pub(super) fn log_out_locally(&self) -> RefreshCredential {
        let credential = self.cell.log_out();
        self.telemetry.send_event(Event::LoggedOut);
        credential
    }

    pub(super) fn stats(&self) -> SessionStats {
        let expires_at = self.cell.lock().token().and_then(|token| token.expires_at());
        let expires_in = expires_at.map(|time| time.duration_since(self.cell.clock.now()).unwrap_or_default());
        let Counts { logins, refreshes, failures, waits, last_error } = self.telemetry.counts();
        SessionStats { requests: self.requests.sum(), logins, refreshes, failures, waits, expires_in, last_error }
    }

    /// Returns whether the newest token that this session knows of is the one of `sequence`.
    pub(super) fn is_current(&self, sequence: u64) -> bool {
        self.cell.lock().sequence() == sequence
    }
}
