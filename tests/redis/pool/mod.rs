//! Pools in Redis: what one process is promised, and what a fleet is.

mod accounts;
mod bad_input;
mod deaths;
mod leases;
mod places;
mod quarantine;
mod roles;
mod selection;

use std::time::Duration;

use jwt_refresh::HttpAuthenticator;
use jwt_refresh::pool::{Account, AuthWorker, AuthWorkerBuilder, Lease, PoolPolicy, RedisPool};
use jwt_refresh_testkit::{Builder, TestServer};

use crate::server::Server;
use crate::until;

const SECOND: Duration = Duration::from_secs(1);
const POOL: &str = "catalog";

/// A redis-server, and an API with accounts `a0`, `a1`, ….
struct World {
    redis: Server,
    server: TestServer,
}

impl World {
    async fn new(accounts: usize) -> Self {
        Self::with_lifetime(accounts, Duration::from_secs(3600)).await
    }

    /// Whose logins and refreshes take so long.
    async fn with_latency(accounts: usize, latency: Duration) -> Self {
        Self::over(accounts, TestServer::builder().latency(latency)).await
    }

    async fn with_lifetime(accounts: usize, lifetime: Duration) -> Self {
        Self::over(accounts, TestServer::builder().access_lifetime(lifetime)).await
    }

    async fn over(accounts: usize, builder: Builder) -> Self {
        let builder = (0..accounts).fold(builder, |server, account| server.account(&format!("a{account}"), "secret"));
        Self { redis: Server::start().await, server: builder.start() }
    }

    fn account(&self, number: usize) -> Account {
        let name = format!("a{number}");
        let login = HttpAuthenticator::builder(self.server.url("/api/auth/login"))
            .refresh_url(self.server.url("/api/auth/refresh"))
            .revocation_url(self.server.url("/api/auth/revoke"))
            .field("email", &name)
            .secret_field("password", "secret")
            .build()
            .unwrap();
        Account::new(name, login)
    }

    fn builder(&self) -> AuthWorkerBuilder {
        AuthWorker::builder(&self.redis.url(), POOL)
    }

    /// An auth worker with the first accounts.
    fn worker(&self, accounts: usize) -> AuthWorker {
        self.builder().accounts((0..accounts).map(|number| self.account(number))).build().unwrap()
    }

    fn pool(&self) -> RedisPool {
        RedisPool::builder(&self.redis.url(), POOL).build().unwrap()
    }

    /// What the API answers to a call with the lease.
    async fn call(&self, lease: &Lease) -> u16 {
        let request = reqwest::Client::new().get(self.server.url("/api/v1/products/1"));
        request.header("authorization", lease.token()).send().await.unwrap().status().as_u16()
    }
}

/// Waits until so many accounts serve.
async fn active(pool: &RedisPool, number: usize) {
    until(&format!("{number} accounts serve"), async || pool.status().await.unwrap().active == number).await;
}

fn policy() -> PoolPolicy {
    PoolPolicy::default()
}
