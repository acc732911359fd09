//! An account of a pool whose tokens are in a store: a session that the pool drives. The pool says
//! when it renews, and pauses after a failure; what it sends, and what is written to the store in
//! which order, is the session's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use super::account_store::AccountStore;
use super::shared::{Parts, SessionShared, Upkeep};
use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::renewal::{IssuedTokens, Outcome, Plan, RefreshCredential};
use crate::store::DynStore;
use crate::sync::Mutex;
use crate::token::Tokens;

/// A session without callers of its own. Nothing goes on in its background: it looks at the store
/// when the pool asks it to renew.
pub(crate) struct StoredAccount {
    session: Arc<SessionShared>,
    /// The tokens that the user has captured, until the store was looked at.
    captured: Mutex<Option<Box<Tokens>>>,
    /// Whether the account has had tokens. From then on a logout in the store is another process's.
    has_begun: AtomicBool,
    /// The account of the same name that was removed before this one was added.
    predecessor: Mutex<Option<Arc<StoredAccount>>>,
    left: OnceCell<()>,
}

/// How many logins and refreshes of an account succeeded and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExchangeCounts {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

impl StoredAccount {
    /// Returns the account that `store` has by the name `account`. It has no tokens until
    /// [`renew`](Self::renew).
    pub(crate) fn new(
        authenticator: Arc<dyn DynAuthenticator>,
        (store, account): (Arc<dyn DynStore>, String),
        (policy, clock): (Policy, Clock),
        captured: Option<Tokens>,
        predecessor: Option<Arc<Self>>,
    ) -> Self {
        let store = Some(AccountStore::new(store, account, authenticator.server_id()));
        let upkeep = Upkeep::OnDemand;
        let session = SessionShared::new(Parts {
            authenticator,
            policy,
            clock,
            store,
            upkeep,
            renew_on: None,
            #[cfg(feature = "reqwest")]
            requests: None,
        });
        if let Some(tokens) = captured.clone() {
            session.start_from_captured(tokens);
        }
        Self {
            session,
            captured: Mutex::new(captured.map(Box::new)),
            has_begun: AtomicBool::new(false),
            predecessor: Mutex::new(predecessor),
            left: OnceCell::new(),
        }
    }

    /// Gets tokens for the account. The first time, live ones of the store or of the user are taken
    /// as they are, and a logout does not hold: whoever adds an account wants it to serve. Later,
    /// what another process has got meanwhile is as good as a renewal.
    ///
    /// The credential stays with the session, so the outcome has none.
    pub(crate) async fn renew(&self, plan: Plan) -> Outcome {
        let predecessor = self.predecessor.lock().take();
        if let Some(predecessor) = predecessor {
            predecessor.log_out().await;
        }
        let begins = !self.has_begun.load(Ordering::Acquire);
        if begins || self.session.cell.lock().is_logged_out() {
            let captured = self.captured.lock().as_deref().cloned().filter(|_| begins);
            if let Err(error) = Arc::clone(&self.session).begin_from_store(captured).await {
                return Outcome::failed(error, RefreshCredential::None);
            }
            if let Some(issued) = self.held() {
                return Outcome::Found(self.begun(issued));
            }
        }
        // The pool pauses after a login that was refused, and tries it again all the same.
        self.session.forget_refused_login();
        let renewed = match self.session.renew_now(plan).await {
            Err(error) if begins && error.kind() == ErrorKind::LoggedOut => self.session.renew_now(Plan::LogIn).await,
            renewed => renewed,
        };
        match renewed.map(|_| self.held()) {
            Ok(Some(issued)) => Outcome::Renewed(self.begun(issued)),
            // The account was logged out, or its token died, before this was read.
            Ok(None) if !self.session.cell.lock().is_logged_out() => {
                let error = Error::new(ErrorKind::Aborted, "the new token ended before it was used");
                Outcome::failed(error, RefreshCredential::None)
            }
            Ok(None) => Outcome::LoggedOut,
            Err(error) if error.kind() == ErrorKind::LoggedOut => Outcome::LoggedOut,
            Err(error) => Outcome::failed(error, RefreshCredential::None),
        }
    }

    /// Notes that a token of the account has had this sequence, which the store need not know any
    /// more. The next one gets a higher.
    #[cfg(feature = "redis")]
    pub(crate) fn note_sequence(&self, sequence: u64) {
        if let Some(store) = &self.session.store {
            store.note_sequence(sequence);
        }
    }

    /// Notes that the account has tokens.
    fn begun(&self, issued: IssuedTokens) -> IssuedTokens {
        self.has_begun.store(true, Ordering::Release);
        self.captured.lock().take();
        issued
    }

    /// Returns the tokens of the session if they can be used for a while, without the credential.
    fn held(&self) -> Option<IssuedTokens> {
        let now = self.session.cell.clock.moment();
        let (sequence, held) = {
            let state = self.session.cell.lock();
            (state.sequence(), state.held_until_due(now)?)
        };
        let (token, life) = held;
        let credential = RefreshCredential::None;
        Some(IssuedTokens { token, begins: now, life, credential, login_ends: None, server_ahead: None, sequence })
    }

    /// Logs the account out, because it was removed from the pool: in the store, so that other
    /// processes do not use it either, and at the server. A failure is logged, and the store is
    /// written when it is back.
    pub(crate) async fn log_out(&self) {
        let log_out = || async {
            if let Err(error) = Arc::clone(&self.session).log_out().await {
                let account = self.session.store.as_ref().map(|store| store.account());
                tracing::warn!(target: "jwt_refresh", account, action = "logout", kind = ?error.kind(), %error, "failed");
            }
        };
        self.left.get_or_init(log_out).await;
    }

    /// Waits until no renewal is under way and what it brought is in the store, as
    /// [`Session::flush`](crate::Session::flush) does.
    pub(crate) async fn flush(&self) {
        self.session.flush().await;
    }

    /// Returns whether nothing is left that [`flush`](Self::flush) would wait for.
    pub(crate) fn is_saved(&self) -> bool {
        self.session.is_saved()
    }

    pub(crate) fn counts(&self) -> ExchangeCounts {
        let counts = self.session.telemetry.counts();
        ExchangeCounts { succeeded: counts.logins + counts.refreshes, failed: counts.failures }
    }
}
