//! What people do with a pool by hand: they look at one account, take it out and put it back, and
//! wait until enough accounts serve.

use std::error::Error as _;
use std::time::Duration;

use jwt_refresh::pool::{Account, Limit, Pool, PoolAccount, QuarantineCause};
use jwt_refresh::{ErrorKind, ManualClock};
use tokio::time::timeout;

use crate::scripted::{Accounts, Does};
use crate::support::{HOUR, MINUTE, SECOND, until};
use crate::{active, is_pending, run_other_tasks};

const NEVER: Duration = Duration::MAX;

#[tokio::test]
async fn the_figures_of_an_account_say_how_it_is() {
    let accounts = Accounts::new(2);
    let pool = accounts.pool_of(|account| account.rate(10, SECOND).burst(3));
    active(&pool, 2).await;
    assert!(pool.remove("a1") && pool.account("a1").is_err());
    let account = pool.account("a0").unwrap();
    assert_eq!(account.name(), "a0");
    let (first, second) = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    drop(second);
    let stats = account.stats().unwrap();
    assert_eq!((stats.calls, stats.held, stats.failures, stats.strikes), (2, 1, 0, 0));
    assert_eq!((stats.remaining_calls, stats.expires_in), (Some(1), Some(HOUR)));
    assert!(stats.quarantine.is_none() && stats.last_error.is_none(), "{stats:?}");

    first.rate_limited(None);
    let stats = account.stats().unwrap();
    assert_eq!((stats.held, stats.strikes, stats.remaining_calls), (0, 1, Some(0)));

    accounts.all[0].set(Does::Denies);
    accounts.clock.advance(61 * MINUTE);
    until("a login is denied", async || account.stats().unwrap().failures > 0).await;
    let stats = account.stats().unwrap();
    let quarantine = stats.quarantine.unwrap();
    assert_eq!((quarantine.cause, stats.expires_in), (QuarantineCause::Denied, None));
    let error = stats.last_error.unwrap().to_string();
    assert!(error.contains("denied"), "{error}");
    assert_eq!(quarantine.error.unwrap().to_string(), error);

    accounts.all[0].set(Does::Lives(HOUR));
    accounts.clock.advance(2 * MINUTE);
    active(&pool, 1).await;
    let stats = account.stats().unwrap();
    assert!(stats.last_error.is_none() && stats.failures == 0 && stats.strikes == 0, "{stats:?}");

    assert!(pool.remove("a0"));
    assert!(account.stats().is_err());
}

#[tokio::test]
async fn what_remains_of_limits_is_told_in_calls_and_in_what_they_cost() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool();
    active(&pool, 1).await;
    let remaining = |pool: &Pool| {
        let stats = pool.account("a0").unwrap().stats().unwrap();
        (stats.remaining_calls, stats.remaining_cost)
    };
    assert_eq!(remaining(&pool), (None, None));
    let pool = accounts.pool_of(|account| {
        account
            .limit(Limit::daily(100))
            .limit(Limit::daily_cost(5000))
            .limit(Limit::requests(30, SECOND).strict().shared("org"))
    });
    active(&pool, 1).await;
    drop(pool.lease().cost(1200).await.unwrap());
    assert_eq!(remaining(&pool), (Some(29), Some(3800)));
    accounts.clock.advance(2 * SECOND);
    assert_eq!(remaining(&pool), (Some(30), Some(3800)));
}

#[tokio::test]
async fn an_account_is_taken_out_by_hand_for_a_time_and_says_why() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool();
    active(&pool, 1).await;
    let account = pool.account("a0").unwrap();
    let held = pool.lease().await.unwrap();
    account.quarantine("its owner is on leave", 10 * MINUTE).unwrap();
    let error = pool.lease().await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::NoAccount, Some(10 * MINUTE)));
    assert!(error.to_string().contains("taken out by hand"), "{error}");
    assert!(error.source().unwrap().to_string().contains("its owner is on leave"), "{error:?}");
    // What else happens to the account does not bring it back.
    held.rate_limited(Some(MINUTE));
    assert_eq!(account.stats().unwrap().quarantine.unwrap().returns_in, Some(10 * MINUTE));
    accounts.clock.advance(9 * MINUTE);
    assert_eq!(pool.status().active, 0);
    accounts.clock.advance(MINUTE);
    active(&pool, 1).await;
    pool.lease().await.unwrap();
}

