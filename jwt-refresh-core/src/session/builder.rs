//! How a session is put together.

use std::sync::Arc;

use super::account_store::AccountStore;
use super::shared::{Parts, SessionShared, Upkeep};
use super::{Session, background};
use crate::authenticator::{Authenticator, DynAuthenticator};
use crate::clock::Clock;
use crate::error::Error;
use crate::policy::Policy;
use crate::store::{DynStore, TokenStore};
use crate::token::Tokens;

impl Session {
    /// A session with the default [`Policy`](crate::Policy) that logs in when a token is first needed.
    pub fn new(authenticator: impl Authenticator) -> Self {
        Self::builder(authenticator).build()
    }

    /// Puts a session together from an authenticator and whatever else it should go by.
    pub fn builder(authenticator: impl Authenticator) -> SessionBuilder {
        SessionBuilder::new(authenticator)
    }
}

/// Puts a [`Session`] together: [`Session::builder`].
#[must_use = "a builder does nothing until `build` or `login` is called"]
pub struct SessionBuilder {
    authenticator: Arc<dyn DynAuthenticator>,
    policy: Policy,
    clock: Clock,
    tokens: Option<Tokens>,
    store: Option<(Arc<dyn DynStore>, String)>,
    upkeep: Upkeep,
}

impl SessionBuilder {
    pub(super) fn new(authenticator: impl Authenticator) -> Self {
        Self {
            authenticator: Arc::new(authenticator),
            policy: Policy::default(),
            clock: Clock::system(),
            tokens: None,
            store: None,
            upkeep: Upkeep::OnDemand,
        }
    }

    /// The numbers to go by.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The clock to read expiry on, for tests: see [`ManualClock`](crate::ManualClock).
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Starts from tokens captured earlier; with a store, only until the session has seen that the store has tokens of its own.
    /// An `expires_in` in them counts from when the session is built, so give them
    /// [`expires_at`](Tokens::expires_at) if they are older than that; the `exp` of a JWT is seen by itself.
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Keeps the tokens in `store` as those of `account`: they outlive the process, and all sessions that name the same account
    /// of the same store, in any process, share one login and renew it one at a time.
    ///
    /// `account` is a name of your choice; it is shown in logs and must not be secret.
    pub fn store(mut self, store: impl TokenStore, account: impl Into<String>) -> Self {
        self.store = Some((Arc::new(store), account.into()));
        self
    }

    /// Renews the token ahead of its expiry even if nobody calls, from the first login on until the session ends.
    pub fn keep_fresh(mut self) -> Self {
        self.upkeep = Upkeep::KeepFresh;
        self
    }

    /// The session. It logs in when a token is first needed.
    pub fn build(self) -> Session {
        let Self { authenticator, policy, clock, tokens, store, upkeep } = self;
        let store = store.map(|(store, account)| AccountStore::new(store, account));
        let shared = SessionShared::new(Parts { authenticator, policy, clock, store, upkeep });
        if let Some(tokens) = tokens {
            shared.begin_from(tokens);
        }
        background::start(&shared);
        Session(shared)
    }

    /// The session, logged in: wrong credentials are known now, not at the first call. Tokens it was given are replaced.
    ///
    /// # Errors
    ///
    /// Those of [`Session::login`].
    pub async fn login(self) -> Result<Session, Error> {
        let session = self.build();
        session.login().await?;
        Ok(session)
    }

    /// The session, logged in, as [`login`](Self::login), for a thread that may wait.
    ///
    /// # Errors
    ///
    /// Those of [`Session::login`].
    #[cfg(feature = "blocking")]
    pub fn blocking_login(self) -> Result<Session, Error> {
        let session = self.build();
        session.blocking_login()?;
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
