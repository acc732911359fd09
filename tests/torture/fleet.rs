//! A fleet of child processes, and a server that counts their calls: when each began and ended, of
//! which account and by which member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jwt_refresh::pool::RedisPool;
use jwt_refresh_testkit::{Answer, Builder, ReceivedRequest, Route, TestServer};
use serde_json::json;

use crate::child::fleet::{Allowed, FleetOrders, FleetPlan, Role};
use crate::children::Children;
use crate::load::exact;
use crate::support::{RedisServer, SECOND, account_name, until, with_accounts};

/// A call may be sent by this much later than its lease was given, so that it is closer to the
/// next: on a busy machine a process waits for its turn. It waits even longer for the server.
const LATE: Duration = Duration::from_millis(300);

/// A fleet, its Redis and its server.
pub(crate) struct Fleet {
    pub(crate) redis: RedisServer,
    pub(crate) server: TestServer,
    pub(crate) plan: FleetPlan,
    pub(crate) begun: Instant,
    meter: Arc<Meter>,
}

impl Fleet {
    /// Makes a fleet without processes. `plan` says all but where the server and Redis are.
    pub(crate) async fn new(server: Builder, plan: FleetPlan) -> Self {
        let meter = Arc::new(Meter { lease_ttl: plan.lease_ttl, accounts: Mutex::default() });
        let (begins, ends) = (Arc::clone(&meter), Arc::clone(&meter));
        let server = with_accounts(server, plan.accounts.len())
            .route(Route::get("/begin/{member}/{call}", move |request| begins.begin(request)))
            .route(Route::get("/end/{account}/{call}", move |request| ends.end(request)).public())
            .start();
        let redis = RedisServer::start().await;
        let plan = FleetPlan { server: server.base_url().to_owned(), redis: redis.url(), ..plan };
        Self { redis, server, plan, begun: Instant::now(), meter }
    }

    pub(crate) fn start(&self, processes: usize, role: Role) -> Children {
        Children::start(processes, FleetOrders { role, plan: self.plan.clone() })
    }

    /// Waits until each account serves, as `pool` sees it.
    pub(crate) async fn all_serve(&self, pool: &RedisPool) {
        let all = self.plan.accounts.len();
        until("every account serves", async || pool.status().await.unwrap().active == all).await;
    }

    /// Waits until each account was called `times` more times.
    pub(crate) async fn all_are_called(&self, times: usize) {
        let count = || -> Vec<usize> { self.accounts().iter().map(|account| account.calls.len()).collect() };
        let before = count();
        let called = async || count().iter().zip(&before).all(|(now, then)| *now >= then + times);
        until("every account is called", called).await;
    }

    /// What the server counted of each account.
    pub(crate) fn accounts(&self) -> Vec<AccountCalls> {
        let accounts = self.meter.accounts.lock().unwrap();
        (0..self.plan.accounts.len()).map(|n| accounts.get(&account_name(n)).cloned().unwrap_or_default()).collect()
    }

    /// How much of what all rates allow was used between two moments.
    pub(crate) fn rate_used(&self, from: Instant, to: Instant) -> f64 {
        let calls: usize = self.accounts().iter().map(|account| account.within(from, to).count()).sum();
        let rates: u32 = self.plan.accounts.iter().filter_map(|account| Some(account.rate?.0)).sum();
        exact(calls as u64) / f64::from(rates) / to.duration_since(from).as_secs_f64()
    }

    /// Asserts that no account was used beyond its limits at the server.
    pub(crate) fn assert_limits(&self) {
        for (account, allowed) in self.accounts().iter().zip(&self.plan.accounts) {
            if let Some((rate, burst)) = allowed.rate {
                let all = exact(account.calls.len() as u64);
                let possible = f64::from(burst) + f64::from(rate) * self.begun.elapsed().as_secs_f64();
                assert!(all <= possible, "{all} calls of an account that may make {possible}");
                let (above, slack) = (account.sent_above(rate, burst), f64::from(rate) * LATE.as_secs_f64());
                assert!(above <= slack, "{above} calls more than {allowed:?} allows, in some span of time");
            }
            if let Some(quota) = allowed.quota {
                assert!(account.count() <= quota as usize, "{} calls of a quota of {quota}", account.count());
            }
            if let Some(concurrency) = allowed.concurrency {
                let most = account.most_open;
                assert!(most <= concurrency as usize, "{most} calls at once of an account with {allowed:?}");
            }
        }
    }

