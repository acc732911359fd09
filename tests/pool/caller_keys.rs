//! Keys of callers: equal keys go to the same account.

use std::collections::HashMap;
use std::time::Duration;

use jwt_refresh::ManualClock;
use jwt_refresh::pool::{Account, Pool};

use crate::scripted::{Does, Log, Scripted};
use crate::support::{HOUR, SECOND, until};
use crate::{is_pending, run_other_tasks};

fn pool_of_keys(clock: &ManualClock, accounts: u32) -> Pool {
    let accounts = (0..accounts).map(|number| Account::api_key(format!("account-{number}"), format!("key-{number}")));
    Pool::builder().clock(clock).accounts(accounts).build().unwrap()
}

/// Returns which account each of `keys` keys goes to.
async fn accounts_of(pool: &Pool, keys: u32) -> HashMap<u32, String> {
    let mut accounts = HashMap::new();
    for key in 0..keys {
        let lease = pool.lease().key(format!("user-{key}")).await.unwrap();
        accounts.insert(key, lease.account().to_owned());
    }
    accounts
}

#[tokio::test]
async fn each_account_has_nearly_its_fair_share_of_the_keys() {
    for (accounts, keys) in [(10, 10_000), (50, 30_000)] {
        let pool = pool_of_keys(&ManualClock::new(), accounts);
        let mut counts = HashMap::<String, u32>::new();
        for account in accounts_of(&pool, keys).await.into_values() {
            *counts.entry(account).or_default() += 1;
        }
        let fair = f64::from(keys) / f64::from(accounts);
        let shares: Vec<_> = counts.values().map(|&count| f64::from(count) / fair).collect();
        assert_eq!(shares.len(), accounts as usize);
        assert!(shares.iter().all(|share| (0.7..=1.3).contains(share)), "{accounts} accounts: {shares:?}");
    }
}

#[tokio::test]
async fn pools_with_the_same_names_agree_whatever_the_order_in_which_they_were_added() {
    let one = pool_of_keys(&ManualClock::new(), 30);
    let other = Pool::builder().build().unwrap();
    for number in (0..40).rev() {
        other.add(Account::api_key(format!("account-{number}"), format!("another-key-{number}"))).unwrap();
    }
    for number in 30..40 {
        assert!(other.remove(&format!("account-{number}")));
    }
    assert_eq!(accounts_of(&one, 200).await, accounts_of(&other, 200).await);
}

#[tokio::test]
async fn only_the_keys_of_an_account_that_comes_or_goes_move() {
    let pool = pool_of_keys(&ManualClock::new(), 20);
    let before = accounts_of(&pool, 500).await;
    pool.add(Account::api_key("newcomer", "its-key")).unwrap();
    let with = accounts_of(&pool, 500).await;
    let moved = with.iter().filter(|(key, account)| before[*key] != **account);
    assert!(moved.clone().all(|(_, account)| account == "newcomer") && moved.count() > 10);
    assert!(pool.remove("newcomer"));
    assert_eq!(accounts_of(&pool, 500).await, before);
    assert!(pool.remove("account-7"));
    for (key, account) in accounts_of(&pool, 500).await {
        assert_eq!(account == before[&key], before[&key] != "account-7", "{key}");
    }
}

#[tokio::test]
async fn a_key_goes_to_the_next_account_at_once_while_its_own_has_no_live_token_and_returns_later() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let scripts: Vec<_> = (0..4).map(|number| Scripted::new(format!("a{number}"), Does::Lives(HOUR), &log)).collect();
    let accounts = scripts.iter().map(Scripted::account);
    let pool = Pool::builder().clock(&clock).accounts(accounts).build().unwrap();
    until("all serve", async || pool.status().active == 4).await;
    let own = pool.lease().key("user").await.unwrap().account().to_owned();
    let script = &scripts[own["a".len()..].parse::<usize>().unwrap()];

    // Its token is renewed, which takes a while.
    script.set(Does::Waits);
    pool.lease().key("user").await.unwrap().rejected();
    let next = pool.lease().key("user").await.unwrap().account().to_owned();
    assert_ne!(next, own);
    for _ in 0..10 {
        assert_eq!(pool.lease().key("user").await.unwrap().account(), next, "equal keys agree meanwhile");
    }
    script.set(Does::Lives(HOUR));
    until("its token is back", async || pool.status().active == 4).await;
    assert_eq!(pool.lease().key("user").await.unwrap().account(), own);

    // It rests.
    pool.lease().key("user").await.unwrap().quota_used_up(Some(Duration::from_secs(60)));
    assert_eq!(pool.lease().key("user").await.unwrap().account(), next);
    clock.advance(61 * SECOND);
    assert_eq!(pool.lease().key("user").await.unwrap().account(), own);
}

#[tokio::test]
async fn a_caller_that_waits_with_a_key_goes_to_the_next_account_when_its_own_cannot_serve_any_more() {
    let clock = ManualClock::new();
    let accounts = ["a", "b"].map(|name| Account::api_key(name, format!("key-{name}")).rate(1, HOUR));
    let pool = Pool::builder().clock(&clock).accounts(accounts).build().unwrap();
    let lease = pool.lease().key("user").await.unwrap();
    let mut waiting = Box::pin(pool.lease().key("user").into_future());
    assert!(is_pending(&mut waiting), "it waits for the rate of its account");
    let own = lease.account().to_owned();
    lease.quota_used_up(None);
    assert_ne!(waiting.await.unwrap().account(), own);
}

#[tokio::test]
async fn callers_with_keys_wait_for_the_first_account_that_logs_in() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let script = Scripted::new("a0", Does::Waits, &log);
    let pool = Pool::builder().clock(&clock).account(script.account()).build().unwrap();
    let mut waiting = Box::pin(pool.lease().key("user").into_future());
    assert!(is_pending(&mut waiting));
    run_other_tasks().await;
    assert!(is_pending(&mut waiting));
    script.set(Does::Lives(HOUR));
    assert_eq!(waiting.await.unwrap().account(), "a0");
    assert_eq!(pool.status().waiting, 0);
}
