//! A child process that uses a pool in Redis until its standard input is closed: it keeps the
//! tokens fresh, or calls the API with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use jwt_refresh::pool::{Account, AuthWorker, Lease, PoolPolicy, RedisPool};
use jwt_refresh::{Bearer, ErrorKind, Policy};
use jwt_refresh_testkit::TestServer;
use serde::{Deserialize, Serialize};

use super::{Message, begin, send};
use crate::caller::Calls;
use crate::support::{PASSWORD, SECOND, account_name, http_client, login_at, orders};

const POOL: &str = "catalog";

/// How many calls a second each account may make.
pub(crate) const RATE: u32 = 20;
/// How many calls every third account may make at once.
pub(crate) const CONCURRENCY: u32 = 3;
/// Tokens are refreshed in the last quarter of their lives, so that they live meanwhile.
pub(crate) const AHEAD: f64 = 0.25;
/// After this time, what a dead process held is free.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(4);
/// How many callers a client has.
const CALLERS: usize = 12;
/// How long a caller keeps its lease after the call, as if it worked with the answer.
const WORK: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    AuthWorker,
    Client,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PoolOrders {
    role: Role,
    server: String,
    redis: String,
    accounts: usize,
}

impl PoolOrders {
    pub(crate) fn new(role: Role, server: &TestServer, redis: &str, accounts: usize) -> Self {
        Self { role, server: server.base_url().to_owned(), redis: redis.to_owned(), accounts }
    }

    fn account(&self, number: usize) -> Account {
        let name = account_name(number);
        let login = login_at(&self.server, &name, PASSWORD).build().expect("an authenticator");
        let account = Account::new(name, login).rate(RATE, SECOND);
        if has_concurrency(number) { account.concurrency(CONCURRENCY) } else { account }
    }

    async fn keep_fresh(&self, ended: &AtomicBool) {
        let accounts = (0..self.accounts).map(|number| self.account(number));
        let worker = AuthWorker::builder(&self.redis, POOL).claim_ttl(DEAD_AFTER).lease_ttl(DEAD_AFTER);
        let policy = PoolPolicy::default().tokens(Policy::default().refresh_ahead(AHEAD));
        let worker = worker.policy(policy).accounts(accounts).build().expect("a worker");
        while !ended.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        worker.close().await;
        send(&Message::Done(Calls::default()));
    }

    async fn call(&self, ended: &Arc<AtomicBool>) {
        let pool = pool(&self.redis);
        let http = http_client();
        let url = format!("{}/api/v1/products/1", self.server);
        let callers = (0..CALLERS).map(|_| {
            let (pool, http, url, ended) = (pool.clone(), http.clone(), url.clone(), Arc::clone(ended));
            tokio::spawn(async move {
                let mut calls = Calls::default();
                while !ended.load(Ordering::Acquire) {
                    call(&pool, &http, &url, &mut calls).await;
                }
                calls
            })
        });
        let mut sum = Calls::default();
        for caller in callers.collect::<Vec<_>>() {
            sum.add(caller.await.expect("a caller that does not panic"));
        }
        pool.flush().await.expect("Redis is up");
        send(&Message::Done(sum));
    }
}

pub(crate) fn has_concurrency(number: usize) -> bool {
    number.is_multiple_of(3)
}

pub(crate) fn pool(redis: &str) -> RedisPool {
    // A busy machine may be slow, and that is not what is tested.
    RedisPool::builder(redis, POOL).timeout(SECOND * 10).build().expect("a pool")
}

/// Makes one call, if there is a lease within a second.
async fn call(pool: &RedisPool, http: &reqwest::Client, url: &str, calls: &mut Calls) {
    calls.all += 1;
    let lease = match pool.lease().within(SECOND).await {
        Ok(lease) => lease,
        Err(error) if error.kind() == ErrorKind::Busy => return calls.failed += 1,
        Err(error) => return send(&Message::Failed(format!("{error}: {error:?}"))),
    };
    calls.sent += 1;
    let status = http.get(url).bearer(&lease).send().await.map(|answer| answer.status().as_u16());
    match status {
        Ok(200) => tokio::time::sleep(WORK).await,
        Ok(401) if has_expired(&lease) => calls.late += 1,
        Ok(401) => {
            calls.rejected += 1;
            lease.rejected();
        }
        other => send(&Message::Failed(format!("the API answered {other:?}"))),
    }
}

fn has_expired(lease: &Lease) -> bool {
    lease.expires_at().is_some_and(|expires| SystemTime::now() >= expires)
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "runs as a child process of other tests"]
async fn follows_orders() {
    let Some(orders) = orders() else { return };
    let orders: PoolOrders = serde_json::from_str(&orders).unwrap();
    let ended = begin();
    match orders.role {
        Role::AuthWorker => orders.keep_fresh(&ended).await,
        Role::Client => orders.call(&ended).await,
    }
}
