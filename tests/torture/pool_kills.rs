//! Six processes on one pool in Redis, two that keep the tokens fresh and four that use them, one
//! of which is killed every second, in turn: no account exceeds its limits, each is refreshed once
//! a lifetime, and no key is left in Redis.
//!
//! A refresh token that a killed process has sent may or may not be spent. The auth worker that
//! takes the exchange over logs in instead. So a kill may cost as many logins as the process had
//! exchanges under way. What else it held is free again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jwt_refresh::pool::RedisPool;
use jwt_refresh_testkit::{AccountStats, Stats, TestServer};

use crate::caller::Calls;
use crate::child::pool::{AHEAD, CONCURRENCY, DEAD_AFTER, PoolOrders, RATE, Role, has_concurrency, pool};
use crate::children::{Children, failures, warnings};
use crate::load::exact;
use crate::scale::{report, scale};
use crate::support::{RedisServer, SECOND, account_name, until, with_accounts};

const ACCOUNTS: usize = 9;
const LIFE: Duration = Duration::from_secs(2);
/// Answers take long, so many kills fall between a request and its answer.
const LATENCY: Duration = Duration::from_millis(300);
/// A call may arrive late by this share of a second.
const JITTER: f64 = 0.3;
/// What a process logs that takes over an exchange.
const TAKEOVER: &str = "took over an exchange";
const KEYS: &str = "jwt-refresh:{catalog}:pool:";

/// The pool under test, its Redis and its server.
struct Setup {
    redis: RedisServer,
    server: TestServer,
    begun: Instant,
    /// The pool in the process of the test, which sees the state of all processes.
    pool: RedisPool,
}

impl Setup {
    async fn new() -> Self {
        let server = TestServer::builder().access_lifetime(LIFE).latency(LATENCY).rate_limit(RATE, SECOND);
        let server = with_accounts(server, ACCOUNTS).start();
        let redis = RedisServer::start().await;
        let pool = pool(&redis.url());
        Self { redis, server, begun: Instant::now(), pool }
    }

    fn start(&self, processes: usize, role: Role) -> Children {
        Children::start(processes, PoolOrders::new(role, &self.server, &self.redis.url(), ACCOUNTS))
    }

    async fn all_serve(&self) {
        until("every account serves", async || self.pool.status().await.unwrap().active == ACCOUNTS).await;
    }

    /// Waits until each account has been called once more.
    async fn all_are_called(&self) {
        let before = self.seen();
        let called = async || self.seen().iter().zip(&before).all(|(now, then)| now.api_calls > then.api_calls);
        until("every account is called", called).await;
    }

    /// What the server counted of each account.
    fn seen(&self) -> Vec<AccountStats> {
        (0..ACCOUNTS).map(|number| self.server.account_stats(&account_name(number))).collect()
    }

    async fn keys(&self) -> BTreeSet<String> {
        self.redis.run_command("KEYS *").await
    }

    /// The size of a key of the pool, by the command for its type.
    async fn count(&self, command: &str, key: &str) -> usize {
        self.redis.run_command(&format!("{command} {KEYS}{key}")).await
    }

    /// The most leases held of an account, among those with limited concurrency.
    async fn most_held(&self) -> usize {
        let mut most = 0;
        for number in (0..ACCOUNTS).filter(|number| has_concurrency(*number)) {
            most = most.max(self.count("ZCARD", &format!("held:{}", account_name(number))).await);
        }
        most
    }

