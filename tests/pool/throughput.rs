//! Accounts with a rate, called as fast as the pool gives leases, over real HTTP and for a time that really passes: what the
//! server saw of each. `tests/torture` runs it for longer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::{AccountStats, TestServer};

const SECOND: Duration = Duration::from_secs(1);

/// How much is asked of how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) accounts: usize,
    /// What the server lets each account do in a second, and what the pool is told.
    pub(crate) rate: u32,
    pub(crate) burst: u32,
    pub(crate) tasks: usize,
    pub(crate) time: Duration,
}

impl Load {
    /// How many calls the rates of all accounts give in that time.
    pub(crate) fn sum_of_rates(&self) -> f64 {
        f64::from(self.rate) * exact(self.accounts) * self.time.as_secs_f64()
    }

    /// Puts the load on a pool, and says what the server saw.
    pub(crate) async fn run(self) -> Seen {
        let names: Vec<_> = (0..self.accounts).map(|number| format!("a{number}")).collect();
        let server = TestServer::builder().access_lifetime(3600 * SECOND).rate_limit(self.rate, SECOND);
        let server = Arc::new(names.iter().fold(server, |server, name| server.account(name, "secret")).start());
        let accounts = names.iter().map(|name| {
            let login = HttpAuthenticator::builder(server.url("/api/auth/login"));
            let login = login.field("email", name).secret_field("password", "secret").build().unwrap();
            Account::new(name.as_str(), login).rate(self.rate, SECOND).burst(self.burst)
        });
        let pool = Pool::builder().accounts(accounts).build().unwrap();
        while pool.status().active < self.accounts {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let end = Instant::now() + self.time;
        let tasks = (0..self.tasks).map(|_| tokio::spawn(pull(pool.clone(), http.clone(), Arc::clone(&server), end)));
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        Seen { accounts: names.iter().map(|name| server.account_stats(name)).collect() }
    }
}

/// Takes one lease after the other, and sends a request with each.
async fn pull(pool: Pool, http: reqwest::Client, server: Arc<TestServer>, end: Instant) {
    let url = server.url("/api/v1/products/1");
    loop {
        let lease = match pool.lease().within(end.saturating_duration_since(Instant::now())).await {
            Ok(lease) if Instant::now() < end => lease,
            Ok(_) => return,
            Err(error) => return assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
        };
        http.get(&url).bearer(&lease).send().await.unwrap();
    }
}

/// What the server saw.
#[derive(Debug)]
pub(crate) struct Seen {
    accounts: Vec<AccountStats>,
}

impl Seen {
    fn calls(&self) -> impl Iterator<Item = u64> {
        self.accounts.iter().map(|account| account.api_calls)
    }

    pub(crate) fn total(&self) -> u64 {
        self.calls().sum()
    }

    /// The calls of the account with the most and of that with the fewest.
    pub(crate) fn extremes(&self) -> (u64, u64) {
        (self.calls().max().unwrap_or(0), self.calls().min().unwrap_or(0))
    }

    /// The most calls of one account within any second.
    pub(crate) fn most_in_a_second(&self) -> u64 {
        self.accounts.iter().map(|account| account.most_in_a_period).max().unwrap_or(0)
    }

    /// No account was above its limit: the server found none so, and none made more calls than its burst and the rate allow.
    pub(crate) fn is_within(&self, load: &Load) {
        let limited: u64 = self.accounts.iter().map(|account| account.limited).sum();
        assert_eq!(limited, 0, "calls answered 429; {} of an account within a second", self.most_in_a_second());
        let most = self.extremes().0;
        let possible = f64::from(load.burst) + load.sum_of_rates() / exact(load.accounts);
        assert!(exact(most) <= possible, "{most} calls of an account that may make {possible}");
    }

    /// At least 98 % of what the rates give, and all accounts alike. What the bursts give at the start is on top of it, so that
    /// the last calls, which are still on their way, need not be counted.
    pub(crate) fn is_all_of(&self, load: &Load) {
        let (total, rates) = (self.total(), load.sum_of_rates());
        assert!(exact(total) >= 0.98 * rates, "{total} calls of {rates}");
        let (most, least) = self.extremes();
        assert!(exact(most - least) < 0.05 * exact(least), "{least} to {most} calls an account");
    }
}

/// As a number to reckon with: none here is large.
pub(crate) fn exact<T: TryInto<u32>>(count: T) -> f64 {
    count.try_into().map_or(f64::INFINITY, f64::from)
}
