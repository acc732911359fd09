//! The data that all clones of a session share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::account_store::AccountStore;
use super::fast_path::thread_cache;
use super::held_lease::HeldLease;
use super::outage::Finding;
use super::state::CutOff;
use super::state_cell::{Completed, StateCell};
use super::stats::SessionStats;
use super::telemetry::{Counts, Telemetry};
use crate::authenticator::DynAuthenticator;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::renewal::{self, IssuedTokens, Outcome};
use crate::runtime::{self, BackgroundTask};
#[cfg(feature = "reqwest")]
use crate::send::RequestRule;
use crate::sync::Mutex;
use crate::token::{AccessParameters, AccessToken, RefreshToken, Tokens};

/// The fields that are hardly ever written come first: the number of clones is before them, and the
/// fast path of `cell`, which must not share a cache line with that number, after them.
#[repr(C)]
pub(super) struct SessionShared {
    /// The id of the session, which no other one in the process has.
    pub(super) id: u64,
    pub(super) authenticator: Arc<dyn DynAuthenticator>,
    pub(super) store: Option<Arc<AccountStore>>,
    pub(super) upkeep: Upkeep,
    #[cfg(feature = "reqwest")]
    pub(super) requests: Option<Arc<RequestRule>>,
    /// When the session was built, since boot.
    built: Timestamp,
    /// The runtime that the user has chosen, until it turns out to be parked or to have ended.
    renew_on: Mutex<Option<Handle>>,
    /// The task that follows the store, if there is a store.
    pub(super) follower: Mutex<Option<BackgroundTask>>,
    /// Why the server refused the last login. The same credentials are not sent again by
    /// themselves.
    pub(super) refused_login: Mutex<Option<Error>>,
    pub(super) cell: StateCell,
    /// The renewal lease, while a renewal has it.
    pub(super) lease: HeldLease,
    pub(super) telemetry: Telemetry,
    /// How many renewals have ended and are not saved yet.
    unsaved: AtomicUsize,
    /// The sessions that keep other access tokens of the login, if there are any.
    #[expect(clippy::box_collection, reason = "hardly any session has some")]
    pub(super) children: Mutex<Option<Box<Vec<Child>>>>,
}

/// A session that keeps one access token of the login.
#[derive(Clone)]
pub(super) struct Child {
    pub(super) parameters: AccessParameters,
    pub(super) session: Arc<SessionShared>,
    /// The sequence of the newest token that it was given, of this login; 0 if it has none.
    pub(super) sequence: u64,
}

/// Notified when a session has no renewal any more that is not saved. All sessions share it, since
/// hardly ever does anything wait for it.
static ALL_SAVED: Notify = Notify::const_new();

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
    pub(super) renew_on: Option<Handle>,
    #[cfg(feature = "reqwest")]
    pub(super) requests: Option<Arc<RequestRule>>,
}

/// The runtime that a renewal or a background task runs on.
pub(super) enum RenewalRuntime {
    Library(Handle),
    /// The one that the user has chosen.
    Chosen(Handle),
}

impl RenewalRuntime {
    pub(super) fn handle(&self) -> &Handle {
        let (Self::Library(handle) | Self::Chosen(handle)) = self;
        handle
    }
}

/// Counts as a renewal that is not saved yet, until it is dropped.
pub(super) struct Unsaved(Arc<SessionShared>);

impl Unsaved {
    pub(super) fn session(&self) -> &Arc<SessionShared> {
        &self.0
    }
}

impl Drop for Unsaved {
    fn drop(&mut self) {
        if self.0.unsaved.fetch_sub(1, Ordering::AcqRel) == 1 {
            ALL_SAVED.notify_waiters();
        }
    }
}

