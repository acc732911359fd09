//! The store is down: what the policy says is done, nothing hangs, and nobody refreshes unguarded who was not told to.

use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use jwt_refresh::store::{RedisStore, StoreFailure};
use jwt_refresh::{ErrorKind, Policy, Session};
use jwt_refresh_testkit::{Stats, TestServer};

use crate::caller::Caller;
use crate::redis_server::Server;
use crate::scale::{report, scale};
use crate::world::authenticated;

const LIFE: Duration = Duration::from_secs(2);
/// For each question to the store.
const TIME_OUT: Duration = Duration::from_millis(300);
/// No call takes longer; a busy machine may need some of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What happens to the Redis.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It is killed, and comes back with nothing in it.
    Lost,
    /// It takes questions, and answers none for a while.
    Paused,
}

/// What the calls came to, while the store was down.
#[derive(Debug, Default)]
struct Came {
    served: u64,
    refused: u64,
    /// Of those, while a token lived that could have been served.
    refused_alive: u64,
    /// Served after one was refused.
    served_again: u64,
    longest: Duration,
}

async fn call_for(time: Duration, caller: &mut Caller) -> Came {
    let (begun, mut came) = (Instant::now(), Came::default());
    let mut expires = SystemTime::UNIX_EPOCH;
    while begun.elapsed() < time {
        let asked = Instant::now();
        match caller.call(true).await {
            Ok(token) => {
                came.served += 1;
                came.served_again += u64::from(came.refused > 0);
                expires = token.expires_at().unwrap();
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Store, "{error}");
                came.refused += 1;
                came.refused_alive += u64::from(SystemTime::now() < expires);
            }
        }
        came.longest = came.longest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    came
}

fn session(server: &TestServer, redis: &Server, answer: StoreFailure) -> Session {
    let store = RedisStore::builder(&redis.url()).timeout(TIME_OUT).lease_ttl(TIME_OUT * 2).build().unwrap();
    // So long before its end a token is renewed that the store is found to be down while it lives.
    let policy = Policy::default().refresh_ahead(0.4).store_failure(answer).backoff(TIME_OUT, TIME_OUT * 2);
    authenticated(server, server.base_url()).policy(policy).store(store, "ada").build()
}

async fn outlast(trouble: Trouble, answer: StoreFailure, lasts: Duration) {
    let mut redis = Server::start().await;
    let server = TestServer::builder().access_lifetime(LIFE).start();
    let mut caller = Caller::new(session(&server, &redis, answer), server.base_url());
    caller.call(true).await.unwrap();
    match trouble {
        Trouble::Lost => redis.stop(),
        Trouble::Paused => redis.say(&format!("CLIENT PAUSE {}", lasts.as_millis() + 500)).await,
    }
    let came = call_for(lasts, &mut caller).await;
    let during = server.stats();
    if matches!(trouble, Trouble::Lost) {
        redis.run().await;
    }
    let back = Instant::now();
    while caller.call(true).await.is_err() {
        assert!(back.elapsed() < Duration::from_secs(60), "the session does not come back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Two lifetimes on, it goes on as ever.
    call_for(LIFE * 2, &mut caller).await;
    caller.session.flush().await;

    let after = server.stats();
    report(
        &format!("4 {answer:?}, store {trouble:?} for {lasts:?}"),
        "what the policy says, no reuse, one login",
        &format!(
            "{came:?}; {} refreshes meanwhile, {} in all, {} logins, {} reuses; {:?}",
            during.refreshes, after.refreshes, after.logins, after.reuses, caller.tally,
        ),
    );
    assert_policy(answer, &came, &during);
    assert!(came.longest < PATIENCE, "a call took {:?}", came.longest);
    assert_eq!((after.logins, after.reuses, after.failed_refreshes), (1, 0, 0));
    assert_eq!((caller.tally.rejected, caller.tally.dead), (0, 0));
}

fn assert_policy(answer: StoreFailure, came: &Came, during: &Stats) {
    match answer {
        StoreFailure::Fail => assert!(came.served_again == 0 && came.refused > 0, "{came:?}"),
        StoreFailure::ServeWhatLives => assert!(came.refused_alive == 0 && came.refused > 0, "{came:?}"),
        _ => assert_eq!(came.refused, 0),
    }
    let is_unguarded = answer == StoreFailure::RefreshUnguarded;
    assert_eq!(during.refreshes > 0, is_unguarded, "{} refreshes while the store was down", during.refreshes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_is_met_as_the_policy_says() {
    let lasts = scale(Duration::from_secs(4), Duration::from_secs(30));
    let answers = [StoreFailure::Fail, StoreFailure::ServeWhatLives, StoreFailure::RefreshUnguarded];
    let each = |answer| [outlast(Trouble::Lost, answer, lasts), outlast(Trouble::Paused, answer, lasts)];
    join_all(answers.into_iter().flat_map(each)).await;
}
