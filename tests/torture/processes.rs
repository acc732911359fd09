//! Eight processes on one account: together they refresh once a lifetime.

use std::time::{Duration, Instant};

use jwt_refresh_testkit::TestServer;

use crate::child::Message;
use crate::child::session::SessionOrders;
use crate::children::{Children, assert_sound, count_stale, failures, shortest_between};
use crate::scale::{report, scale};
use crate::shared_store::SharedStore;
#[cfg(feature = "redis")]
use crate::support::RedisServer;
use crate::support::{SECOND, until};

const PROCESSES: usize = 8;

/// Starts all processes at once on an empty store, and stops them after `lifetimes` refreshes.
async fn refresh_together(store: SharedStore, life: Duration, lifetimes: u64) {
    let server = TestServer::builder().access_lifetime(life).start();
    let begun = Instant::now();
    let children = Children::start(PROCESSES, SessionOrders::new(&server, store.clone()));
    let is_token = |message: &Message| matches!(message, Message::Token(_));
    children.until_all_sent("every process has a token", begun, is_token).await;
    for refreshes in 1..=lifetimes {
        until("the next refresh", async || server.stats().refreshes >= refreshes).await;
    }
    let (stats, elapsed) = (server.stats(), begun.elapsed());
    let (logs, calls) = children.stop().await;
    let saved = store.saved().await.sequence();
    let end = server.stats();

    report(
        &format!("2 eight processes, {store:?}"),
        "one refresh a lifetime, no reuse, one login, no live token answered 401",
        &format!(
            "{} refreshes in {:.1} s of {life:?} tokens, {} reuses, {} logins, {saved} tokens saved; {calls:?}",
            stats.refreshes,
            elapsed.as_secs_f64(),
            end.reuses,
            end.logins,
        ),
    );
    assert_sound(&logs);
    assert_eq!(failures(&logs), Vec::<&String>::new());
    assert_eq!((end.logins, end.failed_logins, end.reuses, end.failed_refreshes), (1, 0, 0, 0));
    let least = shortest_between(life) * u32::try_from(stats.refreshes - 1).unwrap();
    assert!(least <= elapsed, "{} refreshes in {elapsed:?}, which is less than {least:?}", stats.refreshes);
    // Every token that was issued was saved, unless it had expired when it arrived.
    let stale = count_stale(&logs);
    assert_eq!(saved + stale, end.logins + end.refreshes, "{stale} had expired on arrival");
    assert_eq!((calls.rejected, calls.expired), (0, 0), "{calls:?}");
}

#[tokio::test]
async fn eight_processes_on_one_folder_refresh_once_a_lifetime() {
    let folder = tempfile::tempdir().unwrap();
    refresh_together(SharedStore::Folder(folder.path().to_owned()), SECOND, scale(6, 50)).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn eight_processes_on_one_redis_refresh_once_a_lifetime() {
    let redis = RedisServer::start().await;
    refresh_together(SharedStore::Redis(redis.url()), SECOND, scale(6, 50)).await;
}