#[tokio::test]
async fn an_account_that_is_out_for_ever_stays_logged_in_and_returns_when_it_is_lifted() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool();
    active(&pool, 1).await;
    let account = pool.account("a0").unwrap();
    account.quarantine("maintenance", NEVER).unwrap();
    let one = &pool.status().quarantined[0];
    assert_eq!((one.cause, one.returns_in), (QuarantineCause::ByHand, None));
    let error = pool.lease().await.unwrap_err().to_string();
    assert!(error.contains("none returns by itself"), "{error}");
    assert!(pool.status().to_string().contains("never"), "{}", pool.status());
    for refreshes in 1..5 {
        accounts.clock.advance(55 * MINUTE);
        until("its token is refreshed", async || accounts.log.begun().len() > refreshes).await;
        until("the refresh has ended", async || accounts.log.running() == 0).await;
    }
    assert_eq!(pool.status().active, 0);
    account.lift().unwrap();
    assert_eq!(pool.status().active, 1);
    pool.lease().await.unwrap();
}

#[tokio::test]
async fn lifting_ends_a_rest_and_has_a_denied_account_log_in_at_once() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool();
    active(&pool, 1).await;
    let account = pool.account("a0").unwrap();
    pool.lease().await.unwrap().rate_limited(Some(5 * MINUTE));
    assert_eq!(pool.status().active, 0);
    account.lift().unwrap();
    pool.lease().await.unwrap().quota_used_up(None);
    account.lift().unwrap();
    drop(pool.lease().await.unwrap());

    accounts.all[0].set(Does::Denies);
    accounts.clock.advance(61 * MINUTE);
    until("a login is denied", async || account.stats().unwrap().failures > 0).await;
    accounts.all[0].set(Does::Lives(HOUR));
    account.lift().unwrap();
    pool.lease().await.unwrap();
}

#[tokio::test]
async fn a_drained_account_gives_no_new_lease_and_drains_once_those_held_have_ended() {
    let accounts = Accounts::new(2);
    let pool = accounts.pool();
    active(&pool, 2).await;
    let held = pool.lease().await.unwrap();
    let account = pool.account(held.account()).unwrap();
    let mut drains = Box::pin(account.drain(MINUTE));
    for _ in 0..4 {
        assert_ne!(pool.lease().await.unwrap().account(), held.account());
    }
    assert!(is_pending(&mut drains));
    drop(held);
    drains.await.unwrap();
    assert_eq!(account.stats().unwrap().quarantine.unwrap().cause, QuarantineCause::Drained);
    accounts.clock.advance(100 * HOUR);
    run_other_tasks().await;
    assert!(account.stats().unwrap().quarantine.is_some());
    account.lift().unwrap();
    active(&pool, 2).await;
}

#[tokio::test]
async fn a_drain_that_takes_too_long_says_how_many_leases_are_held() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool();
    active(&pool, 1).await;
    let _held = [pool.lease().await.unwrap(), pool.lease().await.unwrap()];
    let account = pool.account("a0").unwrap();
    let drains = tokio::spawn(account.drain(5 * SECOND));
    until("it is drained", async || pool.status().active == 0).await;
    run_other_tasks().await;
    accounts.clock.advance(5 * SECOND);
    let error = drains.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("2 leases of the account \"a0\" are held after 5.0s"), "{error}");
    assert_eq!(pool.status().active, 0, "it stays out of service");
}

