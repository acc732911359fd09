//! Fleets: what one process can rely on, and what all processes together can.

mod accounts;
mod bad_input;
mod breakages;
pub(crate) mod callers;
mod crashes;
mod demand;
mod diagnosis;
#[cfg(unix)]
mod faults;
mod late_costs;
mod leases;
mod quarantine;
mod revocation;
mod roles;
mod selection;
mod telling;
#[cfg(feature = "seal")]
mod vault_keys;

use std::time::Duration;

use jwt_refresh::pool::{Account, AuthWorker, AuthWorkerBuilder, Lease, PoolPolicy, RedisPool};
use jwt_refresh_testkit::{Builder, TestServer};

use crate::support::{
    HOUR, RedisProxy, RedisServer, SECOND, account_login, account_name, call_api, is_served, until, with_accounts,
};

const POOL: &str = "catalog";

/// A redis-server, and a server with accounts.
struct World {
    redis: RedisServer,
    server: TestServer,
}

impl World {
    async fn new(accounts: usize) -> Self {
        Self::with_lifetime(accounts, HOUR).await
    }

    /// With a server that holds back each answer to a login or refresh.
    async fn with_latency(accounts: usize, latency: Duration) -> Self {
        Self::with(accounts, TestServer::builder().latency(latency)).await
    }

    async fn with_lifetime(accounts: usize, lifetime: Duration) -> Self {
        Self::with(accounts, TestServer::builder().access_lifetime(lifetime)).await
    }

    async fn with(accounts: usize, server: Builder) -> Self {
        Self { redis: RedisServer::start().await, server: with_accounts(server, accounts).start() }
    }

    fn account(&self, number: usize) -> Account {
        let login = account_login(&self.server, number).revocation_url(self.server.url("/api/auth/revoke"));
        Account::new(account_name(number), login.build().unwrap())
    }

    /// Shares hold for a second, so that a fleet starts and heals soon.
    fn builder(&self) -> AuthWorkerBuilder {
        AuthWorker::builder(&self.redis.url(), POOL).share_time(SECOND)
    }

    /// An auth worker with the first `accounts` accounts.
    fn worker(&self, accounts: usize) -> AuthWorker {
        self.builder().accounts((0..accounts).map(|number| self.account(number))).build().unwrap()
    }

    /// A process that uses tokens, and reaches Redis through a proxy.
    fn pool_behind(proxy: &RedisProxy) -> RedisPool {
        RedisPool::builder(&proxy.url(), POOL).timeout(SECOND / 2).build().unwrap()
    }

    fn pool(&self) -> RedisPool {
        RedisPool::builder(&self.redis.url(), POOL).build().unwrap()
    }

    /// Has no auth worker be the coordinator, so that what it has written stays as it is.
    async fn without_coordinator(&self) {
        self.redis.run_command::<()>("SET jwt-refresh:{catalog}:auth:coordinator nobody").await;
    }

    /// Calls the API with the lease, and returns the status of the answer.
    async fn call(&self, lease: &Lease) -> u16 {
        call_api(&self.server, lease.token()).await
    }

    /// Asserts that the API takes the token of the lease, unless that has expired on the way.
    async fn serves(&self, lease: &Lease) {
        assert!(is_served(&self.server, lease.token()).await);
    }
}

/// Waits until `accounts` accounts serve in the fleet.
async fn active(pool: &RedisPool, accounts: usize) {
    // On a busy machine Redis may not answer in time.
    until(&format!("{accounts} accounts serve"), async || {
        pool.status().await.is_ok_and(|status| status.active == accounts)
    })
    .await;
}

/// Waits until `accounts` accounts serve in this process.
async fn holds(pool: &RedisPool, accounts: usize) {
    until(&format!("{accounts} accounts serve here"), async || pool.local_status().active == accounts).await;
}

fn policy() -> PoolPolicy {
    PoolPolicy::default()
}
