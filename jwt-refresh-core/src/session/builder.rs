//! The builder of a session.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::account_store::AccountStore;
use super::shared::{Parts, SessionShared, Upkeep};
use super::{Session, background};
use crate::authenticator::{Authenticator, DynAuthenticator};
use crate::clock::Clock;
use crate::error::Error;
use crate::policy::Policy;
#[cfg(feature = "reqwest")]
use crate::send::RequestRule;
use crate::store::{DynStore, TokenStore};
use crate::token::Tokens;

impl Session {
    /// Returns a session with the default [`Policy`](crate::Policy), which logs in when a token is
    /// first needed.
    pub fn new(authenticator: impl Authenticator) -> Self {
        Self::builder(authenticator).build()
    }

    /// Returns a builder for a session that uses `authenticator`.
    pub fn builder(authenticator: impl Authenticator) -> SessionBuilder {
        SessionBuilder::new(authenticator)
    }
}

/// Builds a [`Session`]. Returned by [`Session::builder`].
///
/// ```
/// use std::time::Duration;
///
/// use jwt_refresh::store::MemoryStore;
/// use jwt_refresh::{Authenticator, Policy, Session};
///
/// fn session(login: impl Authenticator) -> Session {
///     Session::builder(login)
///         .store(MemoryStore::new(), "ada@example.com")
///         .policy(Policy::default().login_timeout(Duration::from_secs(60)))
///         .keep_fresh()
///         .build()
/// }
/// ```
#[must_use = "a builder does nothing until `build` or `connect` is called"]
pub struct SessionBuilder {
    authenticator: Arc<dyn DynAuthenticator>,
    policy: Policy,
    clock: Clock,
    tokens: Option<Tokens>,
    store: Option<(Arc<dyn DynStore>, String)>,
    server_id: Option<String>,
    upkeep: Upkeep,
    renew_on: Option<Handle>,
    #[cfg(feature = "reqwest")]
    requests: Option<Arc<RequestRule>>,
}

impl SessionBuilder {
    pub(super) fn new(authenticator: impl Authenticator) -> Self {
        Self {
            authenticator: Arc::new(authenticator),
            policy: Policy::default(),
            clock: Clock::system(),
            tokens: None,
            store: None,
            server_id: None,
            upkeep: Upkeep::OnDemand,
            renew_on: None,
            #[cfg(feature = "reqwest")]
            requests: None,
        }
    }

    /// Sets the time-outs, pauses and other numbers of the session. Default: those of
    /// `Policy::default()`.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the clock that expiry is read on, for tests: see [`ManualClock`](crate::ManualClock).
    /// Default: the system's clock.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Starts from tokens that were captured earlier. With a store, the session uses them only
    /// until it has found that the store has tokens.
    ///
    /// An `expires_in` in them counts from when the session is built, so set
    /// [`expires_at`](Tokens::expires_at) if they are older than that. The `exp` of a JWT need not
    /// be set: the session reads it.
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Keeps the tokens in `store` as those of `account`. They outlive the process, and all
    /// sessions that name the same account of the same store, in any process, share one login and
    /// renew it one at a time.
    ///
    /// `account` is a name of your choice. It is shown in logs, so it must not be secret.
    pub fn store(mut self, store: impl TokenStore, account: impl Into<String>) -> Self {
        self.store = Some((Arc::new(store), account.into()));
        self
    }

    /// Names the server that the tokens are for. The entry in the store is bound to it: a session
    /// for another server neither uses nor replaces that entry, and fails with
    /// [`Configuration`](crate::ErrorKind::Configuration). So the refresh token of one environment
    /// is not sent to another if both are given the same store and account by mistake.
    ///
    /// Default: the [`server_id`](Authenticator::server_id) of the authenticator, which of an
    /// `HttpAuthenticator` is the origin of the URL that refresh tokens are sent to. Set it if one
    /// server has several origins.
    pub fn server_id(mut self, id: impl Into<String>) -> Self {
        self.server_id = Some(id.into());
        self
    }

    /// Renews the token before it expires even if there is no caller, from the first login until
    /// the session ends.
    pub fn keep_fresh(mut self) -> Self {
        self.upkeep = Upkeep::KeepFresh;
        self
    }

    /// Runs renewals and background tasks on `runtime`. By default they run on threads of the
    /// library's own, which are started when they are first needed, at least two.
    ///
    /// Give it a runtime that runs for as long as the session is used. If it turns out to be parked
    /// or to have ended, the session logs a warning and uses the library's threads from then on. An
    /// authenticator that blocks its thread holds up all else that runs there. Deadlines are
    /// watched on the library's threads all the same.
    pub fn renew_on(mut self, runtime: Handle) -> Self {
        self.renew_on = Some(runtime);
        self
    }

    /// Says which requests [`Session::execute`] gives the session's token, and how.
    #[cfg(feature = "reqwest")]
    pub fn requests(mut self, rule: RequestRule) -> Self {
        self.requests = Some(Arc::new(rule));
        self
    }

    /// Returns the session, which logs in when a token is first needed. If the entry in its store
    /// says that the account was logged out, the session stays logged out.
    pub fn build(self) -> Session {
        let has_work = self.tokens.is_some() || self.store.is_some();
        let session = self.assemble();
        if has_work {
            background::start(&session.0);
        }
        session
    }

    fn assemble(self) -> Session {
        let server = self.server_id.or_else(|| self.authenticator.server_id());
        let shared = SessionShared::new(Parts {
            authenticator: self.authenticator,
            policy: self.policy,
            clock: self.clock,
            store: self.store.map(|(store, account)| AccountStore::new(store, account, server)),
            upkeep: self.upkeep,
            renew_on: self.renew_on,
            #[cfg(feature = "reqwest")]
            requests: self.requests,
        });
        if let Some(tokens) = self.tokens {
            shared.start_from_captured(tokens);
        }
        Session(shared)
    }

    /// Builds the session and makes sure that it has a token, so that what is wrong is known now
    /// and not at the first call. A live token, of [`tokens`](Self::tokens) or of the store, is
    /// taken as it is, without a request to the server. Without one the session refreshes, and if
    /// it cannot do that, logs in, also where the entry in the store says that the account was
    /// logged out.
    ///
    /// # Errors
    ///
    /// Those of [`Session::token`]. [`Configuration`](crate::ErrorKind::Configuration) if the entry
    /// in the store belongs to [another server](Self::server_id), or was written by a later version
    /// of this library. If the store cannot be used and there is no token, the error of the store,
    /// unless the policy says to go on without it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the session is dropped. A renewal that it began goes on to its
    /// end.
    pub async fn connect(self) -> Result<Session, Error> {
        let tokens = self.tokens.clone();
        let session = self.assemble();
        Arc::clone(&session.0).connect(tokens).await?;
        background::start(&session.0);
        Ok(session)
    }

    /// Builds the session as [`connect`](Self::connect) does, and blocks the current thread until
    /// it has a token.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    #[cfg(feature = "blocking")]
    pub fn blocking_connect(self) -> Result<Session, Error> {
        let tokens = self.tokens.clone();
        let session = self.assemble();
        let shared = Arc::clone(&session.0);
        crate::runtime::wait(|| Box::pin(shared.connect(tokens)))?;
        background::start(&session.0);
        Ok(session)
    }
}

impl std::fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionBuilder")
            .field("policy", &self.policy)
            .field("clock", &self.clock)
            .field("tokens", &self.tokens)
            .field("account", &self.store.as_ref().map(|(_, account)| account))
            .field("upkeep", &self.upkeep)
            .finish_non_exhaustive()
    }
}
