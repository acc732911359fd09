//! A child process that is part of a fleet until its standard input is closed: it keeps the tokens
//! fresh, or calls the API with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use jwt_refresh::pool::{Account, AuthWorker, Lease, Limit, PoolPolicy, RedisPool};
use jwt_refresh::{Bearer, ErrorKind, Policy};
use serde::{Deserialize, Serialize};

use super::{Message, begin, send};
use crate::caller::Calls;
use crate::support::{PASSWORD, SECOND, account_name, http_client, login_at, orders};

const FLEET: &str = "catalog";
/// Numbers the members of this process.
static MEMBERS: AtomicU64 = AtomicU64::new(0);
/// Tokens are refreshed in the last quarter of their lives, so that they live meanwhile.
pub(crate) const AHEAD: f64 = 0.25;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    AuthWorker,
    Member,
}

/// What an account allows. `None` is a limit that it does not have.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Allowed {
    /// Calls a second, and how many may come at once.
    pub(crate) rate: Option<(u32, u32)>,
    pub(crate) concurrency: Option<u32>,
    /// Calls a day.
    pub(crate) quota: Option<u32>,
}

impl Allowed {
    pub(crate) const fn rate(rate: u32, burst: u32) -> Self {
        Self { rate: Some((rate, burst)), concurrency: None, quota: None }
    }

    fn limit(self, account: Account) -> Account {
        let account = match self.rate {
            Some((rate, burst)) => account.rate(rate, SECOND).burst(burst),
            None => account,
        };
        let account = self.concurrency.into_iter().fold(account, Account::concurrency);
        self.quota.into_iter().fold(account, |account, calls| account.limit(Limit::daily(calls.into())))
    }
}

/// What all processes of a fleet are told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FleetPlan {
    pub(crate) server: String,
    pub(crate) redis: String,
    pub(crate) accounts: Vec<Allowed>,
    pub(crate) share_time: Duration,
    pub(crate) lease_ttl: Duration,
    /// How many callers each member has, and how long their calls take.
    pub(crate) callers: usize,
    pub(crate) work: Duration,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FleetOrders {
    pub(crate) role: Role,
    pub(crate) plan: FleetPlan,
}

impl FleetPlan {
    fn worker(&self) -> AuthWorker {
        let account = |(number, allowed): (usize, &Allowed)| {
            let name = account_name(number);
            let login = login_at(&self.server, &name, PASSWORD).build().expect("an authenticator");
            allowed.limit(Account::new(name, login))
        };
        let policy = PoolPolicy::default().tokens(Policy::default().refresh_ahead(AHEAD));
        let worker = AuthWorker::builder(&self.redis, FLEET).policy(policy).share_time(self.share_time);
        let worker = worker.claim_ttl(SECOND * 4).lease_ttl(self.lease_ttl);
        worker.accounts(self.accounts.iter().enumerate().map(account)).build().expect("a worker")
    }

    pub(crate) fn pool(&self) -> RedisPool {
        // A busy machine may be slow, and that is not what is tested.
        RedisPool::builder(&self.redis, FLEET).timeout(SECOND * 10).build().expect("a pool")
    }

    /// Calls the API through `pool` until `ended`, from as many callers as a member has.
    pub(crate) async fn call_until(&self, pool: &RedisPool, ended: &Arc<AtomicBool>) -> Calls {
        let caller = Arc::new(Caller {
            pool: pool.clone(),
            http: http_client(),
            server: self.server.clone(),
            work: self.work,
            member: format!("{}-{}", std::process::id(), MEMBERS.fetch_add(1, Ordering::Relaxed)),
            count: AtomicU64::new(0),
        });
        let callers = (0..self.callers).map(|_| {
            let (caller, ended) = (Arc::clone(&caller), Arc::clone(ended));
            tokio::spawn(async move {
                let mut calls = Calls::default();
                while !ended.load(Ordering::Acquire) {
                    caller.call(&mut calls).await;
                }
                calls
            })
        });
        let mut sum = Calls::default();
        for caller in callers.collect::<Vec<_>>() {
            sum.add(caller.await.expect("a caller that does not panic"));
        }
        sum
    }
}

impl FleetOrders {
    async fn follow(&self, ended: &Arc<AtomicBool>) -> Calls {
        match self.role {
            Role::AuthWorker => {
                let worker = self.plan.worker();
                while !ended.load(Ordering::Acquire) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                worker.close(SECOND * 20).await;
                Calls::default()
            }
            Role::Member => {
                let pool = self.plan.pool();
                let calls = self.plan.call_until(&pool, ended).await;
                pool.close(SECOND).await;
                calls
            }
        }
    }
}

/// What the callers of a member have.
struct Caller {
    pool: RedisPool,
    http: reqwest::Client,
    server: String,
    work: Duration,
    /// Tells this member from all others at the server.
    member: String,
    count: AtomicU64,
}

impl Caller {
    /// Makes one call, if there is a lease within a second.
    async fn call(&self, calls: &mut Calls) {
        calls.all += 1;
        let lease = match self.pool.lease().within(SECOND).await {
            Ok(lease) => lease,
            Err(error) if error.kind() == ErrorKind::Busy => return calls.failed += 1,
            Err(error) if error.to_string().contains("quota used up") => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                return calls.failed += 1;
            }
            Err(error) => return send(&Message::Failed(format!("{error}: {error:?}"))),
        };
        calls.sent += 1;
        let call = self.count.fetch_add(1, Ordering::Relaxed);
        let (begin, end) = (self.url("begin", &self.member, call), self.url("end", lease.account(), call));
        match self
            .http
            .get(format!("{begin}?sent={}", micros_now()))
            .bearer(&lease)
            .send()
            .await
            .map(|answer| answer.status().as_u16())
        {
            Ok(200) => tokio::time::sleep(self.work).await,
            Ok(401) if has_expired(&lease) => return calls.late += 1,
            Ok(401) => {
                calls.rejected += 1;
                return lease.rejected();
            }
            other => return send(&Message::Failed(format!("the API answered {other:?}"))),
        }
        let ended = self.http.get(end).send().await.map(|answer| answer.status().as_u16());
        if !matches!(ended, Ok(200)) {
            send(&Message::Failed(format!("the API answered {ended:?} to the end of a call")));
        }
    }

    fn url(&self, what: &str, whose: &str, call: u64) -> String {
        format!("{}/{what}/{whose}/{}-{call}", self.server, self.member)
    }
}

/// The time on the clock that all processes of the machine have, in microseconds.
fn micros_now() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_micros())
}

fn has_expired(lease: &Lease) -> bool {
    lease.expires_at().is_some_and(|expires| SystemTime::now() >= expires)
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "runs as a child process of other tests"]
async fn follows_orders() {
    let Some(orders) = orders() else { return };
    let orders: FleetOrders = serde_json::from_str(&orders).unwrap();
    let ended = begin();
    send(&Message::Done(orders.follow(&ended).await));
}
