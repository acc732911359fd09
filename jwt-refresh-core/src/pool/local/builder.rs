//! How a pool is put together.

use std::fmt;
use std::sync::Arc;

use super::shared::PoolShared;
use super::{Pool, scheduler};
use crate::clock::Clock;
use crate::error::Error;
use crate::pool::account::Account;
use crate::pool::policy::PoolPolicy;
use crate::runtime;

impl Pool {
    /// Puts a pool together.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::default()
    }
}

/// Puts a [`Pool`] together: [`Pool::builder`].
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct PoolBuilder {
    accounts: Vec<Account>,
    policy: PoolPolicy,
    clock: Clock,
}

impl PoolBuilder {
    /// An account to begin with. More can be [added](Pool::add) at any time.
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// Accounts to begin with.
    pub fn accounts(mut self, accounts: impl IntoIterator<Item = Account>) -> Self {
        self.accounts.extend(accounts);
        self
    }

    /// The numbers to go by.
    pub fn policy(mut self, policy: PoolPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The clock to go by, for tests: see [`ManualClock`](crate::ManualClock).
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// The pool. It begins to log its accounts in.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if two accounts have one name, if a rate lets nothing through, or if
    /// there is no tokio runtime for the task that keeps the tokens fresh.
    pub fn build(self) -> Result<Pool, Error> {
        let pool = Arc::new(PoolShared::new(self.policy, self.clock, runtime::handle()?));
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
            .finish()
    }
}
