//! Much that is due at the same moment: callers still get the right account, and get it at once.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use jwt_refresh::pool::{Account, Lease, LeaseRequest, Limit, Pool, PoolBuilder, QuarantineCause, Selection};
use jwt_refresh::{Clock, ErrorKind, ManualClock};

use crate::policy;
use crate::scripted::{Does, Log, Scripted};
use crate::support::{HOUR, SECOND, until};

const MANY: usize = 500;

/// A pool of accounts that need no login, called `a0`, `a1` and so on.
fn pool_of(clock: &ManualClock, accounts: usize, account: impl Fn(usize, Account) -> Account) -> PoolBuilder {
    let accounts =
        (0..accounts).map(|number| account(number, Account::api_key(format!("a{number}"), format!("key-{number}"))));
    Pool::builder().clock(clock).accounts(accounts)
}

/// Returns the account that serves at once.
fn at_once(request: LeaseRequest) -> Option<String> {
    request.into_future().now_or_never().map(|lease| lease.unwrap().account().to_owned())
}

/// Has all accounts rest until the same moment.
async fn rest(pool: &Pool, accounts: usize, rest: Duration) {
    let mut leases = Vec::new();
    for _ in 0..accounts {
        leases.push(pool.lease().await.unwrap());
    }
    for lease in leases {
        lease.quota_used_up(Some(rest));
    }
    assert_eq!(pool.status().active, 0);
}

#[tokio::test]
async fn a_lease_is_not_refused_because_other_accounts_return_at_the_same_moment() {
    let clock = ManualClock::new();
    let pool = pool_of(&clock, MANY, |number, account| account.concurrency(1).tag(format!("t{number}")));
    let pool = pool.build().unwrap();
    rest(&pool, MANY, HOUR).await;
    assert_eq!(pool.lease().tag("t499").await.unwrap_err().kind(), ErrorKind::NoAccount);
    clock.advance(2 * HOUR);
    for number in (0..MANY).rev() {
        assert_eq!(at_once(pool.lease().tag(format!("t{number}"))), Some(format!("a{number}")));
    }
}

#[tokio::test]
async fn a_tier_that_returns_with_many_others_serves_first_at_once() {
    for selection in [Selection::Soonest, Selection::RoundRobin, Selection::Weighted] {
        let clock = ManualClock::new();
        let tier = |number: usize| u8::from(number != MANY - 1);
        let pool = pool_of(&clock, MANY, |number, account| account.concurrency(1).tier(tier(number)));
        let pool = pool.policy(policy().selection(selection)).build().unwrap();
        rest(&pool, MANY, HOUR).await;
        clock.advance(2 * HOUR);
        assert_eq!(at_once(pool.lease()), Some(format!("a{}", MANY - 1)), "{selection:?}");
    }
}

#[tokio::test]
async fn accounts_whose_rates_allow_a_call_at_the_same_moment_serve_in_the_right_order() {
    // By soonest, the rates decide; by round-robin, the last use.
    for (selection, is_by_use) in [(Selection::Soonest, false), (Selection::RoundRobin, true)] {
        let clock = ManualClock::new();
        let rate = |number: usize| Duration::from_secs(1 + (number as u64 * 7) % 100);
        let pool = pool_of(&clock, MANY, |number, account| account.rate(1, rate(number)));
        let pool = pool.policy(policy().selection(selection)).build().unwrap();
        let mut used = Vec::new();
        while let Some(account) = at_once(pool.lease()) {
            used.push(account);
            clock.advance(Duration::from_millis(1));
        }
        assert_eq!(used.len(), MANY);
        clock.advance(HOUR);
        let mut expected = used.clone();
        if !is_by_use {
            let ready = |(at, account): (usize, &String)| {
                Duration::from_millis(at as u64) + rate(account["a".len()..].parse().unwrap())
            };
            let mut by_time: Vec<_> = used.iter().enumerate().map(|one| (ready(one), one.0, one.1.clone())).collect();
            by_time.sort();
            expected = by_time.into_iter().map(|(.., account)| account).collect();
        }
        let again: Vec<_> = (0..MANY).map(|_| at_once(pool.lease()).unwrap()).collect();
        assert!(again == expected, "{selection:?}: {:?} and not {:?}", &again[..20], &expected[..20]);
    }
}

