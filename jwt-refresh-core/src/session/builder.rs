//! How a session is put together.

use std::sync::Arc;

use super::Session;
use super::shared::Shared;
use crate::authenticator::AnyAuthenticator;
use crate::{Authenticator, Clock, Error, Policy, Tokens};

/// Puts a [`Session`] together: [`Session::builder`].
#[must_use = "a builder does nothing until `build` or `login` is called"]
pub struct SessionBuilder {
    authenticator: Arc<dyn AnyAuthenticator>,
    policy: Policy,
    clock: Clock,
    tokens: Option<Tokens>,
}

impl SessionBuilder {
    pub(super) fn new(authenticator: impl Authenticator) -> Self {
        Self { authenticator: Arc::new(authenticator), policy: Policy::default(), clock: Clock::system(), tokens: None }
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

    /// Starts from tokens captured earlier. An `expires_in` in them counts from when the session is built, so give them
    /// [`expires_at`](Tokens::expires_at) if they are older than that; the `exp` of a JWT is seen by itself.
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// The session. It logs in when a token is first needed.
    pub fn build(self) -> Session {
        let shared = Shared::new(self.authenticator, self.policy, self.clock);
        if let Some(tokens) = self.tokens {
            shared.adopt(tokens);
        }
        Session::from_shared(Arc::new(shared))
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
            .finish_non_exhaustive()
    }
}
