//! Six processes on one pool in Redis, two that keep the tokens fresh and four that use them, one of which is killed every second,
//! in turn: no account is called more often than it may be, each is refreshed once a lifetime, and nothing stays in Redis that
//! was not there before.
//!
//! A refresh token that was sent by a process that is dead is spent, or not: nobody can know. Whoever takes its exchange over
//! logs in. So a kill may cost as many logins as the auth worker was at exchanges; what it holds otherwise comes back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jwt_refresh::pool::RedisPool;
use jwt_refresh_testkit::{AccountStats, Stats, TestServer};

use crate::caller::Tally;
use crate::child::Said;
use crate::duty::{AHEAD, CONCURRENCY, DEAD_AFTER, Duty, RATE, Role, has_concurrency, name, pool};
use crate::fleet::{Fleet, all};
use crate::redis_server::Server;
use crate::scale::{report, scale};
use crate::until;

const ACCOUNTS: usize = 9;
const SECOND: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(2);
/// Long answers, so that many kills strike while one is on its way.
const LATENCY: Duration = Duration::from_millis(300);
/// A call that was let go in time may arrive so much later than the one before it.
const JITTER: f64 = 0.3;
/// What a process says that takes an exchange over.
const MARK: &str = "took over an exchange";
const KEYS: &str = "jwt-refresh:{catalog}:pool:";

struct World {
    redis: Server,
    server: TestServer,
    begun: Instant,
    /// In the test's own process. It says of the fleet what there is to say.
    pool: RedisPool,
}

impl World {
    async fn new() -> Self {
        let server = TestServer::builder().access_lifetime(LIFE).latency(LATENCY).rate_limit(RATE, SECOND);
        let server = (0..ACCOUNTS).fold(server, |server, number| server.account(&name(number), "secret")).start();
        let redis = Server::start().await;
        let pool = pool(&redis.url());
        Self { redis, server, begun: Instant::now(), pool }
    }

    fn start(&self, processes: usize, role: Role) -> Fleet {
        Fleet::start(processes, Duty::job(role, &self.server, &self.redis.url(), ACCOUNTS))
    }

    async fn all_serve(&self) {
        until("every account serves", async || self.pool.status().await.unwrap().active == ACCOUNTS).await;
    }

    /// Waits until each account has been called since.
    async fn all_are_called(&self) {
        let before = self.seen();
        let called = async || self.seen().iter().zip(&before).all(|(now, then)| now.api_calls > then.api_calls);
        until("every account is called", called).await;
    }

    /// What the server saw of each account.
    fn seen(&self) -> Vec<AccountStats> {
        (0..ACCOUNTS).map(|number| self.server.account_stats(&name(number))).collect()
    }

    async fn keys(&self) -> BTreeSet<String> {
        self.redis.say("KEYS *").await
    }

    /// How many there are of something, of which a pool keeps one an account or none.
    async fn count(&self, how: &str, noun: &str) -> usize {
        self.redis.say(&format!("{how} {KEYS}{noun}")).await
    }

    /// The most leases that are held of an account whose concurrency is limited.
    async fn most_held(&self) -> usize {
        let mut most = 0;
        for number in (0..ACCOUNTS).filter(|number| has_concurrency(*number)) {
            most = most.max(self.count("ZCARD", &format!("held:{}", name(number))).await);
        }
        most
    }

    /// Waits until there are no other keys than `before`, as long as what the dead held may last, and no longer.
    async fn same_keys(&self, before: &BTreeSet<String>) {
        let ended = Instant::now();
        while self.keys().await != *before && ended.elapsed() < DEAD_AFTER + SECOND * 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.keys().await, *before, "keys were left, or lost");
    }

    async fn assert_nothing_left(&self) {
        for noun in ["terms", "grants"] {
            assert_eq!(self.count("HLEN", noun).await, ACCOUNTS, "{noun}");
        }
        for noun in ["line", "ring", "due"] {
            assert_eq!(self.count("ZCARD", noun).await, ACCOUNTS, "{noun}");
        }
        for noun in ["claims", "confined", "facts", "used"] {
            assert_eq!(self.count("HLEN", noun).await, 0, "{noun}");
        }
        assert_eq!(self.redis.say::<usize>("HLEN jwt-refresh:{catalog}:auth:vault").await, ACCOUNTS);
    }

    /// Processes that have not been heard of for ten seconds are forgotten.
    async fn assert_dead_are_forgotten(&self) {
        if scale(false, true) {
            until("all others are forgotten", async || self.count("HLEN", "workers").await == 1).await;
        }
        let now: (f64, f64) = self.redis.say("TIME").await;
        // It is looked for every two seconds.
        let last = (now.0 - 3.0) * 1e6;
        let workers: Vec<String> = self.redis.say(&format!("HVALS {KEYS}workers")).await;
        for worker in workers {
            let worker: serde_json::Value = serde_json::from_str(&worker).unwrap();
            let till: f64 = worker["till"].as_str().unwrap().parse().unwrap();
            assert!(till > last, "{worker} is not forgotten at {now:?}");
        }
    }
}

