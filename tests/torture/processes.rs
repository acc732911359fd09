//! Eight processes on one account: they refresh as one.

use std::time::{Duration, Instant};

use jwt_refresh_testkit::TestServer;

use crate::child::{Orders, Said};
use crate::fleet::{Fleet, all, assert_sound, shortest_between};
use crate::scale::{report, scale};
use crate::shelf::Shelf;
use crate::until;

const PROCESSES: usize = 8;

/// All start at once on an empty store, and go on until the server has counted so many refreshes.
async fn refresh_as_one(shelf: Shelf, life: Duration, lifetimes: u64) {
    let server = TestServer::builder().access_lifetime(life).start();
    let begun = Instant::now();
    let fleet = Fleet::start(PROCESSES, Orders::new(&server, shelf.clone()));
    fleet.all_have("every process has a token", begun, |said| matches!(said, Said::Token(_))).await;
    for refreshes in 1..=lifetimes {
        until("the next refresh", async || server.stats().refreshes >= refreshes).await;
    }
    let (stats, elapsed) = (server.stats(), begun.elapsed());
    let (logs, tally) = fleet.stop().await;
    let issue = shelf.look().await.issue();
    let end = server.stats();

    report(
        &format!("2 eight processes, {shelf:?}"),
        "one refresh a lifetime, no reuse, one login, no token that lives answered 401",
        &format!(
            "{} refreshes in {:.1} s of {life:?} tokens, {} reuses, {} logins, {issue} tokens saved; {tally:?}",
            stats.refreshes,
            elapsed.as_secs_f64(),
            end.reuses,
            end.logins,
        ),
    );
    assert_sound(&logs);
    let failures = all(&logs, |said| if let Said::Failed(what) = said { Some(what) } else { None });
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!((end.logins, end.failed_logins, end.reuses, end.failed_refreshes), (1, 0, 0, 0));
    let least = shortest_between(life) * u32::try_from(stats.refreshes - 1).unwrap();
    assert!(least <= elapsed, "{} refreshes in {elapsed:?}, which is less than {least:?}", stats.refreshes);
    // Every token that was issued was saved: none was asked for in vain.
    let stale = all(&logs, |said| matches!(said, Said::Stale).then_some(())).len() as u64;
    assert_eq!(issue + stale, end.logins + end.refreshes, "{stale} were too old on arrival");
    assert_eq!((tally.rejected, tally.dead), (0, 0), "{tally:?}");
}

#[tokio::test]
async fn eight_processes_on_one_folder_refresh_as_one() {
    let folder = tempfile::tempdir().unwrap();
    refresh_as_one(Shelf::File(folder.path().to_owned()), Duration::from_secs(1), scale(6, 50)).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn eight_processes_on_one_redis_refresh_as_one() {
    let redis = crate::redis_server::Server::start().await;
    refresh_as_one(Shelf::Redis(redis.url()), Duration::from_secs(1), scale(6, 50)).await;
}
