//! What a child process does for a pool in Redis: this test binary again, with its duty in the environment. It keeps the tokens
//! fresh, or calls the API with them, until its standard input is closed, and says on its standard output what happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use jwt_refresh::pool::{Account, AuthWorker, Lease, PoolPolicy, RedisPool};
use jwt_refresh::{Bearer, ErrorKind, HttpAuthenticator, Policy};
use jwt_refresh_testkit::TestServer;
use serde::{Deserialize, Serialize};

use crate::caller::Tally;
use crate::child::{Said, say, say_warnings, until_stdin_ends};
use crate::fleet::Job;

/// Where a child finds its duty.
const DUTY: &str = "JWT_REFRESH_TORTURE_DUTY";
const POOL: &str = "catalog";
const SECOND: Duration = Duration::from_secs(1);

/// So often each account may be called in a second.
pub(crate) const RATE: u32 = 20;
/// Every third account may be called by so many at once.
pub(crate) const CONCURRENCY: u32 = 3;
/// Tokens are refreshed in the last quarter of their lives, so that they live while they are.
pub(crate) const AHEAD: f64 = 0.25;
/// How soon what a dead process held comes back.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(4);
/// How many calls a client makes at once, or waits to make.
const CALLERS: usize = 12;
/// A lease is held for so long beyond its call, as by one that takes what it got to pieces.
const WORK: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    Auth,
    Client,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Duty {
    role: Role,
    server: String,
    redis: String,
    accounts: usize,
}

impl Duty {
    pub(crate) fn job(role: Role, server: &TestServer, redis: &str, accounts: usize) -> Job {
        let duty = Self { role, server: server.base_url().to_owned(), redis: redis.to_owned(), accounts };
        Job::new("duty::is_done", DUTY, &duty)
    }

    fn account(&self, number: usize) -> Account {
        let name = name(number);
        let login = HttpAuthenticator::builder(format!("{}/api/auth/login", self.server))
            .refresh_url(format!("{}/api/auth/refresh", self.server))
            .field("email", &name)
            .secret_field("password", "secret")
            .build()
            .expect("an authenticator");
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
        say(&Said::Done(Tally::default()));
    }

    async fn call(&self, ended: &Arc<AtomicBool>) {
        let pool = pool(&self.redis);
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let url = format!("{}/api/v1/products/1", self.server);
        let callers = (0..CALLERS).map(|_| {
            let (pool, http, url, ended) = (pool.clone(), http.clone(), url.clone(), Arc::clone(ended));
            tokio::spawn(async move {
                let mut tally = Tally::default();
                while !ended.load(Ordering::Acquire) {
                    call(&pool, &http, &url, &mut tally).await;
                }
                tally
            })
        });
        let mut sum = Tally::default();
        for caller in callers.collect::<Vec<_>>() {
            sum.add(caller.await.expect("a caller that does not panic"));
        }
        pool.flush().await.expect("Redis is there");
        say(&Said::Done(sum));
    }
}

pub(crate) fn name(number: usize) -> String {
    format!("a{number}")
}

pub(crate) fn has_concurrency(number: usize) -> bool {
    number.is_multiple_of(3)
}

pub(crate) fn pool(redis: &str) -> RedisPool {
    // A busy machine may take its time, and that is not what is tested.
    RedisPool::builder(redis, POOL).timeout(SECOND * 10).build().expect("a pool")
}

/// One call, with a lease if there is one soon.
async fn call(pool: &RedisPool, http: &reqwest::Client, url: &str, tally: &mut Tally) {
    tally.calls += 1;
    let lease = match pool.lease().within(SECOND).await {
        Ok(lease) => lease,
        Err(error) if error.kind() == ErrorKind::Busy => return tally.failed += 1,
        Err(error) => return say(&Said::Failed(format!("{error}: {error:?}"))),
    };
    tally.sent += 1;
    let status = http.get(url).bearer(&lease).send().await.map(|answer| answer.status().as_u16());
    match status {
        Ok(200) => tokio::time::sleep(WORK).await,
        Ok(401) if has_expired(&lease) => tally.late += 1,
        Ok(401) => {
            tally.rejected += 1;
            lease.rejected();
        }
        other => say(&Said::Failed(format!("the API answered {other:?}"))),
    }
}

fn has_expired(lease: &Lease) -> bool {
    lease.expires_at().is_some_and(|expires| SystemTime::now() >= expires)
}

/// Does nothing when it is run as a test.
#[tokio::test(flavor = "current_thread")]
async fn is_done() {
    let Ok(duty) = std::env::var(DUTY) else { return };
    let duty: Duty = serde_json::from_str(&duty).unwrap();
    say_warnings();
    // A line of its own.
    println!();
    let ended = until_stdin_ends();
    match duty.role {
        Role::Auth => duty.keep_fresh(&ended).await,
        Role::Client => duty.call(&ended).await,
    }
}