    /// Asserts that the keys are those of `before` again, once the leases and claims of killed
    /// processes have expired.
    async fn assert_same_keys(&self, before: &BTreeSet<String>) {
        let ended = Instant::now();
        while self.keys().await != *before && ended.elapsed() < DEAD_AFTER + SECOND * 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.keys().await, *before, "keys were left, or lost");
    }

    async fn assert_nothing_left(&self) {
        for key in ["terms", "grants"] {
            assert_eq!(self.count("HLEN", key).await, ACCOUNTS, "{key}");
        }
        for key in ["line", "ring", "due"] {
            assert_eq!(self.count("ZCARD", key).await, ACCOUNTS, "{key}");
        }
        for key in ["claims", "confined", "facts", "used"] {
            assert_eq!(self.count("HLEN", key).await, 0, "{key}");
        }
        assert_eq!(self.redis.run_command::<usize>("HLEN jwt-refresh:{catalog}:auth:vault").await, ACCOUNTS);
    }

    /// Asserts that killed processes are forgotten, ten seconds after their last sign of life.
    async fn assert_dead_are_forgotten(&self) {
        if scale(false, true) {
            until("all others are forgotten", async || self.count("HLEN", "workers").await == 1).await;
        }
        let now: (f64, f64) = self.redis.run_command("TIME").await;
        // Redis is searched for them every two seconds.
        let last = (now.0 - 3.0) * 1e6;
        let workers: Vec<String> = self.redis.run_command(&format!("HVALS {KEYS}workers")).await;
        for worker in workers {
            let worker: serde_json::Value = serde_json::from_str(&worker).unwrap();
            let till: f64 = worker["till"].as_str().unwrap().parse().unwrap();
            assert!(till > last, "{worker} is not forgotten at {now:?}");
        }
    }
}

/// What was counted.
struct Counts {
    kills: usize,
    elapsed: Duration,
    /// What the server counted of each account, and in all.
    seen: Vec<AccountStats>,
    stats: Stats,
    /// How many tokens were saved in Redis.
    saved: u64,
    /// The most leases of an account that were held at once.
    held: usize,
    /// What processes logged when they took over an exchange, and what else they warned of.
    takeovers: Vec<String>,
    warnings: Vec<String>,
    failures: Vec<String>,
    calls: Calls,
}

impl Counts {
    fn most(&self, pick: impl Fn(&AccountStats) -> u64) -> u64 {
        self.seen.iter().map(pick).max().unwrap()
    }

    /// How many calls an account may make: one at the start, and then as many as its rate allows.
    fn allowed(&self) -> f64 {
        self.elapsed.as_secs_f64() * f64::from(RATE) + 1.0
    }

    /// How many tokens the server issued that were not saved in Redis.
    fn lost(&self) -> u64 {
        self.stats.logins + self.stats.refreshes - self.saved
    }

    fn report(&self) {
        report(
            "14 a pool in Redis, two auth workers and four clients",
            "no account above its limits, one refresh a lifetime, no reuse, a login only for an exchange that a kill cut off, no \
             key left",
            &format!(
                "{} kills in {:.1} s, {} calls, {:.0} % of what its rate allows by the busiest account, {} of {RATE} at most in \
                 any second, {} answered 429, {} of {CONCURRENCY} leases held at most, {} refreshes of {LIFE:?} tokens, {} \
                 reuses, {} logins beyond the first of {ACCOUNTS} accounts, {} exchanges taken over, {} answers lost after the \
                 server had given them; {:?}",
                self.kills,
                self.elapsed.as_secs_f64(),
                self.stats.api_calls,
                100.0 * exact(self.most(|account| account.api_calls)) / self.allowed(),
                self.most(|account| account.most_in_a_period),
                self.stats.limited,
                self.held,
                self.stats.refreshes,
                self.stats.reuses,
                self.stats.logins - ACCOUNTS as u64,
                self.takeovers.len(),
                self.lost(),
                self.calls,
            ),
        );
    }

    fn assert_limits(&self) {
        let (calls, in_a_second) =
            (self.most(|account| account.api_calls), self.most(|account| account.most_in_a_period));
        assert!(exact(calls) <= self.allowed(), "{calls} calls of an account that may make {:.0}", self.allowed());
        assert!(
            exact(in_a_second) <= f64::from(RATE) * (1.0 + JITTER),
            "{in_a_second} calls of an account in a second"
        );
        assert_eq!(self.stats.limited, 0, "calls were answered 429");
        assert!(self.held <= CONCURRENCY as usize);
    }

