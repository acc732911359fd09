//! Faults of a fleet of processes: its coordinator stands still for longer than its lease, all auth
//! workers are dead, and connections to Redis are cut at any command. No account exceeds its limits
//! at the server, no spent refresh token is sent, and all heals by itself.

use std::time::{Duration, Instant};

use jwt_refresh_testkit::TestServer;

use crate::child::fleet::{Allowed, FleetPlan, Role};
use crate::children::{Children, Log, failures, warnings};
use crate::fleet::{Fleet, plan};
use crate::random::{Random, seed};
use crate::scale::{report, scale};
use crate::support::{HOUR, Machine, RedisProxy, SECOND, until};

/// Refreshes are under way at most moments.
const SHORT_LIFE: Duration = Duration::from_secs(2);

/// How soon all must be well again. A busy machine gets longer.
fn soon() -> Duration {
    scale(SECOND * 30, SECOND * 5)
}

/// Accounts that one member has at a time, with and without a concurrency, and some that are
/// divided.
fn accounts() -> Vec<Allowed> {
    let kinds = [(1, None), (1, Some(2)), (4, Some(4))];
    let of = |(burst, concurrency)| Allowed { concurrency, ..Allowed::rate(20, burst) };
    kinds.into_iter().cycle().take(6).map(of).collect()
}

async fn fleet(life: Duration) -> Fleet {
    let server = TestServer::builder().access_lifetime(life).latency(Duration::from_millis(100));
    let work = Duration::from_millis(100);
    let plan = FleetPlan { share_time: SECOND, lease_ttl: SECOND * 4, work, ..plan(accounts()) };
    Fleet::new(server, plan).await
}

/// The name of the auth worker that is the coordinator, and its epoch.
async fn coordinator(fleet: &Fleet) -> Option<(String, u64)> {
    let name: Option<String> = fleet.redis.run_command("GET jwt-refresh:{catalog}:auth:coordinator").await;
    let epoch: Option<u64> = fleet.redis.run_command("HGET jwt-refresh:{catalog}:fleet:state epoch").await;
    name.zip(epoch)
}

/// Has the worker that is the coordinator stand still until another is in its place. Returns which
/// that was, and the epoch of the next.
async fn stop_coordinator(fleet: &Fleet, workers: &[Children; 2], guess: usize) -> (usize, u64) {
    let mut epoch = None;
    until("there is a coordinator", async || coordinator(fleet).await.is_some()).await;
    // Which process has which name is not known, and on a busy machine it may have changed.
    for at in [guess, 1 - guess].into_iter().cycle().take(6) {
        let Some((name, before)) = coordinator(fleet).await else { continue };
        workers[at].pause();
        let begun = Instant::now();
        while epoch.is_none() && begun.elapsed() < SECOND * 5 {
            tokio::time::sleep(SECOND / 20).await;
            epoch = coordinator(fleet).await.filter(|now| now.0 != name && now.1 > before).map(|now| now.1);
        }
        match epoch {
            Some(epoch) => return (at, epoch),
            None => workers[at].resume(),
        }
    }
    panic!("no other became the coordinator");
}

/// Waits until each account is called again. Returns how long that took.
async fn heal(fleet: &Fleet) -> Duration {
    let begun = Instant::now();
    fleet.all_are_called(5).await;
    begun.elapsed()
}

/// What callers get if Redis was away for longer than the share time.
const AWAY: &str = "the pool's Redis failed";

