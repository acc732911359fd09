//! Setting up a pool.

use std::fmt;
use std::sync::Arc;

use super::shared::PoolShared;
use super::{Pool, scheduler};
use crate::clock::Clock;
use crate::error::Error;
use crate::pool::account::Account;
use crate::pool::policy::PoolPolicy;
use crate::renewal;
use crate::runtime;
use crate::store::{DynStore, TokenStore};

impl Pool {
    /// Returns a builder without accounts, with the default policy.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::default()
    }
}

/// Sets up a [`Pool`]. Returned by [`Pool::builder`].
///
/// ```
/// use jwt_refresh::Error;
/// use jwt_refresh::pool::{Account, Pool, PoolPolicy, Selection};
/// use jwt_refresh::store::FileStore;
///
/// fn pool(accounts: Vec<Account>) -> Result<Pool, Error> {
///     Pool::builder()
///         .accounts(accounts)
///         .policy(PoolPolicy::default().selection(Selection::RoundRobin).queue(1_000))
///         .store(FileStore::new("/var/lib/catalog"))
///         .build()
/// }
/// ```
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct PoolBuilder {
    accounts: Vec<Account>,
    policy: PoolPolicy,
    clock: Clock,
    store: Option<Arc<dyn DynStore>>,
    id: Option<u64>,
}

impl PoolBuilder {
    /// Adds an account. More accounts can be [added](Pool::add) to the pool at any time.
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// Adds several accounts.
    pub fn accounts(mut self, accounts: impl IntoIterator<Item = Account>) -> Self {
        self.accounts.extend(accounts);
        self
    }

    /// Sets the numbers that the pool goes by. Default [`PoolPolicy::default`].
    pub fn policy(mut self, policy: PoolPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the pool's clock, for tests: see [`ManualClock`](crate::ManualClock). By default the
    /// system's clocks.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Keeps the tokens of all accounts in `store`, each by the account's name. They outlive the
    /// process: the next one begins with them, and logs in only accounts whose tokens have ended.
    /// Pools and [sessions](crate::SessionBuilder::store) that share the store, in any process,
    /// share the login of an account, and renew it one at a time. New tokens are in the store
    /// before they are used. What happens while the store fails is said by
    /// [`Policy::store_failure`](crate::Policy::store_failure) of the pool's
    /// [policy](PoolPolicy::tokens).
    ///
    /// An account that is [removed](Pool::remove) is logged out in the store, too, and so does not
    /// serve in other pools any more. Adding it again ends that. What another process has renewed
    /// is taken over when the token here is due or was rejected. API keys are not kept.
    ///
    /// Each account takes up to 2 KiB more than in a pool without a store.
    pub fn store(mut self, store: impl TokenStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets the number that tells the pool from others in this process. Pools of one number are one
    /// to an authenticator that asks one of them for a token.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn id(mut self, id: u64) -> Self {
        self.id = Some(id);
        self
    }

    /// Returns the pool, which begins to log its accounts in.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if two accounts have the same name, if a
    /// rate lets nothing through, if the [lease time-out](PoolPolicy::lease_timeout) is zero, or if
    /// the threads that renew tokens cannot be started.
    pub fn build(self) -> Result<Pool, Error> {
        self.policy.check()?;
        let id = self.id.unwrap_or_else(renewal::next_id);
        let pool = Arc::new(PoolShared::new(id, self.policy, self.clock, self.store, runtime::handle()?));
        for account in self.accounts {
            pool.add(account)?;
        }
        scheduler::start(&pool);
        Ok(Pool(pool))
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("accounts", &self.accounts.len())
            .field("policy", &self.policy)
            .field("clock", &self.clock)
            .field("has_store", &self.store.is_some())
            .finish_non_exhaustive()
    }
}