#[tokio::test]
async fn a_program_can_wait_until_enough_accounts_serve() {
    let accounts = Accounts::new(10);
    accounts.all.iter().for_each(|account| account.set(Does::Waits));
    let pool = accounts.pool();
    let mut ready = Box::pin(pool.wait_ready(3, HOUR));
    assert!(is_pending(&mut ready));
    accounts.all[0].set(Does::Lives(HOUR));
    active(&pool, 1).await;
    assert!(is_pending(&mut ready));
    accounts.all[1..3].iter().for_each(|account| account.set(Does::Lives(HOUR)));
    ready.await.unwrap();
    pool.wait_ready(0, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn the_error_of_a_pool_that_is_not_ready_says_how_many_serve_and_why_the_others_do_not() {
    let accounts = Accounts::new(4);
    accounts.all[1].set(Does::Denies);
    accounts.all[2].set(Does::Denies);
    accounts.all[3].set(Does::Waits);
    let pool = accounts.pool();
    until("all but one have ended", async || accounts.log.running() == 1 && pool.status().active == 1).await;
    until("two are denied", async || pool.status().quarantined.iter().filter(|one| one.error.is_some()).count() == 2)
        .await;
    let waits = tokio::spawn({
        let pool = pool.clone();
        async move { pool.wait_ready(3, 10 * SECOND).await }
    });
    run_other_tasks().await;
    accounts.clock.advance(10 * SECOND);
    let error = waits.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    let text = error.to_string();
    assert!(text.contains("1 of 4 accounts serve after 10.0s, and not 3"), "{text}");
    assert!(text.contains("1 not logged in yet") && text.contains("2 login denied (\"a1\": "), "{text}");
}

#[tokio::test]
async fn a_name_that_the_pool_does_not_have_is_an_error_that_says_so() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool();
    let error = pool.account("nobody").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    assert!(error.to_string().contains("no account \"nobody\""), "{error}");

    active(&pool, 1).await;
    let account = pool.account("a0").unwrap();
    assert!(pool.remove("a0"));
    pool.add(accounts.all[0].account()).unwrap();
    active(&pool, 1).await;
    let errors = [
        account.stats().unwrap_err(),
        account.quarantine("it is another one", HOUR).unwrap_err(),
        account.drain(HOUR).await.unwrap_err(),
        account.lift().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::NoAccount);
        assert!(error.to_string().contains("\"a0\" was removed"), "{error}");
    }
    assert_eq!(pool.status().active, 1, "the account that has the name now serves");
}

#[tokio::test]
async fn in_a_closed_pool_no_account_is_taken_out_or_put_back() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool();
    active(&pool, 1).await;
    let account = pool.account("a0").unwrap();
    let held = pool.lease().await.unwrap();
    drop(pool.close(SECOND));
    let errors = [
        account.quarantine("it is too late", HOUR).unwrap_err(),
        account.drain(HOUR).await.unwrap_err(),
        account.lift().unwrap_err(),
    ];
    assert_eq!(errors.map(|error| error.kind()), [ErrorKind::Closed; 3]);
    assert_eq!(account.stats().unwrap().held, 1);
    drop(held);
    assert_eq!(pool.account("a0").unwrap().stats().unwrap().held, 0);
}

/// A pool with one API key.
fn key_pool(clock: &ManualClock) -> Pool {
    Pool::builder().clock(clock).account(Account::api_key("a0", "secret")).build().unwrap()
}

fn cause(account: &PoolAccount) -> Option<QuarantineCause> {
    account.stats().unwrap().quarantine.map(|quarantine| quarantine.cause)
}

#[tokio::test]
async fn a_rejected_key_that_is_lifted_serves_until_a_call_since_then_is_rejected() {
    let clock = ManualClock::new();
    let pool = key_pool(&clock);
    let account = pool.account("a0").unwrap();
    let (first, late) = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
    first.rejected();
    assert_eq!(cause(&account), Some(QuarantineCause::KeyRejected));
    account.lift().unwrap();
    late.rejected();
    assert_eq!(cause(&account), None, "the call was sent before the key was mended");
    let lease = pool.lease().await.unwrap();
    assert_eq!(lease.expose(), "secret");
    assert!(lease.expires_at().is_none());
    lease.rejected();
    assert_eq!(cause(&account), Some(QuarantineCause::KeyRejected));
    let error = Pool::add(&pool, Account::api_key("other", "secret")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "it is the same key still: {error}");
}

#[tokio::test]
async fn a_quarantine_by_hand_shortens_no_other_one() {
    let clock = ManualClock::new();
    let pool = key_pool(&clock);
    let account = pool.account("a0").unwrap();
    let pass_quarantine = || {
        account.quarantine("for a moment", MINUTE).unwrap();
        clock.advance(MINUTE);
        cause(&account)
    };
    pool.lease().await.unwrap().rate_limited(Some(10 * MINUTE));
    assert_eq!(pass_quarantine(), Some(QuarantineCause::RateLimited));
    account.lift().unwrap();
    account.drain(SECOND).await.unwrap();
    assert_eq!(pass_quarantine(), Some(QuarantineCause::Drained));
    account.lift().unwrap();
    pool.lease().await.unwrap().rejected();
    assert_eq!(pass_quarantine(), Some(QuarantineCause::KeyRejected));
    account.lift().unwrap();
    account.quarantine("for long", NEVER).unwrap();
    assert_eq!(pass_quarantine(), None, "one by hand is set anew");
}

