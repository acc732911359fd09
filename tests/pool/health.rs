//! The status of a pool is true, also while nobody calls.

use std::time::Duration;

use jwt_refresh::pool::{Health, Pool, QuarantineCause};
use jwt_refresh::{ManualClock, Policy};

use crate::scripted::{Does, Log, Scripted};
use crate::support::{HOUR, MINUTE, SECOND, until};
use crate::{active, policy};

fn scripted(count: usize, log: &Log) -> Vec<Scripted> {
    (0..count).map(|number| Scripted::new(format!("a{number}"), Does::Lives(HOUR), log)).collect()
}

fn pool(clock: &ManualClock, accounts: &[Scripted]) -> Pool {
    let tokens = Policy::default().refresh_timeout(HOUR).login_timeout(HOUR);
    let pool = Pool::builder().clock(clock).policy(policy().tokens(tokens));
    pool.accounts(accounts.iter().map(Scripted::account)).build().unwrap()
}

#[tokio::test]
async fn tokens_that_expire_while_nobody_calls_are_not_active() {
    for does in [Does::Unreachable, Does::Hangs, Does::Unavailable(None)] {
        let (clock, log) = (ManualClock::new(), Log::default());
        let accounts = scripted(100, &log);
        let pool = pool(&clock, &accounts);
        active(&pool, 100).await;
        for account in &accounts {
            account.set(does);
        }
        clock.advance(59 * MINUTE);
        until("refreshes have begun", async || log.begun().len() > 100).await;
        // A refresh that fails leaves a token in service until it expires.
        let expected = if does == Does::Hangs { 100 } else { 0 };
        clock.advance(45 * SECOND);
        until("those in the leeway wait", async || pool.status().active <= 100 - expected).await;
        clock.advance(MINUTE);
        until("no token lives", async || pool.status().average_ttl.is_none()).await;
        let status = pool.status();
        assert!(status.quarantined.iter().all(|one| one.cause == QuarantineCause::Expired), "{status}");
        assert_eq!((status.health(), status.active), (Health::Down, 0));
    }
}

#[tokio::test]
async fn a_pool_none_of_whose_renewals_work_is_not_good_although_all_accounts_serve() {
    for endpoint in [None, Some("https://login.example")] {
        let (clock, log) = (ManualClock::new(), Log::default());
        let at = |account: Scripted| endpoint.iter().fold(account, |account, endpoint| account.at(endpoint));
        let accounts: Vec<_> = scripted(100, &log).into_iter().map(at).collect();
        let pool = pool(&clock, &accounts);
        active(&pool, 100).await;
        assert_eq!((pool.status().health(), pool.status().failing), (Health::Good, 0));
        for account in &accounts {
            account.set(Does::Unavailable(None));
        }
        let mut passed = Duration::ZERO;
        until("the pool is not good", async || {
            clock.advance(SECOND);
            passed += SECOND;
            pool.status().health() != Health::Good
        })
        .await;
        let status = pool.status();
        assert!(passed < 52 * MINUTE && status.active == 100, "after {passed:?}: {status}");
        assert_eq!((status.health(), status.failing), (Health::Degraded, 100));
        for account in &accounts {
            account.set(Does::Lives(HOUR));
        }
        clock.advance(MINUTE);
        until("all is good again", async || pool.status().failing == 0).await;
        assert_eq!(pool.status().health(), Health::Good);
    }
}

#[tokio::test]
async fn one_account_that_is_denied_for_ever_leaves_a_pool_of_twenty_good() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let accounts = scripted(20, &log);
    accounts[0].set(Does::Denies);
    let pool = pool(&clock, &accounts);
    active(&pool, 19).await;
    for _ in 0..100 {
        clock.advance(10 * MINUTE);
        until("the others serve", async || pool.status().active == 19).await;
    }
    assert_eq!((pool.status().health(), pool.status().failing), (Health::Good, 1));
}

#[tokio::test]
async fn a_token_in_its_leeway_serves_again_once_its_refresh_has_failed() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let accounts = scripted(1, &log);
    let pool = pool(&clock, &accounts);
    active(&pool, 1).await;
    accounts[0].set(Does::Waits);
    clock.advance(59 * MINUTE + 40 * SECOND);
    let lease = tokio::spawn(pool.lease().into_future());
    until("the caller waits", async || pool.status().waiting == 1).await;
    assert_eq!(pool.status().active, 0);
    accounts[0].set(Does::Unavailable(None));
    lease.await.unwrap().unwrap();
    assert_eq!(pool.status().active, 1);
    clock.advance(20 * SECOND);
    until("the token has expired", async || pool.status().active == 0).await;
}
