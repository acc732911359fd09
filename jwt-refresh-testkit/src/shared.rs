//! What the test's thread and the server's thread share: settings, clock, counters, and the state
//! of the server.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

use axum::http::StatusCode;

use crate::{
    Endpoint, Fault, ReceivedRequest, TokenBinding, TokenPair,
    accounts::{Accounts, LoginRefusal, Subject},
    api::Admitted,
    builder::{Credentials, Plan},
    clock::Clock,
    faults::Faults,
    issuer::{AccessTokenInfo, Issuer, RefreshRefusal},
    request_log::RequestLog,
    route::Route,
    routes::Routes,
    settings::Settings,
    signer::Signer,
    stats::Counters,
    sync::lock,
    token_endpoints::TokenEndpoints,
    usage::Denial,
};

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) binding: Option<TokenBinding>,
    pub(crate) credentials: Credentials,
    pub(crate) clock: Arc<Clock>,
    pub(crate) routes: Routes,
    pub(crate) token_endpoints: TokenEndpoints,
    pub(crate) counters: Counters,
    rejecting: AtomicBool,
    faults: Mutex<Faults>,
    requests: Mutex<RequestLog>,
    auth_state: Mutex<AuthState>,
}

/// Accounts and their tokens. One lock protects both, so a ban or a rotation takes effect for all
/// requests at once.
pub(crate) struct AuthState {
    pub(crate) accounts: Accounts,
    pub(crate) issuer: Issuer,
}

impl Shared {
    /// Returns what a server shares that is reached at `base_url`.
    pub(crate) fn new(plan: Plan, base_url: String) -> Self {
        let Plan { settings, binding, credentials, accounts, clock, routes, token_endpoints, faults, port: _ } = plan;
        let issuer = Issuer::new(settings, Signer::new(base_url));
        Self {
            settings,
            binding,
            credentials,
            clock,
            routes,
            token_endpoints,
            counters: Counters::default(),
            rejecting: AtomicBool::new(false),
            faults: Mutex::new(faults),
            requests: Mutex::default(),
            auth_state: Mutex::new(AuthState { accounts, issuer }),
        }
    }

    pub(crate) fn auth_state(&self) -> MutexGuard<'_, AuthState> {
        lock(&self.auth_state)
    }

    pub(crate) fn request_log(&self) -> MutexGuard<'_, RequestLog> {
        lock(&self.requests)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// Returns the fault for a request to `endpoint`, if there is one. `route` is that of the API.
    pub(crate) fn take_fault(&self, endpoint: Endpoint, route: Option<&Route>) -> Option<Fault> {
        self.faults().take(endpoint, route)
    }

    /// Sets whether the API answers 401 to every access token, even to valid ones.
    pub(crate) fn reject_access_tokens(&self, reject: bool) {
        self.rejecting.store(reject, Ordering::Release);
    }

    /// Returns what a request has of what tokens are bound to.
    pub(crate) fn bound_value(&self, request: &ReceivedRequest) -> Option<String> {
        self.binding.as_ref()?.value_in(request)
    }

    pub(crate) fn login(
        &self,
        email: &str,
        password: &str,
        bound_to: Option<String>,
    ) -> Result<TokenPair, LoginRefusal> {
        let now = self.clock.now();
        let mut auth_state = self.auth_state();
        let subject = auth_state.accounts.login(email, password)?;
        let scope = auth_state.accounts.scope_of(Some(&subject));
        Ok(auth_state.issuer.login(subject, bound_to, scope, now))
    }

    pub(crate) fn refresh(&self, refresh_token: &str, bound_to: Option<&str>) -> Result<TokenPair, RefreshRefusal> {
        let now = self.clock.now();
        let AuthState { accounts, issuer } = &mut *self.auth_state();
        let holder = issuer.holder(refresh_token).ok_or(RefreshRefusal::Unknown)?;
        // This is checked before the refresh token is spent, so that the token is still valid after
        // the ban is lifted.
        let is_banned = accounts.is_banned(&holder);
        let scope = accounts.scope_of(Some(&holder));
        let is_refused = is_banned || !issuer.is_bound(refresh_token, bound_to);
        let issued = if is_refused { Err(RefreshRefusal::Unknown) } else { issuer.refresh(refresh_token, scope, now) };
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
        let scope = auth_state.accounts.scope_of(None);
        Some(auth_state.issuer.issue_for_client(scope, now))
    }

    /// Returns the email address of the account that an access token was issued to.
    pub(crate) fn account_of(&self, access_token: &str) -> Option<String> {
        self.auth_state().issuer.subject_of(access_token).map(|subject| subject.email.clone())
    }

    /// Decides whether a call with this access token may reach the API.
    pub(crate) fn admit(&self, access_token: &str, bound_to: Option<&str>) -> Result<Admitted, Denial> {
        let now = self.clock.now();
        let AuthState { accounts, issuer } = &mut *self.auth_state();
        let AccessTokenInfo { is_valid, subject, scope } =
            issuer.look_up(access_token, bound_to, now).ok_or(Denial::InvalidToken)?;
        let is_rejected = !is_valid || self.rejecting.load(Ordering::Acquire);
        let Some(subject) = subject else {
            return if is_rejected { Err(Denial::InvalidToken) } else { Ok(Admitted { caller: None, scope }) };
        };
        let is_rejected = is_rejected || accounts.is_banned(&subject);
        let usage = accounts.usage_of(&subject);
        if is_rejected {
            usage.count_rejected();
            return Err(Denial::InvalidToken);
        }
        usage.admit(self.settings.rate_limit, now)?;
        Ok(Admitted { caller: Some(subject), scope })
    }

    /// Counts the API's answer to an account's call.
    pub(crate) fn count_answer(&self, subject: &Subject, status: StatusCode) {
        self.auth_state().accounts.usage_of(subject).count_answer(status);
    }
}
