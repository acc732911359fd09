//! A token endpoint that is overloaded or out of order is left alone by all accounts that use it.

use jwt_refresh::pool::{Account, Pool, QuarantineCause};
use jwt_refresh::{Chain, ErrorKind, ManualClock};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use crate::active;
use crate::scripted::{Does, Log, Scripted};
use crate::support::{HOUR, MINUTE, SECOND, World, account_login, until};

const ENDPOINT: &str = "https://login.example";

fn scripted(count: usize, name: &str, endpoint: &str, log: &Log) -> Vec<Scripted> {
    (0..count).map(|number| Scripted::new(format!("{name}{number}"), Does::Lives(HOUR), log).at(endpoint)).collect()
}

fn pool<'a>(clock: &ManualClock, accounts: impl IntoIterator<Item = &'a Scripted>) -> Pool {
    Pool::builder().clock(clock).accounts(accounts.into_iter().map(Scripted::account)).build().unwrap()
}

fn set(accounts: &[Scripted], does: Does) {
    for account in accounts {
        account.set(does);
    }
}

/// Waits until requests were sent, and all have ended.
async fn settled(log: &Log) {
    until("requests were sent and have ended", async || !log.begun().is_empty() && log.running() == 0).await;
}

/// Moves the clock in steps of a second. After each, lets all requests end that begin.
async fn pass(clock: &ManualClock, log: &Log, seconds: u32) {
    for _ in 0..seconds {
        clock.advance(SECOND);
        tokio::time::sleep(SECOND / 1000).await;
        until("no request is under way", async || log.running() == 0).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_asks_for_a_pause_is_asked_by_no_account_until_then_and_other_endpoints_are() {
    let (clock, log, other_log) = (ManualClock::new(), Log::default(), Log::default());
    let accounts = scripted(50, "a", ENDPOINT, &log);
    let others = scripted(5, "b", "https://other.example", &other_log);
    let pool = pool(&clock, accounts.iter().chain(&others));
    active(&pool, 55).await;
    set(&accounts, Does::Unavailable(Some(5 * MINUTE)));
    log.take();
    // All tokens are due for a refresh, sooner or later.
    for _ in 0..54 * 6 {
        clock.advance(9 * SECOND);
        pass(&clock, &log, 1).await;
    }
    let asked = log.begun().len();
    assert!((1..=16).contains(&asked), "{asked} requests");
    assert!(other_log.begun().len() >= 10, "{:?}", other_log.begun());
    assert_eq!(pool.status().active, 55);
}

/// How many requests are sent until an outage is known.
const FIRST: usize = 20;

/// 100 accounts of an endpoint that is out of order for ten minutes, in which all of them are due.
/// Returns the requests, the pool and its accounts.
async fn outage(does: Does) -> (Log, ManualClock, Pool, Vec<Scripted>) {
    let (clock, log) = (ManualClock::new(), Log::default());
    let accounts = scripted(100, "a", ENDPOINT, &log);
    let pool = pool(&clock, &accounts);
    active(&pool, 100).await;
    set(&accounts, does);
    log.take();
    clock.advance(54 * MINUTE);
    settled(&log).await;
    assert!(log.begun().len() <= FIRST, "{} requests", log.begun().len());
    pass(&clock, &log, 10 * 60).await;
    (log, clock, pool, accounts)
}

#[tokio::test]
async fn an_endpoint_out_of_order_is_tried_by_one_account_at_a_time_with_ever_longer_pauses() {
    for does in [Does::Unavailable(None), Does::Unreachable] {
        let (log, ..) = outage(does).await;
        let asked = log.begun().len();
        assert!((16..=60).contains(&asked), "{asked} requests of 100 accounts in ten minutes");
        let later: Vec<String> = log.take().split_off(2 * FIRST);
        // One more begins after two seconds without an answer. The clock of this test may pass them
        // before a busy machine has begun the first.
        assert!(Log::from(later).most_at_once() <= 2);
    }
}

#[tokio::test]
async fn after_an_outage_all_accounts_are_back_at_once_but_do_not_come_all_together() {
    let (log, clock, pool, accounts) = outage(Does::Unavailable(None)).await;
    assert_eq!(pool.status().active, 0, "all tokens have expired");
    set(&accounts, Does::Lives(HOUR));
    log.take();
    clock.advance(MINUTE);
    active(&pool, 100).await;
    let lines = log.take();
    assert_eq!(lines[1], format!("{} ended", lines[0]), "the first is alone");
    assert!(Log::from(lines[..8].to_vec()).most_at_once() <= 4, "{lines:?}");
    assert_eq!(lines.len(), 2 * 100);
}

#[tokio::test]
async fn accounts_that_wait_for_an_endpoint_are_closed_and_callers_are_told_until_when_and_why() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let accounts = scripted(40, "a", ENDPOINT, &log);
    set(&accounts, Does::Unavailable(Some(2 * MINUTE)));
    let pool = pool(&clock, &accounts);
    let waits = pool.lease().into_future();
    let error = waits.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    settled(&log).await;
    let error = pool.lease().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("returns in 120.0 s") && text.contains("not logged in yet"), "{text}");
    assert_eq!(error.retry_after(), Some(2 * MINUTE));
    let status = pool.status();
    let is_told = |one: &jwt_refresh::pool::QuarantinedAccount| {
        one.cause == QuarantineCause::Joining && one.returns_in == Some(2 * MINUTE)
    };
    assert!(status.quarantined.iter().all(is_told), "{:?}", status.quarantined);
    let late = Scripted::new("late", Does::Lives(HOUR), &log).at(ENDPOINT);
    pool.add(late.account()).unwrap();
    assert_eq!(pool.lease().await.unwrap_err().kind(), ErrorKind::NoAccount, "one that joins meanwhile");
}