/// What was counted.
struct Count {
    kills: usize,
    elapsed: Duration,
    /// Of each account, at the server.
    seen: Vec<AccountStats>,
    stats: Stats,
    /// Tokens that came to Redis.
    issued: u64,
    /// The most leases of an account that were seen to be held.
    held: usize,
    /// Who took over, and what else the processes warned of.
    marks: Vec<String>,
    warnings: Vec<String>,
    failures: Vec<String>,
    tally: Tally,
}

impl Count {
    fn most(&self, pick: impl Fn(&AccountStats) -> u64) -> u64 {
        self.seen.iter().map(pick).max().unwrap()
    }

    /// How many calls an account may make in all: one at the start, and then the rate.
    fn allowed(&self) -> f64 {
        self.elapsed.as_secs_f64() * f64::from(RATE) + 1.0
    }

    /// Answers that the server gave, and that did not come to Redis.
    fn lost(&self) -> u64 {
        self.stats.logins + self.stats.refreshes - self.issued
    }

    fn tell(&self) {
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
                self.marks.len(),
                self.lost(),
                self.tally,
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

    /// Each account was logged in once and refreshed once a lifetime, but for what was cut off.
    fn assert_exchanges(&self) {
        // The window in which a token is refreshed ahead is made longer by up to a fifth, and a pool begins by up to another such
        // window earlier.
        let shortest = LIFE.mul_f64(1.0 - AHEAD * 1.2 * 2.0);
        let lifetimes = self.elapsed.as_secs_f64() / shortest.as_secs_f64();
        for (number, account) in self.seen.iter().enumerate() {
            let field = format!("account=\"{}\"", name(number));
            let marks = self.marks.iter().filter(|mark| mark.contains(&field)).count() as u64;
            let (exchanges, most) = (exact(account.logins + account.refreshes), 1.0 + lifetimes + exact(marks));
            assert!(exchanges <= most, "{exchanges} exchanges, {most} expected: {account:?}");
            assert!(account.logins <= 1 + marks, "a login that no kill explains: {account:?}, {marks} taken over");
            assert_eq!((account.failed_logins, account.failed_refreshes), (0, 0));
        }
        assert_eq!(self.stats.reuses, 0);
        assert!(self.lost() <= self.marks.len() as u64, "an answer was lost that no kill explains");
    }

    fn assert_sound(&self) {
        assert!(self.failures.is_empty() && self.warnings.is_empty(), "{:?} {:?}", self.failures, self.warnings);
        assert_eq!(self.tally.rejected, 0, "{:?}", self.tally);
    }
}

fn exact(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// Kills one a second, in turn; the most leases of an account that were seen to be held.
async fn kill_in_turn(world: &World, fleets: &mut [Fleet; 2], kills: usize) -> usize {
    let mut held = 0;
    for kill in 0..kills {
        tokio::time::sleep(scale(Duration::from_millis(600), SECOND)).await;
        match kill % 6 {
            worker @ 0..2 => {
                if (kill / 6).is_multiple_of(2) {
                    until("an exchange is under way", async || world.count("HLEN", "claims").await > 0).await;
                }
                fleets[0].kill(worker)
            }
            client => fleets[1].kill(client - 2),
        };
        held = held.max(world.most_held().await);
    }
    held
}

/// Kills and starts again what uses the pool, and lets all of it end.
async fn outlive_kills(world: &World, workers: Fleet, kills: usize) -> Count {
    let mut fleets = [workers, world.start(4, Role::Client)];
    world.all_are_called().await;
    let held = kill_in_turn(world, &mut fleets, kills).await;
    world.all_serve().await;
    world.all_are_called().await;
    let [workers, clients] = fleets;
    let (mut logs, tally) = clients.stop().await;
    logs.extend(workers.stop().await.0);
    let said = |pick: fn(&Said) -> Option<String>| all(&logs, pick);
    let warned = said(|said| if let Said::Warned(what) = said { Some(what.clone()) } else { None });
    let (marks, warnings) = warned.into_iter().partition(|what| what.contains(MARK));
    Count {
        kills,
        elapsed: world.begun.elapsed(),
        seen: world.seen(),
        stats: world.server.stats(),
        issued: world.redis.say(&format!("HGET {KEYS}stats issued")).await,
        held,
        marks,
        warnings,
        failures: said(|said| if let Said::Failed(what) = said { Some(what.clone()) } else { None }),
        tally,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_holds_its_limits_and_leaks_nothing_while_its_processes_are_killed() {
    let world = World::new().await;
    let workers = world.start(2, Role::Auth);
    world.all_serve().await;
    until("no exchange is under way", async || world.count("HLEN", "claims").await == 0).await;
    let before = world.keys().await;
    let count = outlive_kills(&world, workers, scale(6, 60)).await;
    count.tell();
    count.assert_sound();
    count.assert_limits();
    count.assert_exchanges();
    world.same_keys(&before).await;
    world.assert_nothing_left().await;
    world.assert_dead_are_forgotten().await;
}