#[tokio::test]
async fn an_account_that_was_denied_pauses_to_the_end_also_if_it_was_taken_out_by_hand_meanwhile() {
    let accounts = Accounts::new(1);
    accounts.all[0].set(Does::Denies);
    let pool = accounts.pool();
    let account = pool.account("a0").unwrap();
    until("its login is denied", async || cause(&account) == Some(QuarantineCause::Denied)).await;
    let pause = account.stats().unwrap().quarantine.unwrap().returns_in.unwrap();
    account.quarantine("for a moment", SECOND).unwrap();
    accounts.clock.advance(SECOND);
    let quarantine = account.stats().unwrap().quarantine.unwrap();
    let ends = quarantine.returns_in.map(|left| left + SECOND);
    assert_eq!((quarantine.cause, ends), (QuarantineCause::Expired, Some(pause)));
    assert!(quarantine.error.unwrap().to_string().contains("denied"));
    assert_eq!(accounts.log.begun().len(), 1);
    accounts.all[0].set(Does::Lives(HOUR));
    accounts.clock.advance(pause);
    active(&pool, 1).await;
}

#[tokio::test]
async fn a_token_that_was_rejected_as_issued_gets_a_fair_new_try_when_it_is_lifted() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool();
    let account = pool.account("a0").unwrap();
    for _ in 0..2 {
        active(&pool, 1).await;
        let first = pool.lease().await.unwrap();
        accounts.all[0].set(Does::Waits);
        first.rejected();
        assert_eq!(cause(&account), Some(QuarantineCause::Rejected));
        assert!(account.stats().unwrap().quarantine.unwrap().returns_in.is_none(), "it is renewed first");
        accounts.all[0].set(Does::Lives(HOUR));
        pool.lease().await.unwrap().rejected();
        assert!(account.stats().unwrap().quarantine.unwrap().returns_in.is_some());
        account.lift().unwrap();
    }
    active(&pool, 1).await;
}

#[tokio::test]
async fn a_drained_account_keeps_its_token_and_its_callers_are_told() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool_of(|account| account.concurrency(1));
    let held = pool.lease().await.unwrap();
    let waits = tokio::spawn(pool.lease().into_future());
    until("a caller waits", async || pool.status().waiting == 1).await;
    let account = pool.account("a0").unwrap();
    drop(account.drain(HOUR));
    let error = timeout(MINUTE, waits).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    assert!(error.to_string().contains("drained"), "{error}");
    assert_eq!(held.expose(), "access");
    held.succeeded();
    drop(held);
    account.lift().unwrap();
    pool.lease().await.unwrap();
    assert_eq!(accounts.log.begun(), ["login a0"]);
}

#[tokio::test]
async fn a_key_that_is_rejected_while_its_account_drains_leaves_it_drained() {
    let clock = ManualClock::new();
    let pool = key_pool(&clock);
    let account = pool.account("a0").unwrap();
    let held = pool.lease().await.unwrap();
    let drains = account.drain(HOUR);
    held.rejected();
    drop(held);
    timeout(MINUTE, drains).await.unwrap().unwrap();
    let quarantine = account.stats().unwrap().quarantine.unwrap();
    assert_eq!(quarantine.cause, QuarantineCause::Drained);
    assert!(quarantine.error.unwrap().to_string().contains("rejected with 401"));
}

#[tokio::test]
async fn a_drain_ends_at_once_when_the_account_is_lifted_or_removed() {
    let accounts = Accounts::new(1);
    let pool = accounts.pool();
    let _held = pool.lease().await.unwrap();
    let account = pool.account("a0").unwrap();
    let mut drains = Box::pin(account.drain(HOUR));
    assert!(is_pending(&mut drains));
    account.lift().unwrap();
    let error = timeout(MINUTE, drains).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
    assert!(error.to_string().contains("\"a0\" was lifted"), "{error}");

    let mut drains = Box::pin(account.drain(HOUR));
    assert!(is_pending(&mut drains));
    assert!(pool.remove("a0"));
    let error = timeout(MINUTE, drains).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_accounts_that_is_dropped_leaves_nothing_behind() {
    let accounts = Accounts::new(2);
    accounts.all[1].set(Does::Waits);
    let pool = accounts.pool();
    let mut events = pool.events();
    for _ in 0..100 {
        assert!(is_pending(&mut Box::pin(pool.wait_ready(2, NEVER))));
    }
    accounts.all[1].set(Does::Lives(HOUR));
    timeout(MINUTE, pool.wait_ready(2, NEVER)).await.unwrap().unwrap();
    drop(pool);
    // The events end with the pool, which a wait that was left behind would keep.
    timeout(MINUTE, async { while events.next().await.is_some() {} }).await.unwrap();
}
