//! A pool with a store: its accounts begin with what the store has, and share it with other
//! processes. Each is a session that this pool drives.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

#[cfg(feature = "reqwest")]
use crate::authenticator::HttpClient;
use crate::authenticator::{Authenticator, DynAuthenticator};
use crate::clock::Clock;
use crate::error::Error;
use crate::policy::Policy;
use crate::pool::account::NamedAuthenticator;
use crate::session::StoredAccount;
use crate::store::DynStore;
use crate::sync::Mutex;
use crate::token::{RefreshToken, Tokens};

/// The store of a pool.
pub(super) struct PoolStore {
    store: Arc<dyn DynStore>,
    policy: Policy,
    clock: Clock,
    /// The accounts that were removed and are not logged out yet, by their names. One that is added
    /// by the same name begins after that.
    leaving: Mutex<HashMap<String, Weak<StoredAccount>>>,
}

impl PoolStore {
    pub(super) fn new(store: Arc<dyn DynStore>, policy: Policy, clock: Clock) -> Self {
        Self { store, policy, clock, leaving: Mutex::default() }
    }

    /// Returns the account with its tokens in the store. `captured` is what the user has given it.
    pub(super) fn stored(
        &self,
        base: Arc<dyn NamedAuthenticator>,
        captured: Option<Tokens>,
    ) -> Arc<dyn NamedAuthenticator> {
        let name = base.name().to_owned();
        let predecessor = self.leaving.lock().get(&name).and_then(Weak::upgrade);
        let authenticator: Arc<dyn DynAuthenticator> = Arc::clone(&base) as _;
        let place = (Arc::clone(&self.store), name);
        let settings = (self.policy.clone(), self.clock.clone());
        let account = Arc::new(StoredAccount::new(authenticator, place, settings, captured, predecessor));
        Arc::new(Stored { base, account })
    }

    /// Notes that an account was removed, which will be logged out.
    pub(super) fn note_leaving(&self, identity: &Arc<dyn NamedAuthenticator>) {
        let Some(account) = identity.stored() else { return };
        let mut leaving = self.leaving.lock();
        leaving.retain(|_, account| account.strong_count() > 0);
        leaving.insert(identity.name().to_owned(), Arc::downgrade(account));
    }
}

/// An account, and the session that has its tokens.
struct Stored {
    base: Arc<dyn NamedAuthenticator>,
    account: Arc<StoredAccount>,
}

impl NamedAuthenticator for Stored {
    fn name(&self) -> &str {
        self.base.name()
    }

    fn stored(&self) -> Option<&Arc<StoredAccount>> {
        Some(&self.account)
    }

    #[cfg(feature = "reqwest")]
    fn calls(&self) -> Option<&reqwest::Client> {
        self.base.calls()
    }

    #[cfg(feature = "reqwest")]
    fn with_clients(&self, client: &HttpClient, calls: reqwest::Client) -> Result<Arc<dyn NamedAuthenticator>, Error> {
        self.base.with_clients(client, calls)
    }
}

impl Authenticator for Stored {
    fn server_id(&self) -> Option<String> {
        DynAuthenticator::server_id(&*self.base)
    }

    async fn login(&self) -> Result<Tokens, Error> {
        DynAuthenticator::login(Arc::clone(&self.base)).await
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        DynAuthenticator::refresh(Arc::clone(&self.base), token.clone()).await
    }

    async fn probe(&self) -> Option<Result<(), Error>> {
        DynAuthenticator::probe(Arc::clone(&self.base)).await
    }

    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        DynAuthenticator::revoke(Arc::clone(&self.base), token.clone()).await
    }
}
