//! What the test's thread and the server's thread share: settings, clock, counters, and the state
//! of the server.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use axum::http::StatusCode;

use crate::{
    Endpoint, Fault,
    accounts::{Accounts, LoginRefusal, Subject},
    builder::Credentials,
    catalog::Catalog,
    clock::Clock,
    faults::Faults,
    issuer::{AccessTokenInfo, Issued, Issuer, RefreshRefusal},
    settings::Settings,
    stats::Counters,
    usage::Denial,
};

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) credentials: Credentials,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    rejecting: AtomicBool,
    faults: Mutex<Faults>,
    catalog: Mutex<Catalog>,
    auth_state: Mutex<AuthState>,
}

/// Accounts and their tokens. One lock protects both, so a ban or a rotation takes effect for all
/// requests at once.
pub(crate) struct AuthState {
    pub(crate) accounts: Accounts,
    pub(crate) issuer: Issuer,
}

impl Shared {
    pub(crate) fn new(settings: Settings, credentials: Credentials, auth_state: AuthState) -> Self {
        Self {
            settings,
            credentials,
            clock: Clock::new(settings.date_shift),
            counters: Counters::default(),
            rejecting: AtomicBool::new(false),
            faults: Mutex::default(),
            catalog: Mutex::default(),
            auth_state: Mutex::new(auth_state),
        }
    }

    pub(crate) fn auth_state(&self) -> MutexGuard<'_, AuthState> {
        lock(&self.auth_state)
    }

    pub(crate) fn catalog(&self) -> MutexGuard<'_, Catalog> {
        lock(&self.catalog)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn take_fault(&self, endpoint: Endpoint) -> Option<Fault> {
        self.faults().take(endpoint)
    }

    /// Sets whether the API answers 401 to every access token, even to valid ones.
    pub(crate) fn reject_access_tokens(&self, reject: bool) {
        self.rejecting.store(reject, Ordering::Release);
    }

    pub(crate) fn login(&self, email: &str, password: &str) -> Result<Issued, LoginRefusal> {
        let now = self.clock.now();
        let mut auth_state = self.auth_state();
        let subject = auth_state.accounts.login(email, password)?;
        Ok(auth_state.issuer.login(subject, now))
    }

    pub(crate) fn refresh(&self, refresh_token: &str) -> Result<Issued, RefreshRefusal> {
        let now = self.clock.now();
        let AuthState { accounts, issuer } = &mut *self.auth_state();
        let holder = issuer.holder(refresh_token).ok_or(RefreshRefusal::Unknown)?;
        // This is checked before the refresh token is spent, so that the token is still valid after
        // the ban is lifted.
        let is_banned = accounts.is_banned(&holder);
        let issued = if is_banned { Err(RefreshRefusal::Unknown) } else { issuer.refresh(refresh_token, now) };
        accounts.usage_of(&holder).count_refresh(issued.is_ok());
        issued
    }

    /// Revokes a refresh token with its family. Returns whether there was such a token.
    pub(crate) fn revoke(&self, refresh_token: &str) -> bool {
        self.auth_state().issuer.revoke(refresh_token)
    }

    pub(crate) fn issue_for_client(&self, key: &str, secret: &str) -> Option<String> {
        let now = self.clock.now();
        let mut auth_state = self.auth_state();
        if !auth_state.accounts.knows_client(key, secret) {
            return None;
        }
        Some(auth_state.issuer.issue_for_client(now))
    }

    /// Decides whether a call with this access token may reach the API. Returns the subject of the
    /// token, or `None` if it was issued for a key and secret.
    pub(crate) fn admit(&self, access_token: &str) -> Result<Option<Arc<Subject>>, Denial> {
        let now = self.clock.now();
        let AuthState { accounts, issuer } = &mut *self.auth_state();
        let AccessTokenInfo { is_valid, subject } = issuer.look_up(access_token, now).ok_or(Denial::InvalidToken)?;
        let is_rejected = !is_valid || self.rejecting.load(Ordering::Acquire);
        let Some(subject) = subject else {
            return if is_rejected { Err(Denial::InvalidToken) } else { Ok(None) };
        };
        let is_rejected = is_rejected || accounts.is_banned(&subject);
        let usage = accounts.usage_of(&subject);
        if is_rejected {
            usage.count_rejected();
            return Err(Denial::InvalidToken);
        }
        usage.admit(self.settings.rate_limit, now)?;
        Ok(Some(subject))
    }

    /// Counts the API's answer to an account's call.
    pub(crate) fn count_answer(&self, subject: &Subject, status: StatusCode) {
        self.auth_state().accounts.usage_of(subject).count_answer(status);
    }
}

/// Locks, and ignores poisoning. A test that panics while it holds the lock fails by that panic,
/// and the server keeps working for the other tests that share it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
