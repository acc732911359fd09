//! What the test's thread and the server's thread share: settings, clock, counters, and all that the server remembers.

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
    issuer::{Issued, Issuer, Refusal, Seen},
    ledger::Denial,
    settings::Settings,
    stats::Counters,
};

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) credentials: Credentials,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    rejecting: AtomicBool,
    faults: Mutex<Faults>,
    catalog: Mutex<Catalog>,
    realm: Mutex<Realm>,
}

/// Accounts and their tokens, under one lock: a ban or a rotation is seen by all requests at once.
pub(crate) struct Realm {
    pub(crate) accounts: Accounts,
    pub(crate) issuer: Issuer,
}

impl Shared {
    pub(crate) fn new(settings: Settings, credentials: Credentials, realm: Realm) -> Self {
        Self {
            settings,
            credentials,
            clock: Clock::new(settings.date_shift),
            counters: Counters::default(),
            rejecting: AtomicBool::new(false),
            faults: Mutex::default(),
            catalog: Mutex::default(),
            realm: Mutex::new(realm),
        }
    }

    pub(crate) fn realm(&self) -> MutexGuard<'_, Realm> {
        lock(&self.realm)
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

    /// Whether the API answers 401 to every token, valid or not.
    pub(crate) fn reject_access_tokens(&self, reject: bool) {
        self.rejecting.store(reject, Ordering::Release);
    }

    pub(crate) fn login(&self, email: &str, password: &str) -> Result<Issued, LoginRefusal> {
        let now = self.clock.now();
        let mut realm = self.realm();
        let subject = realm.accounts.login(email, password)?;
        Ok(realm.issuer.login(subject, now))
    }

    pub(crate) fn refresh(&self, refresh_token: &str) -> Result<Issued, Refusal> {
        let now = self.clock.now();
        let Realm { accounts, issuer } = &mut *self.realm();
        let holder = issuer.holder(refresh_token).ok_or(Refusal::Unknown)?;
        // Before it is spent: a banned account finds its refresh token as it was once the ban is lifted.
        let is_banned = accounts.is_banned(&holder);
        let issued = if is_banned { Err(Refusal::Unknown) } else { issuer.refresh(refresh_token, now) };
        accounts.ledger_of(&holder).refresh(issued.is_ok());
        issued
    }

    /// Whether there was such a refresh token.
    pub(crate) fn revoke(&self, refresh_token: &str) -> bool {
        self.realm().issuer.revoke(refresh_token)
    }

    pub(crate) fn issue_for_client(&self, key: &str, secret: &str) -> Option<String> {
        let now = self.clock.now();
        let mut realm = self.realm();
        if !realm.accounts.knows_client(key, secret) {
            return None;
        }
        Some(realm.issuer.issue_for_client(now))
    }

    /// Whether the API lets a call with this access token through, and whose it is: nobody's if it was got with a key and
    /// secret.
    pub(crate) fn admit(&self, access_token: &str) -> Result<Option<Arc<Subject>>, Denial> {
        let now = self.clock.now();
        let Realm { accounts, issuer } = &mut *self.realm();
        let Seen { is_valid, subject } = issuer.look_up(access_token, now).ok_or(Denial::InvalidToken)?;
        let is_rejected = !is_valid || self.rejecting.load(Ordering::Acquire);
        let Some(subject) = subject else {
            return if is_rejected { Err(Denial::InvalidToken) } else { Ok(None) };
        };
        let is_rejected = is_rejected || accounts.is_banned(&subject);
        let ledger = accounts.ledger_of(&subject);
        if is_rejected {
            ledger.rejected();
            return Err(Denial::InvalidToken);
        }
        ledger.admit(self.settings.rate_limit, now)?;
        Ok(Some(subject))
    }

    /// Counts what the API answered to an account's call.
    pub(crate) fn answered(&self, subject: &Subject, status: StatusCode) {
        self.realm().accounts.ledger_of(subject).answered(status);
    }
}

/// A test that panics while it holds a lock has failed already; the server goes on for those that share it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
