//! Two auth workers that keep the tokens of a fleet fresh, and four members that use them, one of
//! which is killed every second, in turn: no account exceeds its limits, each is refreshed once a
//! lifetime, and nothing is left of the dead.
//!
//! A refresh token that a killed worker has sent may or may not be spent. The worker that takes the
//! exchange over logs in instead. So a kill may cost as many logins as the worker had exchanges
//! under way.

use std::time::Duration;

use jwt_refresh_testkit::{Stats, TestServer};

use crate::caller::Calls;
use crate::child::fleet::{AHEAD, Allowed, FleetPlan, Role};
use crate::children::{Children, failures, warnings};
use crate::fleet::{Fleet, left_of_the_dead, plan};
use crate::load::exact;
use crate::scale::{report, scale};
use crate::support::{SECOND, account_name, until};

const LIFE: Duration = Duration::from_secs(2);
/// How long the server takes to answer: long enough that kills often come between a request and its
/// answer.
const LATENCY: Duration = Duration::from_millis(300);
/// What a worker logs when it finds the mark that a killed worker has left.
const MARK: &str = "a refresh was cut off";

/// Accounts that one member has at a time, with and without a concurrency, and some that are
/// divided.
fn accounts() -> Vec<Allowed> {
    let kinds = [(1, None), (1, Some(3)), (4, Some(4))];
    let of = |(burst, concurrency)| Allowed { concurrency, ..Allowed::rate(20, burst) };
    kinds.into_iter().cycle().take(9).map(of).collect()
}

/// What was counted.
struct Counts {
    kills: usize,
    elapsed: Duration,
    stats: Stats,
    /// How many tokens were saved in Redis.
    saved: u64,
    /// How many exchanges were taken over that a kill had cut off, and what else was warned of.
    marks: u64,
    warnings: Vec<String>,
    failures: Vec<String>,
    calls: Calls,
}

impl Counts {
    /// How many tokens the server issued that were not saved.
    fn lost(&self) -> u64 {
        self.stats.logins + self.stats.refreshes - self.saved
    }

    fn report(&self, fleet: &Fleet) {
        report(
            "14 a fleet, two auth workers and four members",
            "no account above its limits, one refresh a lifetime, no reuse, a login only for an exchange that a kill cut off, \
             nothing left of the dead",
            &format!(
                "{} kills in {:.1} s, {} calls, {}, {} refreshes of {LIFE:?} tokens, {} reuses, {} logins beyond the first of \
                 {} accounts, {} marks found, {} answers lost after the server had given them; {:?}",
                self.kills,
                self.elapsed.as_secs_f64(),
                self.stats.api_calls,
                fleet.extremes(),
                self.stats.refreshes,
                self.stats.reuses,
                self.stats.logins - fleet.plan.accounts.len() as u64,
                fleet.plan.accounts.len(),
                self.marks,
                self.lost(),
                self.calls,
            ),
        );
    }

    /// Asserts that each account was logged in once and refreshed once a lifetime, apart from what
    /// kills cut off.
    fn assert_exchanges(&self, fleet: &Fleet) {
        let accounts = fleet.plan.accounts.len();
        // The refresh-ahead window is made longer by up to a fifth, and a pool may refresh earlier
        // by another such window.
        let shortest = LIFE.mul_f64(1.0 - AHEAD * 1.2 * 2.0);
        let lifetimes = self.elapsed.as_secs_f64() / shortest.as_secs_f64();
        let cut_off = self.marks + self.lost();
        for account in (0..accounts).map(|number| fleet.server.account_stats(&account_name(number))) {
            let most = 1.0 + lifetimes + exact(cut_off);
            assert!(exact(account.logins + account.refreshes) <= most, "{most} exchanges expected: {account:?}");
            assert_eq!((account.failed_logins, account.failed_refreshes), (0, 0));
        }
        let further = self.stats.logins - accounts as u64;
        assert!(further <= cut_off, "{further} logins, {} marks found and {} answers lost", self.marks, self.lost());
        assert_eq!(self.stats.reuses, 0);
        // Of the six that are killed in turn, two are workers.
        let most = (self.kills / 6 * 2 + (self.kills % 6).min(2)) * accounts;
        assert!(self.lost() <= most as u64, "{} answers lost", self.lost());
    }

    fn assert_sound(&self) {
        assert!(self.failures.is_empty() && self.warnings.is_empty(), "{:?} {:?}", self.failures, self.warnings);
        assert_eq!(self.calls.rejected, 0, "{:?}", self.calls);
    }
}

/// Kills one process a second, in turn.
async fn kill_in_turn(fleet: &Fleet, workers: &mut Children, members: &mut Children, kills: usize) {
    for kill in 0..kills {
        tokio::time::sleep(scale(Duration::from_millis(600), SECOND)).await;
        match kill % 6 {
            worker @ 0..2 => {
                if (kill / 6).is_multiple_of(2) {
                    // The server counts a refresh before it answers.
                    let refreshes = fleet.server.stats().refreshes;
                    let is_under_way = async || fleet.server.stats().refreshes > refreshes;
                    until("an exchange is under way", is_under_way).await;
                }
                workers.kill(worker);
            }
            member => members.kill(member - 2),
        }
    }
}

/// The sum of the numbers of all accounts' last tokens.
async fn saved(fleet: &Fleet) -> u64 {
    let tokens: Vec<String> = fleet.redis.run_command("HVALS jwt-refresh:{catalog}:fleet:tokens").await;
    tokens.iter().filter_map(|token| token.split_once(':')?.0.parse::<u64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_holds_its_limits_and_keeps_nothing_of_processes_that_are_killed() {
    let server = TestServer::builder().access_lifetime(LIFE).latency(LATENCY);
    let plan = plan(accounts());
    let work = Duration::from_millis(150);
    let fleet = Fleet::new(server, FleetPlan { share_time: SECOND, lease_ttl: SECOND * 4, work, ..plan }).await;
    let pool = fleet.plan.pool();
    let mut workers = fleet.start(2, Role::AuthWorker);
    fleet.all_serve(&pool).await;
    let mut members = fleet.start(4, Role::Member);
    fleet.all_are_called(1).await;
    let kills = scale(6, 60);
    kill_in_turn(&fleet, &mut workers, &mut members, kills).await;
    fleet.all_serve(&pool).await;
    fleet.all_are_called(1).await;
    let (mut logs, calls) = members.stop().await;
    until("nothing is left of the dead", async || left_of_the_dead(&fleet.redis).await.is_empty()).await;
    fleet.all_serve(&pool).await;
    logs.extend(workers.stop().await.0);
    let (marks, warnings): (Vec<_>, Vec<_>) =
        warnings(&logs).into_iter().cloned().partition(|what| what.contains(MARK));
    let counts = Counts {
        kills,
        elapsed: fleet.begun.elapsed(),
        stats: fleet.server.stats(),
        saved: saved(&fleet).await,
        marks: marks.len() as u64,
        warnings,
        failures: failures(&logs).into_iter().cloned().collect(),
        calls,
    };
    counts.report(&fleet);
    counts.assert_sound();
    fleet.assert_limits();
    counts.assert_exchanges(&fleet);
}
