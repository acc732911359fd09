//! How much of what its accounts allow a fleet uses, as the server sees it: while nothing happens,
//! while members are killed, while demand moves, and while more members than accounts take turns.
//! No account exceeds its limits in any of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jwt_refresh_testkit::TestServer;

use crate::child::fleet::{Allowed, FleetPlan, Role};
use crate::children::{Children, failures, warnings};
use crate::fleet::{AccountCalls, Fleet, plan};
use crate::load::exact;
use crate::scale::{report, scale};
use crate::support::{HOUR, Machine, SECOND, until};

const MEMBERS: usize = 6;

/// By how much a fleet may miss its bounds because the machine is busy. In the short form other
/// scenarios run at the same time.
fn slack() -> f64 {
    scale(0.3, 0.05)
}

/// A fleet of accounts that one member has at a time, and others that are divided.
async fn fleet(accounts: Vec<Allowed>, share_time: Duration, work: Duration) -> Fleet {
    let server = TestServer::builder().access_lifetime(HOUR);
    Fleet::new(server, FleetPlan { share_time, work, ..plan(accounts) }).await
}

fn rates() -> Vec<Allowed> {
    (0..8).map(|number| Allowed::rate(20, if number % 2 == 0 { 1 } else { 6 })).collect()
}

/// The processes of a fleet.
struct Processes {
    workers: Children,
    members: Children,
}

impl Processes {
    /// Starts two auth workers and `members` members, and waits until all accounts are in use.
    async fn start(fleet: &Fleet, members: usize) -> Self {
        let pool = fleet.plan.pool();
        let workers = fleet.start(2, Role::AuthWorker);
        fleet.all_serve(&pool).await;
        let members = fleet.start(members, Role::Member);
        pool.close(SECOND).await;
        fleet.all_are_called(10).await;
        tokio::time::sleep(fleet.plan.share_time).await;
        Self { workers, members }
    }

