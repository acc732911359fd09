//! The store is down: the session does what the policy says, nothing hangs, and no session
//! refreshes unguarded unless the policy says so.

use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use jwt_refresh::store::{RedisStore, StoreFailure};
use jwt_refresh::{ErrorKind, Policy, Session};
use jwt_refresh_testkit::{Stats, TestServer};

use crate::caller::Caller;
use crate::scale::{report, scale};
use crate::support::{RedisServer, login, until};

const LIFE: Duration = Duration::from_secs(2);
/// The time-out of each operation of the store.
const TIMEOUT: Duration = Duration::from_millis(300);
/// No call takes longer than this, on a busy machine either.
const LONGEST_CALL: Duration = Duration::from_secs(10);

/// What happens to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    /// It is killed, and restarted empty.
    Lost,
    /// It accepts commands, and answers none for a while.
    Paused,
}

/// The outcomes of the calls while the store was down.
#[derive(Debug, Default)]
struct Outcomes {
    served: u64,
    refused: u64,
    /// Refused while a token lived that could have been served.
    refused_alive: u64,
    /// Served after another was refused.
    served_again: u64,
    longest: Duration,
}

async fn call_for(time: Duration, caller: &mut Caller) -> Outcomes {
    let (begun, mut outcomes) = (Instant::now(), Outcomes::default());
    let mut expires = SystemTime::UNIX_EPOCH;
    while begun.elapsed() < time {
        let asked = Instant::now();
        match caller.call().await {
            Ok(token) => {
                outcomes.served += 1;
                outcomes.served_again += u64::from(outcomes.refused > 0);
                expires = token.expires_at().unwrap();
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Store, "{error}");
                outcomes.refused += 1;
                outcomes.refused_alive += u64::from(SystemTime::now() < expires);
            }
        }
        outcomes.longest = outcomes.longest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    outcomes
}

fn session(server: &TestServer, redis: &RedisServer, answer: StoreFailure) -> Session {
    let store = RedisStore::builder(&redis.url()).timeout(TIMEOUT).lease_ttl(TIMEOUT * 2).build().unwrap();
    // Tokens are renewed early, so that the session finds the store down while they live.
    let policy = Policy::default().refresh_ahead(0.4).store_failure(answer).backoff(TIMEOUT, TIMEOUT * 2);
    Session::builder(login(server).build().unwrap()).policy(policy).store(store, "ada").build()
}

async fn outlast(outage: Outage, answer: StoreFailure, lasts: Duration) {
    let mut redis = RedisServer::start().await;
    let server = TestServer::builder().access_lifetime(LIFE).start();
    let mut caller = Caller::new(session(&server, &redis, answer), server.base_url());
    caller.call().await.unwrap();
    match outage {
        Outage::Lost => redis.stop(),
        Outage::Paused => redis.run_command(&format!("CLIENT PAUSE {}", lasts.as_millis() + 500)).await,
    }
    let outcomes = call_for(lasts, &mut caller).await;
    let during = server.stats();
    if matches!(outage, Outage::Lost) {
        redis.run().await;
    }
    until("the session can renew again", async || caller.call().await.is_ok()).await;
    // After two more lifetimes, it still can.
    call_for(LIFE * 2, &mut caller).await;
    caller.session.flush().await;

    let after = server.stats();
    report(
        &format!("4 {answer:?}, store {outage:?} for {lasts:?}"),
        "what the policy says, no reuse, one login, and one more if the store has lost the entry",
        &format!(
            "{outcomes:?}; {} refreshes meanwhile, {} in all, {} logins, {} reuses; {:?}",
            during.refreshes, after.refreshes, after.logins, after.reuses, caller.calls,
        ),
    );
    assert_policy(answer, &outcomes, &during);
    assert!(outcomes.longest < LONGEST_CALL, "a call took {:?}", outcomes.longest);
    // The trace of a refresh by another process may have been lost with the entry. Tokens that the
    // session got unguarded are known to no other process.
    let logins = if outage == Outage::Lost && answer != StoreFailure::RefreshUnguarded { 2 } else { 1 };
    assert_eq!((after.logins, after.reuses, after.failed_refreshes), (logins, 0, 0));
    assert_eq!((caller.calls.rejected, caller.calls.expired), (0, 0));
}

fn assert_policy(answer: StoreFailure, outcomes: &Outcomes, during: &Stats) {
    match answer {
        StoreFailure::Fail => assert!(outcomes.served_again == 0 && outcomes.refused > 0, "{outcomes:?}"),
        StoreFailure::ServeWhatLives => assert!(outcomes.refused_alive == 0 && outcomes.refused > 0, "{outcomes:?}"),
        _ => assert_eq!(outcomes.refused, 0),
    }
    let is_unguarded = answer == StoreFailure::RefreshUnguarded;
    assert_eq!(during.refreshes > 0, is_unguarded, "{} refreshes while the store was down", during.refreshes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_store_is_handled_as_the_policy_says() {
    let lasts = scale(Duration::from_secs(4), Duration::from_secs(30));
    let answers = [StoreFailure::Fail, StoreFailure::ServeWhatLives, StoreFailure::RefreshUnguarded];
    let each = |answer| [outlast(Outage::Lost, answer, lasts), outlast(Outage::Paused, answer, lasts)];
    join_all(answers.into_iter().flat_map(each)).await;
}