impl SessionShared {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let built = parts.clock.moment().boot;
        Arc::new(Self {
            id: renewal::next_id(),
            cell: StateCell::new(parts.policy, parts.clock),
            authenticator: parts.authenticator,
            store: parts.store.map(Arc::new),
            upkeep: parts.upkeep,
            #[cfg(feature = "reqwest")]
            requests: parts.requests,
            lease: HeldLease::default(),
            renew_on: Mutex::new(parts.renew_on),
            built,
            follower: Mutex::default(),
            telemetry: Telemetry::new(),
            unsaved: AtomicUsize::new(0),
            children: Mutex::default(),
            refused_login: Mutex::default(),
        })
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.cell.policy
    }

    /// Returns the runtime for renewals and background tasks.
    pub(super) fn runtime(&self) -> Result<RenewalRuntime, Error> {
        match &*self.renew_on.lock() {
            Some(chosen) => Ok(RenewalRuntime::Chosen(chosen.clone())),
            None => runtime::handle().map(RenewalRuntime::Library),
        }
    }

    /// Uses the library's runtime from now on, because the chosen one does not run tasks.
    pub(super) fn abandon_chosen_runtime(&self) {
        if self.renew_on.lock().take().is_some() {
            tracing::warn!(target: "jwt_refresh", "the runtime chosen for renewals is parked or has ended; using another");
        }
    }

    /// Returns whether the program may be a short one: the session was built a moment ago, and its
    /// tokens outlive it in a store.
    pub(super) fn may_be_a_script(&self) -> bool {
        self.store.is_some() && self.cell.clock.moment().boot < self.built + self.policy().refresh_timeout
    }

    /// Counts a renewal that is not saved yet, until the returned guard is dropped.
    pub(super) fn count_unsaved(self: &Arc<Self>) -> Unsaved {
        self.unsaved.fetch_add(1, Ordering::AcqRel);
        Unsaved(Arc::clone(self))
    }

    /// Waits until all renewals have ended and are saved.
    pub(super) async fn flush(&self) {
        loop {
            let running = self.cell.lock().running_renewal();
            let Some(running) = running else { break };
            let _ = running.result().await;
        }
        loop {
            // Asked for before the count is read, so that no change after that is missed.
            let all_saved = ALL_SAVED.notified();
            if self.unsaved.load(Ordering::Acquire) == 0 {
                return;
            }
            all_saved.await;
        }
    }

    /// Returns whether no renewal is under way, and all that have ended are saved.
    pub(super) fn is_saved(&self) -> bool {
        self.cell.lock().running_renewal().is_none() && self.unsaved.load(Ordering::Acquire) == 0
    }

    #[inline]
    pub(super) fn is_ready(&self) -> bool {
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

    /// Completes a renewal, and tells the callers that wait for it. Returns whether the outcome has
    /// become the session's: not if the renewal was overtaken, or completed before.
    pub(super) fn complete(&self, epoch: u64, outcome: Outcome) -> bool {
        if matches!(outcome, Outcome::Found(_)) {
            self.forget_refused_login();
        }
        let ends_login = match outcome {
            Outcome::LoggedOut => true,
            Outcome::Renewed(_) | Outcome::Unsaved(_) => self.cell.lock().has_sent_login(epoch),
            Outcome::Found(_) | Outcome::Failed { .. } => false,
        };
        // Before the new token can be seen: a child that holds a token has it of the current login.
        if ends_login {
            self.forget_children();
        }
        let completed = self.cell.complete(epoch, outcome, |event| self.telemetry.send_event(event));
        completed.is_some_and(|Completed { notification, is_current }| {
            notification.send();
            is_current
        })
    }

    /// Completes a renewal whose task does not. Returns whether the renewal was under way.
    pub(super) fn cut_off(&self, epoch: u64, cause: CutOff) -> bool {
        let completed = self.cell.cut_off(epoch, cause, |event| self.telemetry.send_event(event));
        completed.is_some_and(|Completed { notification, .. }| {
            notification.send();
            true
        })
    }

    /// Completes an early renewal whose condition was not met.
    pub(super) fn give_up_early(&self, epoch: u64, finding: Finding) {
        if let Some(Completed { notification, .. }) = self.cell.give_up_early(epoch, finding) {
            notification.send();
        }
    }

    /// Starts from captured tokens, which count as older than any that the store has.
    pub(super) fn start_from_captured(&self, tokens: Tokens) {
        let (issued, ()) = self.cell.adopt(|_, now| (IssuedTokens::captured(self.policy(), tokens, now, 0), ()));
        if let Some(store) = &self.store {
            store.keep_captured(issued.credential.into_token());
        }
    }

    /// Takes the captured refresh token that was not sent yet, because the user has replaced all
    /// tokens.
    pub(super) fn take_captured(&self) -> Option<RefreshToken> {
        self.store.as_ref()?.take_captured()
    }

    /// Remembers whether the server refused a login.
    pub(super) fn remember_login(&self, error: Option<&Error>) {
        match error {
            None => self.forget_refused_login(),
            Some(error) if error.kind() == ErrorKind::Denied => *self.refused_login.lock() = Some(error.clone()),
            // A login that failed says nothing against the credentials, and nothing for them.
            Some(_) => {}
        }
    }

    /// Lets the session log in by itself again, because there is news: a login, or tokens that the
    /// user or another process brought.
    pub(super) fn forget_refused_login(&self) {
        *self.refused_login.lock() = None;
    }

    /// Forgets all tokens in this process, because the store says that the session is logged out.
    pub(super) fn log_out_locally(&self) {
        self.cell.log_out(|event| self.telemetry.send_event(event));
        self.forget_children();
    }

    pub(super) fn stats(&self) -> SessionStats {
        let expires_at = self.cell.lock().token().and_then(|token| token.expires_at());
        let expires_in = expires_at.map(|time| time.duration_since(self.cell.clock.now()).unwrap_or_default());
        let Counts { logins, refreshes, failures, refused_refreshes, waits, last_error } = self.telemetry.counts();
        SessionStats {
            requests: self.cell.requests(),
            logins,
            refreshes,
            failures,
            refused_refreshes,
            waits,
            expires_in,
            last_error,
        }
    }
}