    /// Lets all end, which neither failed nor warned of anything.
    async fn stop(self) {
        let (mut logs, calls) = self.members.stop().await;
        logs.extend(self.workers.stop().await.0);
        assert!(failures(&logs).is_empty() && warnings(&logs).is_empty(), "{logs:?}");
        assert_eq!(calls.rejected, 0, "{calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_members_use_what_the_rates_of_a_fleet_allow() {
    let fleet = fleet(rates(), SECOND * 3, Duration::from_millis(5)).await;
    let processes = Processes::start(&fleet, MEMBERS).await;
    let (machine, from) = (Machine::watch(), Instant::now());
    tokio::time::sleep(scale(SECOND * 3, SECOND * 30)).await;
    let used = fleet.rate_used(from, Instant::now());
    processes.stop().await;
    report(
        "15 a fleet without kills",
        "at least 97 % of what the rates allow",
        &format!("{:.1} %, {}", 100.0 * used, fleet.extremes()),
    );
    fleet.assert_limits();
    assert!(used >= 0.97 - slack() || !machine.was_free(), "{used} of what the rates allow");
}

/// How soon after `killed` all that the rates allow was used, as a second from then on shows.
fn recovered_after(fleet: &Fleet, killed: Instant) -> Duration {
    let is_full = |after: &Duration| fleet.rate_used(killed + *after, killed + *after + SECOND) >= 0.95;
    (0..200).map(|tick| Duration::from_millis(50) * tick).find(is_full).unwrap_or(Duration::MAX)
}

/// Kills a member, each in turn, every so often.
async fn use_rates_while_members_are_killed(share_time: Duration, every: Duration, kills: u32, asked: f64) {
    let fleet = fleet(rates(), share_time, Duration::from_millis(5)).await;
    let mut processes = Processes::start(&fleet, MEMBERS).await;
    let (machine, from) = (Machine::watch(), Instant::now());
    let mut killed = from;
    for kill in 0..kills {
        tokio::time::sleep_until((from + every * kill).into()).await;
        killed = Instant::now();
        processes.members.kill(kill as usize % MEMBERS);
    }
    tokio::time::sleep_until((from + every * kills).into()).await;
    let used = fleet.rate_used(from, from + every * kills);
    tokio::time::sleep_until((killed + share_time * 2 + SECOND * 2).into()).await;
    let recovered = recovered_after(&fleet, killed);
    processes.stop().await;
    report(
        &format!("16 a fleet with shares of {share_time:?}, a member killed every {every:?}"),
        &format!("at least {:.0} % of what the rates allow, all of it a share time after the last kill", 100.0 * asked),
        &format!(
            "{:.1} % with {kills} kills, all of it again {:.2} s after the last, {}",
            100.0 * used,
            recovered.as_secs_f64(),
            fleet.extremes()
        ),
    );
    fleet.assert_limits();
    let is_soon = recovered <= share_time + scale(SECOND * 3, SECOND / 2);
    let holds = used >= asked - slack() && is_soon;
    assert!(holds || !machine.was_free(), "{used} of what the rates allow, full again after {recovered:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_with_shares_of_a_second_goes_on_while_a_member_is_killed_every_second() {
    use_rates_while_members_are_killed(SECOND, SECOND, scale(4, 30), 0.75).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_with_shares_of_a_second_goes_on_while_a_member_is_killed_now_and_then() {
    use_rates_while_members_are_killed(SECOND, scale(SECOND * 3, SECOND * 5), scale(1, 12), 0.93).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_with_shares_of_the_default_time_goes_on_while_a_member_is_killed_now_and_then() {
    use_rates_while_members_are_killed(SECOND * 3, SECOND * 5, scale(1, 12), 0.85).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_follows_demand_that_moves_from_one_process_to_another() {
    let fleet = fleet(rates(), SECOND * 3, Duration::from_millis(5)).await;
    let workers = fleet.start(2, Role::AuthWorker);
    // Two processes as far as the fleet can tell: each has its own local pool, task and connection.
    let pools = [fleet.plan.pool(), fleet.plan.pool()];
    until("a member has a share", async || pools.iter().any(|pool| pool.local_status().active > 0)).await;
    let (machine, mut slowest) = (Machine::watch(), Duration::ZERO);
    for turn in 0..scale(3, 12) {
        let ended = Arc::new(AtomicBool::new(false));
        let begun = Instant::now();
        let calls = {
            let (plan, pool, ended) = (fleet.plan.clone(), pools[turn % 2].clone(), Arc::clone(&ended));
            tokio::spawn(async move { plan.call_until(&pool, &ended).await })
        };
        tokio::time::sleep(SECOND * 3).await;
        slowest = slowest.max(recovered_after(&fleet, begun));
        ended.store(true, Ordering::Release);
        calls.await.unwrap();
    }
    workers.stop().await;
    report(
        "17 demand that moves from one process to another",
        "followed within a second",
        &format!("all that the rates allow after {:.2} s at most, {}", slowest.as_secs_f64(), fleet.extremes()),
    );
    fleet.assert_limits();
    let is_soon = slowest <= SECOND + scale(SECOND, SECOND / 4);
    assert!(is_soon || !machine.was_free(), "followed after {slowest:?}");
}

/// The longest time for which each member was not served.
fn longest_waits(fleet: &Fleet, from: Instant, to: Instant) -> BTreeMap<String, Duration> {
    let mut served: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    for account in fleet.accounts() {
        for call in account.within(from, to) {
            served.entry(call.member.clone()).or_insert_with(|| vec![from]).push(call.begun);
        }
    }
    let waits = served.into_iter().map(|(member, mut times)| {
        times.push(to);
        times.sort();
        (member, times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default())
    });
    waits.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_processes_take_turns_on_four_accounts_that_serve_one_call_at_a_time() {
    const PROCESSES: usize = 20;
    let alone = Allowed { rate: None, concurrency: Some(1), quota: None };
    let fleet = fleet(vec![alone; 4], SECOND * 3, Duration::from_millis(20)).await;
    let processes = Processes::start(&fleet, PROCESSES).await;
    tokio::time::sleep(scale(SECOND * 2, SECOND * 5)).await;
    let (machine, from) = (Machine::watch(), Instant::now());
    tokio::time::sleep(scale(SECOND * 5, SECOND * 30)).await;
    let to = Instant::now();
    let (waits, time) = (longest_waits(&fleet, from, to), to.duration_since(from).as_secs_f64());
    let accounts = fleet.accounts();
    let calls: usize = accounts.iter().map(|account| account.within(from, to).count()).sum();
    let in_use: Duration = accounts.iter().map(|account| account.in_use(from, to)).sum();
    processes.stop().await;
    let (used, longest) = (in_use.as_secs_f64() / time / 4.0, waits.values().max().copied().unwrap_or(Duration::MAX));
    report(
        "18 twenty processes on four accounts that serve one call at a time",
        "each served every 3 s, accounts in use for at least 80 % of the time",
        &format!(
            "{} of {PROCESSES} served, every {:.2} s at least, accounts in use for {:.1} % of the time, {:.0} calls of 20 ms a \
             second, {}",
            waits.len(),
            longest.as_secs_f64(),
            100.0 * used,
            exact(calls as u64) / time,
            fleet.extremes(),
        ),
    );
    fleet.assert_limits();
    let are_served = waits.len() == PROCESSES && longest <= SECOND * 3 + scale(SECOND, SECOND / 2);
    let holds = are_served && used >= 0.8 - slack();
    assert!(holds || !machine.was_free(), "in use for {used} of the time, {waits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_quota_is_exceeded_although_members_are_killed_that_use_it() {
    let (kills, every) = scale((5, Duration::from_millis(800)), (12, SECOND * 5));
    let quota = scale(600, 6000);
    let limited = Allowed { quota: Some(quota), ..Allowed::rate(100, 1) };
    let fleet = fleet(vec![limited; 4], SECOND, Duration::from_millis(5)).await;
    let pool = fleet.plan.pool();
    let workers = fleet.start(2, Role::AuthWorker);
    fleet.all_serve(&pool).await;
    let mut members = fleet.start(3, Role::Member);
    fleet.all_are_called(10).await;
    for kill in 0..kills {
        tokio::time::sleep(every).await;
        members.kill(kill % 3);
    }
    until("all quotas are used up", async || pool.status().await.unwrap().active == 0).await;
    let (mut logs, _) = members.stop().await;
    logs.extend(workers.stop().await.0);
    assert!(failures(&logs).is_empty() && warnings(&logs).is_empty(), "{logs:?}");
    let calls: Vec<usize> = fleet.accounts().iter().map(AccountCalls::count).collect();
    report(
        "22 quotas of a fleet whose members are killed",
        "none exceeded, and a kill costs an eighth at most",
        &format!("{calls:?} calls of {quota} each, with {kills} kills"),
    );
    fleet.assert_limits();
    let used = exact(calls.iter().sum::<usize>() as u64) / f64::from(quota) / 4.0;
    assert!(used >= 0.5, "{used} of the quotas was used");
}
