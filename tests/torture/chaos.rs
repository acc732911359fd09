//! Accounts of a pool are banned and unbanned, their passwords changed and changed back, their tokens revoked, their rates and
//! quotas used up, all at random, while many tasks call. Every call succeeds or gets a documented error, a banned account is left
//! alone as the policy says, and what is healthy stays in use.

mod caller;
mod strike;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jwt_refresh::pool::{Account, Pool, PoolPolicy};
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::TestServer;

use self::caller::{Api, Outcomes, call};
use self::strike::{Ordeal, Strike, Victim};
use crate::dice::{Dice, seed};
use crate::scale::{report, scale};
use crate::throughput::exact;
use crate::until;

const SECOND: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(3);
const PASSWORD: &str = "secret";
/// The tag of the accounts that something may befall; the others are healthy at all times.
const STRUCK: &str = "struck";
const EACH: usize = 8;
const TASKS: u64 = 64;
const RATE: u32 = 10;
const CONCURRENCY: u32 = 2;
const QUARANTINE: Duration = Duration::from_millis(200);
const LONGEST_QUARANTINE: Duration = Duration::from_secs(1);
/// The share of its rate that a healthy account must have served. Its burst makes up for short stalls of the machine.
const IN_USE: f64 = 0.95;

struct World {
    server: Arc<TestServer>,
    healthy: Vec<String>,
    struck: Vec<String>,
    pool: Pool,
}

impl World {
    async fn new() -> Self {
        let names = |prefix: &str| (0..EACH).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>();
        let (healthy, struck) = (names("healthy"), names("struck"));
        let server = TestServer::builder().access_lifetime(LIFE).rate_limit(RATE, SECOND);
        let all = healthy.iter().chain(&struck);
        let server = Arc::new(all.clone().fold(server, |server, name| server.account(name, PASSWORD)).start());
        let accounts = all.map(|name| account(&server, name));
        let policy = Policy::default().backoff(QUARANTINE, LONGEST_QUARANTINE);
        let policy = PoolPolicy::default()
            .tokens(policy)
            .quarantine(QUARANTINE, LONGEST_QUARANTINE)
            .renewed_again_window(SECOND);
        let pool = Pool::builder().accounts(accounts).policy(policy).build().unwrap();
        let world = Self { server, healthy, struck, pool };
        world.recovered().await;
        world
    }

    async fn recovered(&self) {
        until("all accounts serve", async || self.pool.status().active == 2 * EACH).await;
    }

    fn calls_of_healthy(&self) -> Vec<u64> {
        self.healthy.iter().map(|name| self.server.account_stats(name).api_calls).collect()
    }

    fn victim(&self, name: &str, dice: Dice) -> Victim {
        Victim { server: Arc::clone(&self.server), name: name.to_owned(), dice, ordeal: Ordeal::default() }
    }
}

fn account(server: &TestServer, name: &str) -> Account {
    let login = HttpAuthenticator::builder(server.url("/api/auth/login")).refresh_url(server.url("/api/auth/refresh"));
    let login = login.field("email", name).secret_field("password", PASSWORD).build().unwrap();
    let account = Account::new(name, login).rate(RATE, SECOND).burst(3).concurrency(CONCURRENCY);
    if name.starts_with(STRUCK) { account.tag(STRUCK) } else { account }
}

/// Strikes and calls for so long, and then calls until all accounts serve again.
async fn endure(world: &World, seed: u64, time: Duration) -> (Ordeal, Outcomes) {
    let api = Api {
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
        url: world.server.url("/api/v1/products/1"),
        pool: world.pool.clone(),
    };
    let over = Arc::new(AtomicBool::new(false));
    let callers = (0..TASKS).map(|task| tokio::spawn(call(api.clone(), Dice::new(seed + task), Arc::clone(&over))));
    let callers: Vec<_> = callers.collect();
    let end = Instant::now() + time;
    let victims = world.struck.iter().zip(seed + TASKS..);
    let victims = victims.map(|(name, seed)| tokio::spawn(world.victim(name, Dice::new(seed)).suffer(end)));
    let (mut ordeal, mut outcomes) = (Ordeal::default(), Outcomes::new());
    for victim in victims.collect::<Vec<_>>() {
        ordeal.add(victim.await.unwrap());
    }
    world.recovered().await;
    over.store(true, Ordering::Release);
    for caller in callers {
        for (outcome, times) in caller.await.unwrap() {
            *outcomes.entry(outcome).or_default() += times;
        }
    }
    (ordeal, outcomes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_chaos_calls_get_documented_answers_banned_accounts_peace_and_healthy_ones_work() {
    let seed = seed();
    let world = World::new().await;
    let (before, begun) = (world.calls_of_healthy(), Instant::now());
    let (ordeal, outcomes) = endure(&world, seed, Duration::from_secs(scale(6, 60))).await;
    let elapsed = begun.elapsed();
    let healthy: Vec<_> = world.calls_of_healthy().iter().zip(before).map(|(now, before)| now - before).collect();
    let idlest = healthy.iter().copied().min().unwrap_or(0);
    let in_use = exact(idlest) / (f64::from(RATE) * elapsed.as_secs_f64());
    let limited: u64 = world.struck.iter().map(|name| world.server.account_stats(name).limited).sum();
    let (calls, logins) = (ordeal.calls, ordeal.logins);
    report(
        "13 chaos in a pool",
        &format!(
            "only documented answers, a banned account called and logged in no more than the policy lets, and {} % of the rate of \
             each healthy account in use",
            100.0 * IN_USE
        ),
        &format!(
            "seed {seed}, {:.1} s, {:?}: {outcomes:?}; during a ban at most {} calls of {} and {} logins of {}; healthy accounts \
             at {:.1} % or more, {limited} calls above the rates that were used up",
            elapsed.as_secs_f64(),
            ordeal.strikes,
            calls.0,
            calls.1,
            logins.0,
            logins.1,
            100.0 * in_use,
        ),
    );
    assert!(in_use >= IN_USE, "{healthy:?} calls in {elapsed:?}");
    // Once for each lease that was held when somebody else used the rate up.
    assert!(limited <= u64::from(CONCURRENCY) * ordeal.count(Strike::RateUsedUp), "{limited} answered 429");
    let spared: u64 = world.healthy.iter().map(|name| world.server.account_stats(name).limited).sum();
    assert_eq!(spared, 0, "healthy accounts stay below their limits");
    assert!(outcomes.contains_key("answered 401") && ordeal.strikes.len() > 4, "too little happened: {outcomes:?}");
}
