//! What a fleet says when it cannot serve: in its status, in errors, and in the log.

use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;

use jwt_refresh::pool::{Account, AuthWorker, Health, QuarantineCause, RedisPool};
use jwt_refresh::{Error, ErrorKind};

use super::{World, active, holds};
use crate::support::{HOUR, RedisProxy, SECOND, account_login, log, login_at, until};

/// How many auth workers live, as the JSON of the fleet's status says.
async fn auth_workers(pool: &RedisPool) -> Option<u64> {
    serde_json::to_value(pool.status().await.unwrap()).unwrap()["auth_workers"].as_u64()
}

/// The text of an error and of all that led to it.
fn chain(error: &Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[tokio::test]
async fn a_fleet_is_not_good_while_no_auth_worker_lives() {
    let world = World::with_lifetime(2, HOUR).await;
    let worker = world.worker(2);
    let pool = world.pool();
    active(&pool, 2).await;
    until("the worker has told of itself", async || auth_workers(&pool).await == Some(1)).await;
    assert_eq!(pool.status().await.unwrap().health(), Health::Good);
    drop(worker);
    until("the worker is believed dead", async || auth_workers(&pool).await == Some(0)).await;
    let status = pool.status().await.unwrap();
    assert_eq!((status.health(), status.active), (Health::Degraded, 2), "tokens live on: {status}");
    assert_eq!(serde_json::to_value(pool.local_status()).unwrap()["auth_workers"], serde_json::Value::Null);
}

#[tokio::test]
async fn accounts_whose_tokens_have_expired_are_not_active_in_the_status_of_a_fleet() {
    let world = World::with_lifetime(2, SECOND * 3).await;
    let worker = world.worker(2);
    let pool = world.pool();
    active(&pool, 2).await;
    // An account that only a worker which has ended knows, while others live.
    let other = AuthWorker::builder(&world.redis.url(), super::POOL).build().unwrap();
    drop(worker);
    active(&pool, 0).await;
    let status = pool.status().await.unwrap();
    assert_eq!(status.health(), Health::Down, "{status}");
    assert_eq!(status.quarantined_for(QuarantineCause::Expired), 2, "{status}");
    drop(other);
}

#[cfg(feature = "seal")]
#[tokio::test]
async fn the_status_of_a_fleet_sees_tokens_expire_that_it_can_neither_open_nor_read() {
    use jwt_refresh::store::SealKey;

    let world = World::with_lifetime(2, SECOND * 3).await;
    let accounts = (0..2).map(|number| world.account(number));
    let worker = world.builder().accounts(accounts).key(SealKey::generate().unwrap()).build().unwrap();
    let fleet = "jwt-refresh:{catalog}";
    let all_but_tokens = format!("%R~{fleet}:fleet:[^t]* ~{fleet}:member:* allchannels +@all");
    let () = world.redis.run_command(&format!("ACL SETUSER viewer on >password {all_but_tokens}")).await;
    let url = format!("redis://viewer:password@127.0.0.1:{}", world.redis.port);
    let pool = RedisPool::builder(&url, super::POOL).build().unwrap();
    active(&pool, 2).await;
    drop(worker);
    active(&pool, 0).await;
    let status = pool.status().await.unwrap();
    assert_eq!(status.quarantined_for(QuarantineCause::Expired), 2, "{status}");
}

#[tokio::test]
async fn a_caller_without_an_auth_worker_is_told_so_and_the_log_once() {
    log();
    let world = World::new(1).await;
    let name = "unattended";
    let worker = AuthWorker::builder(&world.redis.url(), name).account(world.account(0)).build().unwrap();
    let first = RedisPool::builder(&world.redis.url(), name).build().unwrap();
    active(&first, 1).await;
    drop(worker);
    until("the worker is believed dead", async || auth_workers(&first).await == Some(0)).await;
    first.close(SECOND).await;
    let pool = RedisPool::builder(&world.redis.url(), name).build().unwrap();
    for _ in 0..3 {
        let (short, long) = tokio::join!(pool.lease().within(SECOND), pool.lease().within(SECOND * 2));
        for error in [short, long].map(Result::unwrap_err) {
            assert_eq!(error.kind(), ErrorKind::Busy);
            assert!(error.to_string().contains("no auth worker of the fleet \"unattended\" lives"), "{error}");
        }
    }
    let warned = log().lines().filter(|line| line.contains("no auth worker") && line.contains(name)).count();
    assert_eq!(warned, 1, "{}", log());
    let _worker = AuthWorker::builder(&world.redis.url(), name).account(world.account(0)).build().unwrap();
    drop(pool.lease().within(SECOND * 30).await.unwrap());
}

#[tokio::test]
async fn no_caller_is_told_that_no_auth_worker_lives_while_redis_is_out_of_reach() {
    let world = World::new(1).await;
    // A process of a busy machine may be silent for longer than a second.
    let account = world.account(0).concurrency(1);
    let _worker = world.builder().share_time(SECOND * 10).account(account).build().unwrap();
    let proxy = RedisProxy::before(&world.redis).await;
    let pool = World::pool_behind(&proxy);
    holds(&pool, 1).await;
    let _held = pool.lease().await.unwrap();
    proxy.lose_everything();
    // Longer than it takes to look for an auth worker, and to give that up.
    let error = pool.lease().within(SECOND * 3).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(!error.to_string().contains("no auth worker"), "{error}");
}

/// Waits for a future on a thread without a runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[tokio::test]
async fn a_caller_that_waits_needs_no_runtime() {
    let world = World::new(1).await;
    world.without_coordinator().await;
    let _worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    let waits = pool.lease().within(SECOND);
    let (answer, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || answer.send(block_on(waits.into_future()).map(drop)));
    assert_eq!(ended.await.expect("the caller did not panic").unwrap_err().kind(), ErrorKind::Busy);
}

#[tokio::test]
async fn a_fleet_without_accounts_says_where_it_looked_for_them() {
    let world = World::new(1).await;
    let _worker = world.worker(1);
    let wrong = RedisPool::builder(&world.redis.url(), "catalogue").build().unwrap();
    for request in [wrong.lease(), wrong.lease().within(SECOND / 2)] {
        let error = request.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoAccount);
        assert!(
            error.to_string().contains("no auth worker has registered one under `jwt-refresh:{catalogue}`"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_caller_with_a_deadline_waits_for_the_first_account_of_a_fleet() {
    let world = World::new(1).await;
    let pool = world.pool();
    assert_eq!(pool.lease().await.unwrap_err().kind(), ErrorKind::NoAccount);
    let waits = pool.clone();
    let caller = tokio::spawn(async move { waits.lease().within(SECOND * 30).await });
    tokio::task::yield_now().await;
    let _worker = world.worker(1);
    world.serves(&caller.await.unwrap().unwrap()).await;
}

#[cfg(feature = "seal")]
#[tokio::test]
async fn a_process_that_was_not_given_the_key_is_told_so() {
    use jwt_refresh::store::SealKey;

    let world = World::new(1).await;
    let _worker = world.builder().account(world.account(0)).key(SealKey::generate().unwrap()).build().unwrap();
    let other = RedisPool::builder(&world.redis.url(), super::POOL).key(SealKey::generate().unwrap()).build().unwrap();
    let pool = world.pool();
    active(&pool, 1).await;
    for (pool, why) in [(&pool, "is sealed, and this process was given no key"), (&other, "key")] {
        let error = pool.lease().within(SECOND * 30).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(!error.is_transient());
        assert!(error.to_string().contains("the access token of \"a0\"") && error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn an_error_of_a_fleets_redis_has_the_words_of_redis_and_speaks_of_no_session() {
    let world = World::new(1).await;
    let url = format!("redis://127.0.0.1:{}/99", world.redis.port);
    let error = RedisPool::builder(&url, "catalog").build().unwrap().lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(chain(&error).contains("DB index is out of range"), "{}", chain(&error));
    assert!(!error.to_string().contains("session"), "{error}");
}

#[tokio::test]
async fn a_claim_that_is_too_short_for_the_time_out_is_named() {
    let builder = AuthWorker::builder("redis://127.0.0.1:1", "catalog").timeout(SECOND * 6);
    let error = builder.claim_ttl(SECOND * 11).build().unwrap_err();
    assert!(chain(&error).contains("`claim_ttl`"), "{}", chain(&error));
}

#[tokio::test]
async fn what_is_logged_of_an_accounts_renewal_names_the_account() {
    log();
    let world = World::new(1).await;
    let denied = login_at(world.server.base_url(), "a0", "wrong").build().unwrap();
    let renewed = account_login(&world.server, 0).build().unwrap();
    let accounts = [Account::new("unwelcome", denied), Account::new("emptied", renewed)];
    let _worker = world.builder().accounts(accounts).build().unwrap();
    let logged = |account: &str, what: &str| {
        let account = format!("account={account:?}");
        log().lines().any(|line| line.contains("WARN") && line.contains(what) && line.contains(&account))
    };
    until("the denial is logged", async || logged("unwelcome", "action=\"login\" kind=Denied")).await;
    let pool = world.pool();
    active(&pool, 1).await;
    let lease = pool.lease().within(SECOND * 30).await.unwrap();
    world.redis.run_command::<()>("DEL jwt-refresh/catalog/vault:{emptied}:entry").await;
    lease.rejected();
    until("the loss is logged", async || logged("emptied", "the store was emptied")).await;
}
