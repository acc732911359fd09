//! Eight processes on one account, one of which is killed every few hundred milliseconds: the others go on.
//!
//! A refresh token that was sent by a process that is dead is spent, or not: nobody can know. Whoever finds the mark that was
//! made before it was sent logs in. So a kill may cost one login, if it strikes between the mark and the saving of the answer.

use std::time::{Duration, Instant};

use jwt_refresh_testkit::TestServer;

use crate::child::{Orders, Said};
use crate::dice::Dice;
use crate::fleet::{Fleet, Log, all, assert_sound};
use crate::scale::{report, scale};
use crate::shelf::{LEASE, Shelf};
use crate::until;

const PROCESSES: usize = 8;
/// What a process says that finds the mark of a dead one.
const MARK: &str = "a refresh was cut off";

async fn survive_kills(shelf: Shelf, kills: u64) {
    // Long answers, so that many kills strike while one is on its way.
    let life = Duration::from_millis(800);
    let server = TestServer::builder().access_lifetime(life).latency(Duration::from_millis(150)).start();
    let begun = Instant::now();
    let mut fleet = Fleet::start(PROCESSES, Orders::new(&server, shelf.clone()));
    fleet.all_have("every process has a token", begun, |said| matches!(said, Said::Token(_))).await;
    assert_eq!(server.stats().logins, 1);

    let mut dice = Dice::new(kills);
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(100 + dice.roll(300))).await;
        if kill % 2 == 0 {
            // While an answer is held back: one in eight of these strikes the process that waits for it.
            let refreshes = server.stats().refreshes;
            until("the next refresh", async || server.stats().refreshes > refreshes).await;
        }
        let victim = usize::try_from(dice.roll(PROCESSES as u64)).unwrap();
        fleet.kill(victim);
        // Whole at any time.
        shelf.look().await;
    }
    let last = Instant::now();
    fleet.all_have("every survivor has gone on", last, |said| matches!(said, Said::Token(_))).await;
    let (logs, tally) = fleet.stop().await;
    let (stats, saved) = (server.stats(), shelf.look().await.issue());

    let marks = marks(&logs, begun);
    let pause = longest_pause(&logs);
    let stale = all(&logs, |said| matches!(said, Said::Stale).then_some(())).len() as u64;
    let unsaved = (stats.logins + stats.refreshes).saturating_sub(saved + stale);
    report(
        &format!("3 kills, {shelf:?}"),
        "no torn entry, no stuck lock, no reuse, a login only for a mark that a killed process left",
        &format!(
            "{kills} kills in {:.1} s, {} refreshes, {} reuses, {} logins beyond the first, {} marks found, {unsaved} answers \
             lost after the server had spent the token, {:.1} s at most from one new token to the next; {tally:?}{}",
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
    // A lifetime, a dead process's lease, and ten seconds in which this machine may have had other things to do.
    assert!(pause < life + LEASE + Duration::from_secs(10), "nobody renewed for {pause:?}");
    let failures = all(&logs, |said| if let Said::Failed(what) = said { Some(what) } else { None });
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!((tally.rejected, tally.dead), (0, 0), "{tally:?}");
}

/// The longest time for which no process had a new token.
fn longest_pause(logs: &[Log]) -> Duration {
    let said = logs.iter().flat_map(|log| &log.said);
    let mut times: Vec<_> = said.filter(|(_, said)| matches!(said, Said::Token(_))).map(|(at, _)| *at).collect();
    times.sort();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// Who found a mark, and when.
fn marks(logs: &[Log], begun: Instant) -> Vec<String> {
    let mut found: Vec<_> = logs
        .iter()
        .flat_map(|log| log.said.iter().map(|(at, said)| (*at, log.process, said)))
        .filter_map(|(at, process, said)| match said {
            Said::Warned(what) if what.contains(MARK) => Some((at, process, what.clone())),
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

/// What was kept aside because it was no entry.
fn corrupt_files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.to_string_lossy().contains("corrupt")).collect()
}

#[tokio::test]
async fn killed_processes_leave_a_folder_that_the_others_go_on_with() {
    let folder = tempfile::tempdir().unwrap();
    survive_kills(Shelf::File(folder.path().to_owned()), scale(15, 200)).await;
    assert_eq!(corrupt_files(folder.path()), Vec::<std::path::PathBuf>::new());
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn killed_processes_leave_a_redis_that_the_others_go_on_with() {
    let redis = crate::redis_server::Server::start().await;
    survive_kills(Shelf::Redis(redis.url()), scale(8, 200)).await;
}