/// Asserts what holds whatever happens to processes and connections: a call fails for the reason
/// `expected` at most.
fn assert_sound(fleet: &Fleet, logs: &[Log], expected: Option<&str>) {
    let is_other = |failure: &&String| expected.is_none_or(|expected| !failure.starts_with(expected));
    let others: Vec<_> = failures(logs).into_iter().filter(is_other).collect();
    assert!(others.is_empty(), "{others:?}");
    let stats = fleet.server.stats();
    assert_eq!(stats.reuses, 0, "{stats:?}");
    fleet.assert_limits();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_was_stopped_for_longer_than_its_lease_writes_nothing_when_it_wakes_up() {
    let fleet = fleet(SHORT_LIFE).await;
    let pool = fleet.plan.pool();
    let workers = [fleet.start(1, Role::AuthWorker), fleet.start(1, Role::AuthWorker)];
    fleet.all_serve(&pool).await;
    pool.close(SECOND).await;
    let mut members = fleet.start(3, Role::Member);
    fleet.all_are_called(5).await;
    let (rounds, mut slowest, mut guess) = (scale(2, 10), Duration::ZERO, 0);
    for round in 0..rounds {
        let (stopped, epoch) = stop_coordinator(&fleet, &workers, guess).await;
        // For the member that comes in the place of each that is killed, shares have to move.
        members.kill(round % 3);
        slowest = slowest.max(heal(&fleet).await);
        workers[stopped].resume();
        members.kill((round + 1) % 3);
        slowest = slowest.max(heal(&fleet).await);
        let now: u64 = fleet.redis.run_command("HGET jwt-refresh:{catalog}:fleet:state epoch").await;
        assert!(now >= epoch, "the one that woke up goes back from epoch {epoch} to {now}");
        guess = 1 - stopped;
    }
    let (mut logs, calls) = members.stop().await;
    for worker in workers {
        logs.extend(worker.stop().await.0);
    }
    report(
        "19 a coordinator stopped for longer than its lease",
        "another goes on, no account above its limits, no reuse, and the one that wakes up changes nothing",
        &format!(
            "{rounds} stops, each account called again after {slowest:?} at most, {}, {:?}, {:?}",
            fleet.extremes(),
            fleet.server.stats(),
            calls
        ),
    );
    assert_sound(&fleet, &logs, None);
    assert_eq!(calls.rejected, 0, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_and_tokens_serve_while_all_auth_workers_are_dead() {
    let fleet = fleet(HOUR).await;
    let pool = fleet.plan.pool();
    let workers = fleet.start(2, Role::AuthWorker);
    fleet.all_serve(&pool).await;
    pool.close(SECOND).await;
    let members = fleet.start(3, Role::Member);
    fleet.all_are_called(5).await;
    tokio::time::sleep(fleet.plan.share_time).await;
    let mut logs = workers.kill_all();
    let (machine, killed, time) = (Machine::watch(), Instant::now(), scale(SECOND * 6, SECOND * 30));
    tokio::time::sleep(time).await;
    let used = fleet.rate_used(killed, Instant::now());
    let is_used = used >= scale(0.6, 0.9) || !machine.was_free();
    let workers = fleet.start(2, Role::AuthWorker);
    let healed = heal(&fleet).await;
    let (of_members, _) = members.stop().await;
    logs.extend(of_members);
    logs.extend(workers.stop().await.0);
    report(
        "20 all auth workers dead",
        "calls go on, and no account logs in again",
        &format!(
            "{:.1} % of what the rates allow in {time:?} without a worker, each account called {healed:?} after two were back, \
             {}, {:?}",
            100.0 * used,
            fleet.extremes(),
            fleet.server.stats(),
        ),
    );
    assert_sound(&fleet, &logs, None);
    let mut others = warnings(&logs);
    others.retain(|warning| !warning.contains("no auth worker of the fleet lives"));
    assert!(others.is_empty(), "{others:?}");
    assert!(warnings(&logs).len() <= 3, "each process says it once: {:?}", warnings(&logs));
    assert_eq!(fleet.server.stats().logins, fleet.plan.accounts.len() as u64);
    assert!(is_used, "{used} of what the rates allow");
}

/// Cuts connections for `time`, before a command or before its answer, and now and then all.
async fn cut_at_random(proxy: &RedisProxy, random: &mut Random, time: Duration) -> u32 {
    let (begun, mut cuts) = (Instant::now(), 0);
    while begun.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(random.below(60))).await;
        match random.below(9) {
            0 => proxy.cut_connections(),
            1..5 => proxy.cut_next_command(),
            _ => proxy.cut_next_answer(),
        }
        cuts += 1;
    }
    cuts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_redis_that_are_cut_at_any_command_break_no_limit_and_spend_no_token_twice() {
    let mut fleet = fleet(SHORT_LIFE).await;
    let proxy = RedisProxy::before(&fleet.redis).await;
    fleet.plan.redis = proxy.url();
    let pool = fleet.plan.pool();
    let workers = fleet.start(2, Role::AuthWorker);
    fleet.all_serve(&pool).await;
    pool.close(SECOND).await;
    let members = fleet.start(3, Role::Member);
    fleet.all_are_called(5).await;
    let mut random = Random::new(seed());
    let (mut cuts, mut slowest) = (0, Duration::ZERO);
    for _ in 0..scale(2, 6) {
        cuts += cut_at_random(&proxy, &mut random, scale(SECOND * 2, SECOND * 10)).await;
        slowest = slowest.max(heal(&fleet).await);
    }
    let (mut logs, calls) = members.stop().await;
    logs.extend(workers.stop().await.0);
    report(
        "21 connections to Redis cut at any command",
        "no account above its limits, no reuse, healed within 5 s",
        &format!(
            "{cuts} cuts, each account called again after {slowest:?} at most, {} calls failed for want of a share, {}, {:?}, \
             {:?}",
            failures(&logs).len(),
            fleet.extremes(),
            fleet.server.stats(),
            calls
        ),
    );
    assert_sound(&fleet, &logs, Some(AWAY));
    assert!(slowest <= soon(), "healed after {slowest:?}");
}
