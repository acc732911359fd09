//! Exchanges that hang hold up no other account.

use std::time::Duration;

use jwt_refresh::pool::{Pool, PoolBuilder, PoolPolicy};
use jwt_refresh::{ManualClock, Policy};

use crate::active;
use crate::scripted::{Does, Log, Scripted};
use crate::support::{HOUR, MINUTE, SECOND, until};

const LIFE: Duration = MINUTE;

/// A policy of 16 exchanges at once, whose time-outs do not end what hangs before the test ends.
fn policy() -> PoolPolicy {
    let tokens = Policy::default().login_timeout(HOUR).refresh_timeout(HOUR);
    PoolPolicy::default().exchanges(16).tokens(tokens)
}

fn builder(clock: &ManualClock) -> PoolBuilder {
    Pool::builder().clock(clock).policy(policy())
}

fn scripted(count: usize, name: &str, does: Does, log: &Log) -> Vec<Scripted> {
    (0..count).map(|number| Scripted::new(format!("{name}{number}"), does, log)).collect()
}

/// Takes a lease in each second of a quarter of an hour, and returns how many failed. Nothing may
/// take longer than is needed for a refresh.
async fn failed_leases(pool: &Pool, clock: &ManualClock, calls: u32) -> u32 {
    let mut failed = 0;
    for _ in 0..calls {
        let lease = tokio::time::timeout(MINUTE, pool.lease().into_future()).await;
        failed += u32::from(!matches!(lease, Ok(Ok(_))));
        clock.advance(3 * SECOND);
    }
    failed
}

#[tokio::test]
async fn logins_that_hang_make_no_lease_of_a_healthy_account_fail() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let healthy = Scripted::new("healthy", Does::Lives(LIFE), &log);
    let pool = builder(&clock).accounts([healthy.account()]).build().unwrap();
    active(&pool, 1).await;
    for hanging in scripted(40, "hanging", Does::Hangs, &log) {
        pool.add(hanging.account()).unwrap();
    }
    until("as many logins hang as may", async || log.running() == 12).await;
    assert_eq!(failed_leases(&pool, &clock, 263).await, 0, "of 263");
}

#[tokio::test]
async fn logins_that_hang_again_and_again_do_not_keep_an_account_from_joining() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let hanging = scripted(40, "hanging", Does::Unavailable(None), &log);
    let pool = builder(&clock).accounts(hanging.iter().map(Scripted::account)).build().unwrap();
    until("all have failed", async || log.begun().len() == 40 && log.running() == 0).await;
    for hanging in &hanging {
        hanging.set(Does::Hangs);
    }
    log.take();
    clock.advance(MINUTE);
    until("as many logins hang as may", async || log.running() == 8).await;
    pool.add(Scripted::new("healthy", Does::Lives(LIFE), &log).account()).unwrap();
    active(&pool, 1).await;
    assert_eq!(failed_leases(&pool, &clock, 50).await, 0);
}

#[tokio::test]
async fn revocations_that_hang_make_no_lease_of_a_healthy_account_fail() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let removed = scripted(40, "removed", Does::Lives(HOUR * 100), &log);
    let healthy = Scripted::new("healthy", Does::Lives(LIFE), &log);
    let accounts = removed.iter().map(Scripted::account).chain([healthy.account()]);
    let pool = builder(&clock).accounts(accounts).build().unwrap();
    active(&pool, 41).await;
    for (number, removed) in removed.iter().enumerate() {
        removed.set(Does::Hangs);
        assert!(pool.remove(&format!("removed{number}")));
    }
    until("revocations hang", async || log.running() > 0).await;
    assert_eq!(failed_leases(&pool, &clock, 100).await, 0);
}

#[tokio::test]
async fn logins_that_hang_again_and_again_do_not_keep_a_removed_account_from_being_revoked() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let hanging = scripted(40, "hanging", Does::Unavailable(None), &log);
    let removed = Scripted::new("removed", Does::Lives(HOUR), &log);
    let accounts = hanging.iter().map(Scripted::account).chain([removed.account()]);
    let pool = builder(&clock).accounts(accounts).build().unwrap();
    until("all have failed", async || log.begun().len() == 41 && log.running() == 0).await;
    for hanging in &hanging {
        hanging.set(Does::Hangs);
    }
    log.take();
    clock.advance(MINUTE);
    until("logins hang", async || log.running() >= 8).await;
    assert!(pool.remove("removed"));
    until("the token is revoked", async || log.begun().contains(&"revoke removed".to_owned())).await;
}

#[tokio::test]
async fn the_token_that_expires_first_is_refreshed_first_and_before_any_login() {
    let (clock, log) = (ManualClock::new(), Log::default());
    let new = |name, life: u32| Scripted::new(name, Does::Lives(life * SECOND), &log);
    let (blocks, late) = (new("blocks", 100), new("late", 1000));
    let pool = Pool::builder().clock(&clock).policy(policy().exchanges(1));
    let pool = pool.accounts([blocks.account(), late.account()]).build().unwrap();
    active(&pool, 2).await;
    blocks.set(Does::Waits);
    clock.advance(94 * SECOND);
    until("the refresh holds the only place", async || log.running() == 1).await;
    blocks.set(Does::Lives(HOUR));
    until("it has ended", async || log.running() == 0).await;
    // `late` is due from 800 s on, and expires at 1000 s. `soon` is due later, and expires earlier.
    clock.advance(600 * SECOND);
    let soon = new("soon", 250);
    pool.add(soon.account()).unwrap();
    active(&pool, 3).await;
    let first = new("first", 10);
    first.set(Does::Waits);
    pool.add(first.account()).unwrap();
    until("a login holds the only place", async || log.running() == 1).await;
    let login = new("login", 10);
    pool.add(login.account()).unwrap();
    clock.advance(236 * SECOND);
    log.take();
    first.set(Does::Lives(HOUR));
    until("all are done", async || log.begun().len() == 3).await;
    assert_eq!(log.begun(), ["refresh soon", "refresh late", "login login"]);
}
