//! Accounts of a pool are banned and unbanned, their passwords changed, their tokens revoked, their
//! rates and quotas used up, all at random, while many tasks call.
//!
//! Each call succeeds or gets a documented error, a banned account is called and logged in no more
//! often than the policy allows, and healthy accounts stay in use.

mod caller;
mod incident;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jwt_refresh::Policy;
use jwt_refresh::pool::{Account, Pool, PoolPolicy};
use jwt_refresh_testkit::TestServer;

use self::caller::{Api, Outcomes, call};
use self::incident::{AccountInTrouble, Incident, IncidentLog};
use crate::load::exact;
use crate::random::{Random, seed};
use crate::scale::{report, scale};
use crate::support::{PASSWORD, SECOND, http_client, login_at, until};

const LIFE: Duration = Duration::from_secs(3);
/// The tag of the accounts that have incidents. The others are healthy at all times.
const TROUBLED: &str = "troubled";
const ACCOUNTS_OF_EACH_KIND: usize = 8;
const TASKS: u64 = 64;
const RATE: u32 = 10;
const CONCURRENCY: u32 = 2;
const QUARANTINE: Duration = Duration::from_millis(200);
const LONGEST_QUARANTINE: Duration = Duration::from_secs(1);
/// The share of its rate that a healthy account must use. Its burst makes up for short pauses of
/// the machine.
const LEAST_USE: f64 = 0.95;

/// A pool of healthy and troubled accounts, and their server.
struct Setup {
    server: Arc<TestServer>,
    healthy: Vec<String>,
    troubled: Vec<String>,
    pool: Pool,
}

impl Setup {
    async fn new() -> Self {
        let names =
            |prefix: &str| (0..ACCOUNTS_OF_EACH_KIND).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>();
        let (healthy, troubled) = (names("healthy"), names(TROUBLED));
        let server = TestServer::builder().access_lifetime(LIFE).rate_limit(RATE, SECOND);
        let all = healthy.iter().chain(&troubled);
        let server = Arc::new(all.clone().fold(server, |server, name| server.account(name, PASSWORD)).start());
        let accounts = all.map(|name| account(&server, name));
        let policy = PoolPolicy::default()
            .tokens(Policy::default().backoff(QUARANTINE, LONGEST_QUARANTINE))
            .quarantine(QUARANTINE, LONGEST_QUARANTINE)
            .renewed_again_window(SECOND);
        let pool = Pool::builder().accounts(accounts).policy(policy).build().unwrap();
        let setup = Self { server, healthy, troubled, pool };
        setup.all_serve().await;
        setup
    }

    async fn all_serve(&self) {
        until("all accounts serve", async || self.pool.status().active == 2 * ACCOUNTS_OF_EACH_KIND).await;
    }

    fn calls_of_healthy(&self) -> Vec<u64> {
        self.healthy.iter().map(|name| self.server.account_stats(name).api_calls).collect()
    }

    /// How many calls of these accounts exceeded their rates.
    fn limited(&self, accounts: &[String]) -> u64 {
        accounts.iter().map(|name| self.server.account_stats(name).limited).sum()
    }
}

fn account(server: &TestServer, name: &str) -> Account {
    let login = login_at(server.base_url(), name, PASSWORD).build().unwrap();
    let account = Account::new(name, login).rate(RATE, SECOND).burst(3).concurrency(CONCURRENCY);
    if name.starts_with(TROUBLED) { account.tag(TROUBLED) } else { account }
}

/// Lets incidents happen and tasks call for `time`, and then lets tasks call until all accounts
/// serve again.
async fn run(setup: &Setup, seed: u64, time: Duration) -> (IncidentLog, Outcomes) {
    let api = Api { http: http_client(), url: setup.server.url("/api/v1/products/1"), pool: setup.pool.clone() };
    let over = Arc::new(AtomicBool::new(false));
    let callers = (0..TASKS).map(|task| tokio::spawn(call(api.clone(), Random::new(seed + task), Arc::clone(&over))));
    let callers: Vec<_> = callers.collect();
    let end = Instant::now() + time;
    let troubled = setup.troubled.iter().zip(seed + TASKS..).map(|(name, seed)| {
        let account = AccountInTrouble::new(Arc::clone(&setup.server), name, Random::new(seed));
        tokio::spawn(account.run_incidents(end))
    });
    let (mut incidents, mut outcomes) = (IncidentLog::default(), Outcomes::new());
    for account in troubled.collect::<Vec<_>>() {
        incidents.add(account.await.unwrap());
    }
    setup.all_serve().await;
    over.store(true, Ordering::Release);
    for caller in callers {
        for (outcome, times) in caller.await.unwrap() {
            *outcomes.entry(outcome).or_default() += times;
        }
    }
    (incidents, outcomes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_chaos_calls_get_documented_answers_banned_accounts_rest_and_healthy_ones_work() {
    let seed = seed();
    let setup = Setup::new().await;
    let (before, begun) = (setup.calls_of_healthy(), Instant::now());
    let (incidents, outcomes) = run(&setup, seed, Duration::from_secs(scale(6, 60))).await;
    let elapsed = begun.elapsed();
    let healthy: Vec<_> = setup.calls_of_healthy().iter().zip(before).map(|(now, before)| now - before).collect();
    let least = healthy.iter().copied().min().unwrap_or(0);
    let least_use = exact(least) / (f64::from(RATE) * elapsed.as_secs_f64());
    let limited = setup.limited(&setup.troubled);
    let (calls, logins) = (incidents.calls, incidents.logins);
    report(
        "13 chaos in a pool",
        &format!(
            "only documented answers, a banned account called and logged in no more than the policy lets, and {} % of the rate of \
             each healthy account in use",
            100.0 * LEAST_USE
        ),
        &format!(
            "seed {seed}, {:.1} s, {:?}: {outcomes:?}; during a ban at most {} calls of {} and {} logins of {}; healthy accounts \
             at {:.1} % or more, {limited} calls above the rates that were used up",
            elapsed.as_secs_f64(),
            incidents.counts,
            calls.0,
            calls.1,
            logins.0,
            logins.1,
            100.0 * least_use,
        ),
    );
    // In the short form the machine is busy with the other scenarios, and calls wait for each
    // other.
    if scale(false, true) {
        assert!(least_use >= LEAST_USE, "{healthy:?} calls in {elapsed:?}");
    }
    // One for each lease that was held when the rate was used up by other calls.
    assert!(limited <= u64::from(CONCURRENCY) * incidents.count(Incident::RateUsedUp), "{limited} answered 429");
    assert!(outcomes.contains_key("answered 401") && incidents.counts.len() > 4, "too little happened: {outcomes:?}");
}