    /// Asserts that each account was logged in once and refreshed once a lifetime, apart from
    /// exchanges that were taken over.
    fn assert_exchanges(&self) {
        // The refresh-ahead window is made longer by up to a fifth, and a pool may refresh earlier
        // by another such window.
        let shortest = LIFE.mul_f64(1.0 - AHEAD * 1.2 * 2.0);
        let lifetimes = self.elapsed.as_secs_f64() / shortest.as_secs_f64();
        for (number, account) in self.seen.iter().enumerate() {
            let field = format!("account=\"{}\"", account_name(number));
            let takeovers = self.takeovers.iter().filter(|what| what.contains(&field)).count() as u64;
            let (exchanges, most) = (exact(account.logins + account.refreshes), 1.0 + lifetimes + exact(takeovers));
            assert!(exchanges <= most, "{exchanges} exchanges, {most} expected: {account:?}");
            assert!(
                account.logins <= 1 + takeovers,
                "a login that no kill explains: {account:?}, {takeovers} taken over"
            );
            assert_eq!((account.failed_logins, account.failed_refreshes), (0, 0));
        }
        assert_eq!(self.stats.reuses, 0);
        assert!(self.lost() <= self.takeovers.len() as u64, "an answer was lost that no kill explains");
    }

    fn assert_sound(&self) {
        assert!(self.failures.is_empty() && self.warnings.is_empty(), "{:?} {:?}", self.failures, self.warnings);
        assert_eq!(self.calls.rejected, 0, "{:?}", self.calls);
    }
}

/// Kills one process a second, in turn. Returns the most leases of an account that were held at
/// once.
async fn kill_in_turn(setup: &Setup, children: &mut [Children; 2], kills: usize) -> usize {
    let mut held = 0;
    for kill in 0..kills {
        tokio::time::sleep(scale(Duration::from_millis(600), SECOND)).await;
        match kill % 6 {
            worker @ 0..2 => {
                if (kill / 6).is_multiple_of(2) {
                    until("an exchange is under way", async || setup.count("HLEN", "claims").await > 0).await;
                }
                children[0].kill(worker);
            }
            client => children[1].kill(client - 2),
        }
        held = held.max(setup.most_held().await);
    }
    held
}

/// Kills and restarts the processes that use the pool, and then lets all of them end.
async fn survive_kills(setup: &Setup, workers: Children, kills: usize) -> Counts {
    let mut children = [workers, setup.start(4, Role::Client)];
    setup.all_are_called().await;
    let held = kill_in_turn(setup, &mut children, kills).await;
    setup.all_serve().await;
    setup.all_are_called().await;
    let [workers, clients] = children;
    let (mut logs, calls) = clients.stop().await;
    logs.extend(workers.stop().await.0);
    let (takeovers, warnings) = warnings(&logs).into_iter().cloned().partition(|what| what.contains(TAKEOVER));
    Counts {
        kills,
        elapsed: setup.begun.elapsed(),
        seen: setup.seen(),
        stats: setup.server.stats(),
        saved: setup.redis.run_command(&format!("HGET {KEYS}stats issued")).await,
        held,
        takeovers,
        warnings,
        failures: failures(&logs).into_iter().cloned().collect(),
        calls,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_in_redis_holds_its_limits_and_leaves_no_key_while_its_processes_are_killed() {
    let setup = Setup::new().await;
    let workers = setup.start(2, Role::AuthWorker);
    setup.all_serve().await;
    until("no exchange is under way", async || setup.count("HLEN", "claims").await == 0).await;
    let before = setup.keys().await;
    let counts = survive_kills(&setup, workers, scale(6, 60)).await;
    counts.report();
    counts.assert_sound();
    counts.assert_limits();
    counts.assert_exchanges();
    setup.assert_same_keys(&before).await;
    setup.assert_nothing_left().await;
    setup.assert_dead_are_forgotten().await;
}
