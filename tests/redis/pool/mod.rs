//! Pools in Redis: what one process can rely on, and what all processes together can.

mod accounts;
mod bad_input;
mod crashes;
mod leases;
mod quarantine;
mod revocation;
mod roles;
mod selection;
mod slots;

use std::time::Duration;

use jwt_refresh::pool::{Account, AuthWorker, AuthWorkerBuilder, Lease, PoolPolicy, RedisPool};
use jwt_refresh_testkit::{Builder, TestServer};

use crate::support::{HOUR, RedisServer, account_login, account_name, call_api, until, with_accounts};

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

    fn builder(&self) -> AuthWorkerBuilder {
        AuthWorker::builder(&self.redis.url(), POOL)
    }

    /// An auth worker with the first `accounts` accounts.
    fn worker(&self, accounts: usize) -> AuthWorker {
        self.builder().accounts((0..accounts).map(|number| self.account(number))).build().unwrap()
    }

    fn pool(&self) -> RedisPool {
        RedisPool::builder(&self.redis.url(), POOL).build().unwrap()
    }

    /// Calls the API with the lease, and returns the status of the answer.
    async fn call(&self, lease: &Lease) -> u16 {
        call_api(&self.server, lease.token()).await
    }
}

/// Waits until `accounts` accounts serve.
async fn active(pool: &RedisPool, accounts: usize) {
    until(&format!("{accounts} accounts serve"), async || pool.status().await.unwrap().active == accounts).await;
}

fn policy() -> PoolPolicy {
    PoolPolicy::default()
}