    /// Returns how near accounts came to their limits: the most calls beyond a rate in any span of
    /// time, and the most calls at once beside what is allowed.
    pub(crate) fn extremes(&self) -> String {
        let accounts = self.accounts();
        let all = || accounts.iter().zip(&self.plan.accounts);
        let most = |above: fn(&AccountCalls, u32, u32) -> f64| {
            let above =
                all().filter_map(|(account, allowed)| allowed.rate.map(|(rate, burst)| above(account, rate, burst)));
            above.max_by(f64::total_cmp)
        };
        let above = most(AccountCalls::sent_above).zip(most(AccountCalls::arrived_above));
        let open = all().filter_map(|(account, allowed)| Some((account.most_open, allowed.concurrency?))).max();
        let above = above.map(|(sent, arrived)| {
            format!("{sent:.1} calls at most sent beyond rate and burst in any span of time ({arrived:.1} arrived)")
        });
        let open = open.map(|(most, allowed)| format!("{most} of {allowed} calls at once at most"));
        [above, open].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Counts calls.
struct Meter {
    lease_ttl: Duration,
    accounts: Mutex<BTreeMap<String, AccountCalls>>,
}

/// The calls of one account.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccountCalls {
    calls: Vec<Call>,
    /// The calls that have not ended, by what the member calls them.
    open: BTreeMap<String, usize>,
    pub(crate) most_open: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) member: String,
    pub(crate) begun: Instant,
    ended: Option<Instant>,
    /// When the member sent it, in microseconds on the machine's clock.
    sent: u64,
}

impl Meter {
    fn begin(&self, request: &ReceivedRequest) -> Answer {
        let Some(account) = request.account() else { return Answer::new(403) };
        let (mut accounts, now) = (self.accounts.lock().unwrap(), Instant::now());
        let account = accounts.entry(account.to_owned()).or_default();
        // What a process held that was killed meanwhile counts for as long.
        account.open.retain(|_, call| account.calls[*call].begun + self.lease_ttl > now);
        account.open.insert(request.param("call").to_owned(), account.calls.len());
        let sent = request.query("sent").and_then(|sent| sent.parse().ok()).expect("a time");
        account.calls.push(Call { member: request.param("member").to_owned(), begun: now, ended: None, sent });
        account.most_open = account.most_open.max(account.open.len());
        Answer::from(json!({}))
    }

    fn end(&self, request: &ReceivedRequest) -> Answer {
        let mut accounts = self.accounts.lock().unwrap();
        let account = accounts.entry(request.param("account").to_owned()).or_default();
        if let Some(call) = account.open.remove(request.param("call")) {
            account.calls[call].ended = Some(Instant::now());
        }
        Answer::from(json!({}))
    }
}

impl AccountCalls {
    pub(crate) fn count(&self) -> usize {
        self.calls.len()
    }

    /// The calls that began between two moments.
    pub(crate) fn within(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| from <= call.begun && call.begun < to)
    }

    /// How long calls were under way, of those that began between two moments.
    pub(crate) fn in_use(&self, from: Instant, to: Instant) -> Duration {
        self.within(from, to).filter_map(|call| Some(call.ended?.duration_since(call.begun))).sum()
    }

    /// The most calls that arrived beyond what rate and burst allow, in any span of time.
    fn arrived_above(&self, rate: u32, burst: u32) -> f64 {
        let Some(first) = self.calls.first() else { return 0.0 };
        most_above(self.calls.iter().map(|call| call.begun.duration_since(first.begun).as_secs_f64()), rate, burst)
    }

    /// The same of those that were sent.
    fn sent_above(&self, rate: u32, burst: u32) -> f64 {
        let mut sent: Vec<u64> = self.calls.iter().map(|call| call.sent).collect();
        sent.sort_unstable();
        let since_first = sent.iter().map(|at| Duration::from_micros(at - sent[0]).as_secs_f64());
        most_above(since_first, rate, burst)
    }
}

fn most_above(times: impl Iterator<Item = f64>, rate: u32, burst: u32) -> f64 {
    let (mut least, mut most) = (f64::MAX, 0.0_f64);
    for (number, time) in (0_u32..).zip(times) {
        let ahead = f64::from(number) - f64::from(rate) * time;
        least = least.min(ahead);
        most = most.max(ahead - least + 1.0 - f64::from(burst));
    }
    most
}

/// Returns members whose name is in the fleet's keys of members, apart from those that live.
pub(crate) async fn left_of_the_dead(redis: &RedisServer) -> BTreeSet<String> {
    let base = "jwt-refresh:{catalog}:";
    let living: BTreeSet<String> = redis.run_command(&format!("HKEYS {base}member:demand")).await;
    let mut names: Vec<String> = Vec::new();
    let released: Vec<String> = redis.run_command(&format!("HKEYS {base}member:released")).await;
    names.extend(released.iter().filter_map(|field| Some(field.split_once('\n')?.0.to_owned())));
    let state: Vec<String> = redis.run_command(&format!("HKEYS {base}fleet:state")).await;
    names.extend(state.iter().filter_map(|field| Some(field.strip_prefix("shares:")?.to_owned())));
    let mut keys: Vec<String> = redis.run_command(&format!("KEYS {base}fleet:share*")).await;
    keys.extend(redis.run_command::<Vec<String>>(&format!("KEYS {base}member:reservations:*")).await);
    names.extend(keys.iter().filter_map(|key| Some(key.rsplit_once(':')?.1.to_owned())));
    names.into_iter().filter(|name| !living.contains(name)).collect()
}

/// A plan for accounts, with the default share time and lease TTL.
pub(crate) fn plan(accounts: Vec<Allowed>) -> FleetPlan {
    let (share_time, lease_ttl) = (SECOND * 3, SECOND * 30);
    let work = Duration::from_millis(5);
    FleetPlan { server: String::new(), redis: String::new(), accounts, share_time, lease_ttl, callers: 12, work }
}
