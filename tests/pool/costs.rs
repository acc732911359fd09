//! Limits on what calls cost, several limits of one account, and limits that accounts share.

use std::time::Duration;

use jwt_refresh::pool::{Account, Lease, Limit, Pool, QuarantineCause};
use jwt_refresh::{Clock, Error, ErrorKind, ManualClock};
use tokio::task::JoinHandle;

use crate::support::{HOUR, MINUTE, SECOND, until};
use crate::{policy, run_other_tasks};

/// A pool of accounts that serve at once, and its clock.
fn pool(accounts: impl IntoIterator<Item = Account>) -> (Pool, ManualClock) {
    let clock = ManualClock::new();
    (Pool::builder().clock(&clock).policy(policy()).accounts(accounts).build().unwrap(), clock)
}

fn key(name: &str) -> Account {
    Account::api_key(name, format!("key-of-{name}"))
}

/// Takes a lease that costs so much, if there is one at once.
async fn at_once(pool: &Pool, cost: u64) -> Option<Lease> {
    pool.lease().cost(cost).within(Duration::ZERO).await.ok()
}

/// Asks for a lease in a task of its own.
async fn waits(pool: &Pool, cost: u64) -> JoinHandle<Result<Lease, Error>> {
    let pool = pool.clone();
    let waits = tokio::spawn(async move { pool.lease().cost(cost).await });
    run_other_tasks().await;
    waits
}

/// Lets time pass, after which the caller is to have its lease.
async fn served_after<T>(waits: &JoinHandle<T>, clock: &ManualClock, time: Duration) {
    clock.advance(time);
    until("the caller is served", async || waits.is_finished()).await;
}

/// Lets time pass, after which the caller is to wait as before.
async fn waits_after<T>(waits: &JoinHandle<T>, clock: &ManualClock, time: Duration) {
    clock.advance(time);
    // Long enough for the pool's scheduler, if the machine is not busy.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!waits.is_finished(), "served too early");
    }
}

#[tokio::test]
async fn after_a_call_the_next_goes_when_the_rate_has_paid_for_it() {
    let (pool, clock) = pool([key("a").limit(Limit::cost(6000, MINUTE))]);
    drop(at_once(&pool, 1000).await.unwrap());
    let next = waits(&pool, 3000).await;
    waits_after(&next, &clock, 99 * SECOND / 10).await;
    served_after(&next, &clock, SECOND / 10).await;
    let after = waits(&pool, 1).await;
    waits_after(&after, &clock, 29 * SECOND).await;
    served_after(&after, &clock, SECOND).await;
}

#[tokio::test]
async fn what_a_call_spent_less_is_given_back_and_what_it_spent_more_is_waited_for() {
    let (pool, clock) = pool([key("a").limit(Limit::cost(6000, MINUTE))]);
    let lease = at_once(&pool, 3000).await.unwrap();
    let next = waits(&pool, 1).await;
    lease.spent(500);
    waits_after(&next, &clock, 4 * SECOND).await;
    served_after(&next, &clock, SECOND).await;
    let lease = next.await.unwrap().unwrap();
    lease.spent(1000);
    lease.spent(2000);
    drop(lease);
    let next = waits(&pool, 1).await;
    waits_after(&next, &clock, 19 * SECOND).await;
    served_after(&next, &clock, SECOND).await;
}

#[tokio::test]
async fn a_lease_that_was_given_back_is_not_corrected() {
    let (pool, clock) = pool([key("a").limit(Limit::cost(6000, MINUTE))]);
    let lease = at_once(&pool, 100).await.unwrap();
    lease.rate_limited(Some(SECOND / 2));
    lease.spent(6000);
    let next = waits(&pool, 1).await;
    served_after(&next, &clock, SECOND).await;
}

#[tokio::test]
async fn of_several_limits_each_holds() {
    let limits = [Limit::requests(2, SECOND).burst(2), Limit::requests(3, MINUTE).strict(), Limit::cost(100, HOUR)];
    let (pool, clock) = pool([limits.into_iter().fold(key("a").concurrency(1), Account::limit)]);
    drop(at_once(&pool, 1).await.unwrap());
    clock.advance(MINUTE);
    let held = at_once(&pool, 1).await.unwrap();
    assert!(at_once(&pool, 1).await.is_none(), "its concurrency is 1, and 36 s must pass");
    drop(held);
    clock.advance(36 * SECOND);
    drop(at_once(&pool, 1).await.unwrap());
    assert!(at_once(&pool, 1).await.is_none());
    clock.advance(5 * MINUTE);
    drop(at_once(&pool, 100).await.unwrap());
    clock.advance(59 * MINUTE);
    assert!(at_once(&pool, 1).await.is_none());
    clock.advance(MINUTE);
    assert!(at_once(&pool, 1).await.is_some());
}