#[tokio::test]
async fn all_accounts_of_a_shared_quota_rest_when_it_is_used_up_and_are_back_on_the_next_day() {
    let clock = ManualClock::new();
    let quota = || Limit::daily(10).shared("organisation");
    let pool = pool_of(&clock, MANY, |_, account| account.limit(quota())).build().unwrap();
    pool.add(Account::api_key("own", "its-key").tier(1)).unwrap();
    for _ in 0..10 {
        assert_ne!(at_once(pool.lease()), Some("own".to_owned()));
    }
    assert_eq!(at_once(pool.lease()), Some("own".to_owned()), "though not all others rest yet");
    until("all others rest", async || pool.status().active == 1).await;
    assert_eq!(pool.status().quarantined_for(QuarantineCause::QuotaUsedUp), MANY);

    let now = Clock::from(&clock).now();
    clock.step_to(now + 24 * HOUR);
    until("all are back", async || pool.status().active == MANY + 1).await;
    for _ in 0..10 {
        assert_ne!(at_once(pool.lease()), Some("own".to_owned()));
    }
    assert_eq!(at_once(pool.lease()), Some("own".to_owned()));
}

#[tokio::test]
async fn a_thousand_waiters_are_served_in_order_and_no_newcomer_before_them() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let script = Scripted::new("a", Does::Waits, &log);
    let pool = Pool::builder().clock(&clock).account(script.account()).build().unwrap();
    let mut waiting: Vec<_> = (0..1000).map(|_| Box::pin(pool.lease().into_future())).collect();
    assert!(waiting.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
    script.set(Does::Lives(HOUR));
    until("some are served", async || pool.status().waiting < 1000).await;
    let newcomer = pool.lease();
    let mut newcomer = Box::pin(newcomer.into_future());
    if newcomer.as_mut().now_or_never().is_some() {
        assert_eq!(pool.status().waiting, 0, "a newcomer was served before those that wait");
    }
    let leases: Vec<Lease> = join_all(waiting).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(leases.len(), 1000);
    until("nobody waits", async || pool.status().waiting <= 1).await;
}

#[tokio::test]
async fn a_thousand_waiters_learn_that_their_tag_is_closed() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let script = Scripted::new("a", Does::Waits, &log);
    let pool = Pool::builder().clock(&clock).account(script.account().tag("eu")).build().unwrap();
    let mut waiting: Vec<_> = (0..1000).map(|_| Box::pin(pool.lease().tag("eu").into_future())).collect();
    assert!(waiting.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
    script.set(Does::Denies);
    for error in join_all(waiting).await {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NoAccount);
    }
}

#[tokio::test]
async fn a_live_token_is_found_behind_many_that_expired_unseen() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let short: Vec<_> = (0..MANY).map(|number| Scripted::new(format!("a{number}"), Does::Lives(HOUR), &log)).collect();
    let pool = Pool::builder().clock(&clock).accounts(short.iter().map(Scripted::account)).build().unwrap();
    until("all serve", async || pool.status().active == MANY).await;
    pool.add(Account::api_key("lives", "key").rate(1, 10 * HOUR)).unwrap();
    for script in &short {
        script.set(Does::Hangs);
    }
    // It is used last, so all others go before it.
    while pool.lease().await.unwrap().account() != "lives" {}
    clock.advance(11 * HOUR);
    let lease = tokio::time::timeout(60 * SECOND, pool.lease().into_future()).await;
    assert_eq!(lease.expect("it need not wait for a login").unwrap().account(), "lives");
}
