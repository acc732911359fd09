//! Eight processes on one account, one of which is killed every few hundred milliseconds: the
//! others go on.
//!
//! A refresh token that a killed process has sent may or may not be spent. The session that finds
//! the mark that was made before it was sent logs in instead. So a kill may cost one login, if it
//! falls between the mark and the saving of the answer.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jwt_refresh_testkit::TestServer;

use crate::child::Message;
use crate::child::session::SessionOrders;
use crate::children::{Children, Log, assert_sound, count_stale, failures};
use crate::random::Random;
use crate::scale::{report, scale};
use crate::shared_store::{LEASE_TTL, SharedStore};
#[cfg(feature = "redis")]
use crate::support::RedisServer;
use crate::support::until;

const PROCESSES: usize = 8;
/// What a process logs that finds the mark of a killed one.
const MARK: &str = "a refresh was cut off";

fn is_token(message: &Message) -> bool {
    matches!(message, Message::Token(_))
}

async fn survive_kills(store: SharedStore, kills: u64) {
    // Answers take long, so many kills fall between a request and its answer.
    let life = Duration::from_millis(800);
    let server = TestServer::builder().access_lifetime(life).latency(Duration::from_millis(150)).start();
    let begun = Instant::now();
    let mut children = Children::start(PROCESSES, SessionOrders::new(&server, store.clone()));
    children.until_all_sent("every process has a token", begun, is_token).await;
    assert_eq!(server.stats().logins, 1);

    let mut random = Random::new(kills);
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(100 + random.below(300))).await;
        if kill % 2 == 0 {
            // Kill while an answer is held back: one time in eight, it is the process that waits
            // for it.
            let refreshes = server.stats().refreshes;
            until("the next refresh", async || server.stats().refreshes > refreshes).await;
        }
        children.kill(usize::try_from(random.below(PROCESSES as u64)).unwrap());
        // The entry is not corrupt at any time.
        store.saved().await;
    }
    let last = Instant::now();
    children.until_all_sent("every survivor has a new token", last, is_token).await;
    let (logs, calls) = children.stop().await;
    let (stats, saved) = (server.stats(), store.saved().await.sequence());

    let marks = marks(&logs, begun);
    let pause = longest_pause(&logs);
    let unsaved = (stats.logins + stats.refreshes).saturating_sub(saved + count_stale(&logs));
    report(
        &format!("3 kills, {store:?}"),
        "no corrupt entry, no stuck lock, no reuse, a login only for a mark that a killed process left",
        &format!(
            "{kills} kills in {:.1} s, {} refreshes, {} reuses, {} logins beyond the first, {} marks found, {unsaved} answers \
             lost after the server had spent the token, {:.1} s at most from one new token to the next; {calls:?}{}",
            begun.elapsed().as_secs_f64(),
            stats.refreshes,
            stats.reuses,
            stats.logins - 1,
            marks.len(),
            pause.as_secs_f64(),
            marks.concat(),
        ),
    );
    assert_sound(&logs);
    assert_eq!((stats.reuses, stats.failed_logins, stats.failed_refreshes), (0, 0, 0));
    assert!(stats.logins - 1 <= marks.len() as u64, "a login that no kill explains");
    assert!(marks.len() as u64 <= kills && unsaved <= kills);
    // A lifetime, the lease of a dead process, and ten seconds for a busy machine.
    assert!(pause < life + LEASE_TTL + Duration::from_secs(10), "no process renewed for {pause:?}");
    assert_eq!(failures(&logs), Vec::<&String>::new());
    assert_eq!((calls.rejected, calls.expired), (0, 0), "{calls:?}");
}

/// The longest time for which no process had a new token.
fn longest_pause(logs: &[Log]) -> Duration {
    let messages = logs.iter().flat_map(|log| &log.messages);
    let mut times: Vec<_> = messages.filter(|(_, message)| is_token(message)).map(|(at, _)| *at).collect();
    times.sort();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// Which process found a mark, and when: a line each.
fn marks(logs: &[Log], begun: Instant) -> Vec<String> {
    let mut found: Vec<_> = logs
        .iter()
        .flat_map(|log| log.messages.iter().map(|(at, message)| (*at, log.process, message)))
        .filter_map(|(at, process, message)| match message {
            Message::Warned(what) if what.contains(MARK) => Some((at, process, what.clone())),
            _ => None,
        })
        .collect();
    found.sort_by_key(|(at, ..)| *at);
    let line = |(at, process, what): (Instant, u32, String)| {
        let what = what.rsplit("jwt_refresh: ").next().unwrap_or_default().to_owned();
        format!("\n    at {:.1} s, process {process}: {what}", at.duration_since(begun).as_secs_f64())
    };
    found.into_iter().map(line).collect()
}

/// The files that were set aside because they were corrupt.
fn corrupt_files(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.to_string_lossy().contains("corrupt")).collect()
}

#[tokio::test]
async fn killed_processes_leave_a_folder_that_the_others_can_use() {
    let folder = tempfile::tempdir().unwrap();
    survive_kills(SharedStore::Folder(folder.path().to_owned()), scale(15, 200)).await;
    assert_eq!(corrupt_files(folder.path()), Vec::<PathBuf>::new());
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn killed_processes_leave_a_redis_that_the_others_can_use() {
    let redis = RedisServer::start().await;
    survive_kills(SharedStore::Redis(redis.url()), scale(8, 200)).await;
}
