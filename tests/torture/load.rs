//! Accounts with a rate, called over real HTTP and in real time as fast as their pool gives leases.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::Pool;
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::{AccountStats, TestServer};

use crate::support::{HOUR, SECOND, account, account_name, http_client, until, with_accounts};

/// How many tasks call how many accounts, for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) accounts: usize,
    /// How many calls a second each account may make, at the server and in the pool.
    pub(crate) rate: u32,
    pub(crate) burst: u32,
    pub(crate) tasks: usize,
    pub(crate) time: Duration,
}

impl Load {
    /// How many calls the rates of all accounts allow in that time.
    pub(crate) fn sum_of_rates(&self) -> f64 {
        f64::from(self.rate) * exact(self.accounts) * self.time.as_secs_f64()
    }

    /// Puts the load on a pool, and returns what the server counted.
    pub(crate) async fn run(self) -> Seen {
        let server = TestServer::builder().access_lifetime(HOUR).rate_limit(self.rate, SECOND);
        let server = Arc::new(with_accounts(server, self.accounts).start());
        let limited = |number| account(&server, number).rate(self.rate, SECOND).burst(self.burst);
        let pool = Pool::builder().accounts((0..self.accounts).map(limited)).build().unwrap();
        until("all accounts serve", async || pool.status().active == self.accounts).await;
        let http = http_client();
        let end = Instant::now() + self.time;
        let call = |_| tokio::spawn(call_until(end, pool.clone(), http.clone(), Arc::clone(&server)));
        for task in (0..self.tasks).map(call).collect::<Vec<_>>() {
            task.await.unwrap();
        }
        Seen { accounts: (0..self.accounts).map(|number| server.account_stats(&account_name(number))).collect() }
    }
}

/// Takes one lease after the other, and sends a request with each.
async fn call_until(end: Instant, pool: Pool, http: reqwest::Client, server: Arc<TestServer>) {
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

/// What the server counted.
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

    /// The calls of the account with the most, and of the one with the fewest.
    pub(crate) fn extremes(&self) -> (u64, u64) {
        (self.calls().max().unwrap_or(0), self.calls().min().unwrap_or(0))
    }

    /// The most calls of one account within any second.
    pub(crate) fn most_in_a_second(&self) -> u64 {
        self.accounts.iter().map(|account| account.most_in_a_period).max().unwrap_or(0)
    }

    /// Asserts that the server answered no call with 429.
    pub(crate) fn assert_none_limited(&self) {
        let limited: u64 = self.accounts.iter().map(|account| account.limited).sum();
        assert_eq!(limited, 0, "calls answered 429; {} of an account within a second", self.most_in_a_second());
    }

    /// Asserts that no account made more calls than its burst and its rate allow.
    pub(crate) fn assert_within(&self, load: &Load) {
        let most = self.extremes().0;
        let possible = f64::from(load.burst) + load.sum_of_rates() / exact(load.accounts);
        assert!(exact(most) <= possible, "{most} calls of an account that may make {possible}");
    }

    /// Asserts that at least 98 % of what the rates allow was used, and by all accounts alike.
    ///
    /// What the bursts allow at the start comes on top. It makes up for the last calls, which may
    /// not have arrived yet.
    pub(crate) fn assert_all_used(&self, load: &Load) {
        let (total, rates) = (self.total(), load.sum_of_rates());
        assert!(exact(total) >= 0.98 * rates, "{total} calls of {rates}");
        let (most, least) = self.extremes();
        assert!(exact(most - least) < 0.05 * exact(least), "{least} to {most} calls an account");
    }
}

/// The count as a number to calculate with. The tests count little.
pub(crate) fn exact<T: TryInto<u32>>(count: T) -> f64 {
    count.try_into().map_or(f64::INFINITY, f64::from)
}