#[tokio::test]
async fn what_is_refused_to_one_account_is_no_fault_of_the_endpoint() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let denied = scripted(20, "denied", ENDPOINT, &log);
    set(&denied, Does::Denies);
    let healthy = scripted(20, "a", ENDPOINT, &log);
    let pool = pool(&clock, denied.iter().chain(&healthy));
    active(&pool, 20).await;
    until("all were asked", async || log.begun().len() == 40 && log.running() == 0).await;
    until("each refusal has arrived", async || pool.status().failing == 20).await;
}

#[tokio::test]
async fn one_account_that_gets_no_answer_is_no_fault_of_the_endpoint() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let silent = Scripted::new("silent", Does::Unreachable, &log).at(ENDPOINT);
    let pool = pool(&clock, [&silent]);
    settled(&log).await;
    for account in scripted(20, "a", ENDPOINT, &log) {
        pool.add(account.account()).unwrap();
    }
    active(&pool, 20).await;
}

#[tokio::test]
async fn an_account_whose_exchanges_hang_does_not_hold_up_the_trials_of_an_endpoint() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let [fails, hangs, healthy] =
        ["fails", "hangs", "healthy"].map(|name| Scripted::new(name, Does::Unavailable(None), &log).at(ENDPOINT));
    let pool = pool(&clock, [&fails, &hangs]);
    settled(&log).await;
    hangs.set(Does::Hangs);
    fails.set(Does::Hangs);
    // The pause begins when the pool hears of the failure, which may be later than now.
    until("a trial hangs", async || {
        clock.advance(SECOND / 10);
        log.running() == 1
    })
    .await;
    healthy.set(Does::Lives(HOUR));
    pool.add(healthy.account()).unwrap();
    clock.advance(3 * SECOND);
    active(&pool, 1).await;
}

#[tokio::test]
async fn accounts_of_one_origin_share_their_endpoint_also_in_a_chain_and_behind_an_arc() {
    let world = World::with_accounts(60);
    world.server.inject(Endpoint::Any, Fault::ServiceUnavailable { retry_after: MINUTE }, Times::Always);
    let login = |number| account_login(&world.server, number).build().unwrap();
    let accounts = (0..60).map(|number| match number % 3 {
        0 => Account::new(format!("a{number}"), login(number)),
        1 => Account::new(format!("a{number}"), std::sync::Arc::new(login(number))),
        _ => Account::new(format!("a{number}"), Chain::new(login(number))),
    });
    let pool = world.pool_of(accounts).build().unwrap();
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    until("all wait for the endpoint", async || {
        pool.status().quarantined.iter().all(|one| one.returns_in.is_some_and(|wait| wait > MINUTE / 2))
    })
    .await;
    let asked = world.server.stats().auth_requests;
    assert!(asked <= 16, "{asked} requests");
    world.server.clear_faults();
    world.pass(MINUTE);
    active(&pool, 60).await;
}