#[tokio::test]
async fn a_strict_limit_counts_a_call_until_its_lease_ends_and_a_window_has_passed() {
    let (pool, clock) = pool([key("a").strict_rate(2, 10 * SECOND)]);
    let [first, second] = [at_once(&pool, 1).await.unwrap(), at_once(&pool, 1).await.unwrap()];
    clock.advance(MINUTE);
    assert!(at_once(&pool, 1).await.is_none());
    drop(first);
    let next = waits(&pool, 1).await;
    waits_after(&next, &clock, 999 * SECOND / 100).await;
    served_after(&next, &clock, SECOND / 100).await;
    assert!(at_once(&pool, 1).await.is_none());
    drop(second);
}

#[tokio::test]
async fn accounts_of_different_limits_serve_the_calls_that_they_allow() {
    let (pool, _clock) = pool([
        key("small").limit(Limit::cost(100, HOUR)),
        key("large").limit(Limit::cost(10_000, HOUR)),
        key("tagged").limit(Limit::cost(1_000_000, HOUR)).tag("big"),
    ]);
    for (cost, account) in [(5000, "large"), (20_000, "tagged"), (60, "small")] {
        assert_eq!(at_once(&pool, cost).await.unwrap().account(), account);
    }
    let error = pool.lease().cost(1_000_001).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("costs 1000001: at most 1000000"), "{error}");
    let error = pool.lease().key("k").tag("big").cost(2_000_000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_call_that_only_an_account_in_quarantine_allows_fails_and_says_when_that_returns() {
    let (pool, _clock) =
        pool([key("small").limit(Limit::cost(100, HOUR)), key("large").limit(Limit::cost(10_000, HOUR))]);
    let next = at_once(&pool, 5000).await.unwrap();
    let waiting = waits(&pool, 5000).await;
    next.rate_limited(Some(MINUTE));
    for error in [waiting.await.unwrap().unwrap_err(), pool.lease().cost(5000).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NoAccount);
        assert!(error.retry_after().is_some_and(|wait| wait <= MINUTE), "{error}");
    }
    assert_eq!(at_once(&pool, 1).await.unwrap().account(), "small");
}

#[tokio::test]
async fn an_expensive_call_at_the_head_of_the_line_is_served_within_a_window_although_cheap_ones_come() {
    let window = 10 * SECOND;
    let (pool, clock) = pool([key("a").limit(Limit::cost(100, window).strict())]);
    for _ in 0..90 {
        drop(at_once(&pool, 1).await.unwrap());
        clock.advance(window / 100);
    }
    let expensive = waits(&pool, 95).await;
    let mut cheap = Vec::new();
    for _ in 0..100 {
        cheap.push(waits(&pool, 1).await);
        clock.advance(window / 100 + window / 20_000);
    }
    until("the expensive call is served", async || expensive.is_finished()).await;
    drop(expensive.await.unwrap().unwrap());
    for _ in 0..300 {
        clock.advance(window / 100);
        run_other_tasks().await;
    }
    for (number, cheap) in cheap.into_iter().enumerate() {
        until(&format!("the {number}th cheap call is served"), async || cheap.is_finished()).await;
    }
}

#[tokio::test]
async fn while_one_account_saves_up_for_an_expensive_call_the_others_serve_cheap_ones() {
    let limited = |name| key(name).limit(Limit::cost(100, MINUTE).strict());
    let (pool, clock) = pool([limited("a"), limited("b"), limited("c")]);
    for _ in 0..3 {
        drop(at_once(&pool, 20).await.unwrap());
    }
    let expensive = waits(&pool, 100).await;
    let mut served = 0;
    while at_once(&pool, 10).await.is_some() {
        served += 1;
    }
    assert_eq!(served, 16, "two of the accounts have 80 left each");
    served_after(&expensive, &clock, MINUTE).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_saving_up_for_it() {
    let (pool, clock) = pool([key("a").limit(Limit::cost(100, MINUTE).strict())]);
    drop(at_once(&pool, 20).await.unwrap());
    let expensive = waits(&pool, 100).await;
    let cheap = waits(&pool, 50).await;
    waits_after(&cheap, &clock, SECOND).await;
    expensive.abort();
    served_after(&cheap, &clock, Duration::ZERO).await;
}

#[tokio::test]
async fn an_expensive_call_moves_to_another_account_when_the_one_that_saves_up_is_gone() {
    let limited = |name| key(name).limit(Limit::cost(100, MINUTE).strict());
    let (pool, clock) = pool([limited("a"), limited("b")]);
    let (first, second) = (at_once(&pool, 20).await.unwrap(), at_once(&pool, 20).await.unwrap());
    let expensive = waits(&pool, 100).await;
    assert!(pool.remove("a"));
    drop((first, second));
    served_after(&expensive, &clock, MINUTE).await;
    let waiting = waits(&pool, 100).await;
    assert!(pool.remove("b"));
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::NoAccount);
}

