//! Tiers: which accounts serve first.

use std::collections::BTreeSet;
use std::time::Duration;

use jwt_refresh::ManualClock;
use jwt_refresh::pool::{Account, Limit, Pool, PoolBuilder, Selection};

use crate::support::{SECOND, until};
use crate::{is_pending, policy};

fn api_key(name: &str, tier: u8) -> Account {
    Account::api_key(name, format!("key-of-{name}")).tier(tier)
}

/// Two accounts of each of three tiers, called by tier and number.
fn three_tiers() -> PoolBuilder {
    let accounts = (0..3).flat_map(|tier| (0..2).map(move |number| api_key(&format!("t{tier}-{number}"), tier)));
    Pool::builder().accounts(accounts)
}

/// The accounts that serve `calls` calls, one after the other.
async fn serving(pool: &Pool, calls: usize) -> BTreeSet<String> {
    let mut accounts = BTreeSet::new();
    for _ in 0..calls {
        accounts.insert(pool.lease().await.unwrap().account().to_owned());
    }
    accounts
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_lowest_tier_serves_and_takes_over_again_when_it_is_back() {
    for selection in [Selection::Soonest, Selection::RoundRobin, Selection::Weighted] {
        let clock = ManualClock::new();
        let pool = three_tiers().clock(&clock).policy(policy().selection(selection)).build().unwrap();
        assert_eq!(serving(&pool, 20).await, names(["t0-0", "t0-1"]), "{selection:?}");
        for _ in 0..2 {
            pool.lease().await.unwrap().quota_used_up(Some(Duration::from_secs(60)));
        }
        assert_eq!(serving(&pool, 20).await, names(["t1-0", "t1-1"]), "{selection:?}");
        pool.lease().await.unwrap().quota_used_up(Some(Duration::from_secs(3600)));
        pool.lease().await.unwrap().quota_used_up(Some(Duration::from_secs(3600)));
        assert_eq!(serving(&pool, 20).await, names(["t2-0", "t2-1"]), "{selection:?}");
        clock.advance(Duration::from_secs(61));
        assert_eq!(serving(&pool, 20).await, names(["t0-0", "t0-1"]), "{selection:?}");
    }
}

#[tokio::test]
async fn a_further_tier_serves_what_is_above_the_rate_of_the_first() {
    for selection in [Selection::Soonest, Selection::RoundRobin, Selection::Weighted] {
        let clock = ManualClock::new();
        let accounts = [api_key("first", 0).rate(1, SECOND), api_key("further", 1)];
        let pool = Pool::builder().clock(&clock).accounts(accounts).policy(policy().selection(selection));
        let pool = pool.build().unwrap();
        for _ in 0..5 {
            assert_eq!(serving(&pool, 1).await, names(["first"]), "{selection:?}");
            assert_eq!(serving(&pool, 5).await, names(["further"]), "{selection:?}");
            clock.advance(SECOND);
        }
    }
}

#[tokio::test]
async fn tags_and_keys_stay_within_the_first_tier_that_can_serve_them() {
    let accounts = [
        api_key("a", 0).tag("eu"),
        api_key("b", 0),
        api_key("c", 1).tag("eu").tag("bulk"),
        api_key("d", 2).tag("bulk"),
    ];
    let pool = Pool::builder().accounts(accounts).build().unwrap();
    let of_tag = async |tag: &str| pool.lease().tag(tag).await.unwrap().account().to_owned();
    assert_eq!((of_tag("eu").await, of_tag("bulk").await), ("a".to_owned(), "c".to_owned()));
    for key in 0..50 {
        let key = key.to_string();
        let lease = pool.lease().key(&key).await.unwrap();
        assert!(["a", "b"].contains(&lease.account()), "{lease:?}");
        assert_eq!(pool.lease().key(&key).tag("eu").await.unwrap().account(), "a");
    }
    pool.lease().tag("eu").await.unwrap().quota_used_up(None);
    assert_eq!(of_tag("eu").await, "c");
    assert_eq!(pool.lease().key("any").tag("eu").await.unwrap().account(), "c");
}

#[tokio::test]
async fn a_further_tier_serves_calls_that_cost_more_than_the_first_allows_now() {
    for selection in [Selection::Soonest, Selection::RoundRobin, Selection::Weighted] {
        let clock = ManualClock::new();
        let first = api_key("first", 0).limit(Limit::cost(100, SECOND).burst(100));
        let pool = Pool::builder().clock(&clock).accounts([api_key("further", 1), first]);
        let pool = pool.policy(policy().selection(selection)).build().unwrap();
        let served = async |cost| pool.lease().cost(cost).await.unwrap().account().to_owned();
        for _ in 0..3 {
            assert_eq!(served(60).await, "first", "{selection:?}");
            assert_eq!(served(60).await, "further", "{selection:?}");
            assert_eq!(served(30).await, "first", "{selection:?}");
            assert_eq!(served(30).await, "further", "{selection:?}");
            clock.advance(2 * SECOND);
        }
    }
}

#[tokio::test]
async fn weights_hold_within_each_tier() {
    let accounts = [api_key("a", 0), api_key("b", 1).weight(9), api_key("c", 1)];
    let policy = policy().selection(Selection::Weighted);
    let pool = Pool::builder().accounts(accounts).policy(policy).build().unwrap();
    let leases = async |pool: &Pool, calls: u32| {
        let mut of_b = 0;
        for _ in 0..calls {
            of_b += u32::from(pool.lease().await.unwrap().account() == "b");
        }
        of_b
    };
    assert_eq!(leases(&pool, 1000).await, 0);
    pool.lease().await.unwrap().quota_used_up(None);
    assert!(leases(&pool, 1000).await.abs_diff(900) <= 1);
}

#[tokio::test]
async fn a_caller_that_waits_takes_an_account_of_any_tier() {
    let clock = ManualClock::new();
    let accounts = [api_key("first", 0).concurrency(1), api_key("further", 7).concurrency(1)];
    let pool = Pool::builder().clock(&clock).accounts(accounts).build().unwrap();
    let [first, further] = [pool.lease().await.unwrap(), pool.lease().await.unwrap()];
    assert_eq!((first.account(), further.account()), ("first", "further"));
    let mut waiting = Box::pin(pool.lease().into_future());
    assert!(is_pending(&mut waiting));
    drop(further);
    assert_eq!(waiting.await.unwrap().account(), "further");

    let mut waiting = Box::pin(pool.lease().tag("none").into_future());
    assert!(!is_pending(&mut waiting), "an unknown tag is an error");
    drop(first);
    until("both are free", async || pool.status().waiting == 0).await;
    assert_eq!(pool.lease().await.unwrap().account(), "first");
}