#[tokio::test]
async fn a_shared_limit_holds_for_all_its_accounts_together() {
    let shared = |name: &str| key(name).limit(Limit::requests(10, SECOND).burst(5).shared("organisation"));
    let accounts = ["a", "b", "c"].map(shared);
    let (pool, clock) = pool(accounts.into_iter().chain([key("alone").rate(1, HOUR)]));
    let mut served = Vec::new();
    while let Some(lease) = at_once(&pool, 1).await {
        served.push(lease.account().to_owned());
    }
    assert_eq!(served.len(), 6, "{served:?}");
    for account in ["a", "b", "c"] {
        assert!(served.iter().any(|one| one == account), "{served:?}");
    }
    let next = waits(&pool, 1).await;
    waits_after(&next, &clock, 99 * SECOND / 1000).await;
    served_after(&next, &clock, SECOND / 1000).await;
}

#[tokio::test]
async fn shared_limits_of_several_kinds_hold_beside_those_of_each_account() {
    let account = |name: &str, project: &str| {
        key(name)
            .limit(Limit::cost(1000, MINUTE).strict().shared("organisation"))
            .limit(Limit::cost(600, MINUTE).strict().shared(project))
            .limit(Limit::cost(400, MINUTE).strict())
            .tag(project)
    };
    let (pool, clock) = pool([account("a", "x"), account("b", "x"), account("c", "y"), account("d", "y")]);
    let by_tag = async |tag: &str, cost| pool.lease().tag(tag).cost(cost).within(Duration::ZERO).await.is_ok();
    assert!(by_tag("x", 400).await && !by_tag("x", 300).await, "the project has 200 left");
    assert!(by_tag("x", 200).await && !by_tag("x", 1).await);
    assert!(by_tag("y", 300).await && by_tag("y", 100).await);
    assert!(!by_tag("y", 1).await, "the organisation has nothing left");
    let keyed = tokio::spawn({
        let pool = pool.clone();
        async move { pool.lease().key("a key").cost(400).await }
    });
    run_other_tasks().await;
    served_after(&keyed, &clock, MINUTE).await;
}

#[tokio::test]
async fn an_expensive_call_is_not_starved_of_a_shared_limit() {
    let shared = |name: &str| key(name).limit(Limit::cost(100, MINUTE).strict().shared("organisation"));
    let (pool, clock) = pool(["a", "b", "c"].map(shared));
    for _ in 0..30 {
        drop(at_once(&pool, 1).await.unwrap());
        clock.advance(SECOND);
    }
    let expensive = waits(&pool, 90).await;
    for _ in 0..61 {
        assert!(expensive.is_finished() || at_once(&pool, 1).await.is_none(), "the account saves up");
        clock.advance(SECOND);
        run_other_tasks().await;
    }
    until("the expensive call is served", async || expensive.is_finished()).await;
}

#[tokio::test]
async fn the_quota_of_a_day_ends_at_midnight_and_its_accounts_rest_until_then() {
    let (pool, clock) = pool([key("a").limit(Limit::daily(3).utc_offset(-8 * 60))]);
    // 22:00 Pacific Standard Time.
    clock.step_to(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 / 86_400 * 86_400) + 6 * HOUR);
    for _ in 0..3 {
        drop(at_once(&pool, 1).await.unwrap());
    }
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    assert_eq!(error.retry_after(), Some(2 * HOUR));
    assert_eq!(pool.status().quarantined[0].cause, QuarantineCause::QuotaUsedUp);
    clock.advance(2 * HOUR);
    assert!(at_once(&pool, 1).await.is_some());
}

#[tokio::test]
async fn a_wall_clock_that_is_put_forward_over_midnight_begins_the_next_day() {
    for limit in [Limit::daily_cost(10), Limit::daily_cost(10).shared("organisation")] {
        let (pool, clock) = pool([key("a").limit(limit.clone()), key("b").limit(limit.clone())]);
        while at_once(&pool, 5).await.is_some() {}
        assert_eq!(pool.status().active, 0, "{limit:?}");
        let now = Clock::from(&clock).now();
        clock.step_to(now + 24 * HOUR);
        assert!(at_once(&pool, 5).await.is_some(), "{limit:?}");
    }
}

#[tokio::test]
async fn two_definitions_of_one_shared_limit_are_refused_and_both_are_named() {
    let shared = |name: &str, amount| key(name).limit(Limit::cost(amount, MINUTE).shared("organisation"));
    let error = Pool::builder().accounts([shared("a", 100), shared("b", 200)]).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let text = error.to_string();
    assert!(text.contains("\"organisation\" is a cost of 100 in 60s") && text.contains("a cost of 200"), "{text}");
    let (pool, _clock) = pool([shared("a", 100)]);
    assert!(pool.add(shared("b", 200)).is_err());
    assert!(pool.remove("a"));
    pool.add(shared("b", 200)).unwrap();
}

#[tokio::test]
async fn a_limit_that_allows_nothing_is_refused() {
    for limit in [Limit::cost(0, SECOND), Limit::requests(1, Duration::ZERO).shared("x"), Limit::daily(0)] {
        let error = Pool::builder().account(key("a").limit(limit)).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("lets nothing through"), "{error}");
    }
}
