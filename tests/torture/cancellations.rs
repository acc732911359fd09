//! Callers that are cancelled at random points: no token that the server issued is lost.

use std::time::Duration;

use futures_util::FutureExt as _;
use jwt_refresh::{Error, Session, TokenProvider};
use jwt_refresh_testkit::TestServer;

use crate::random::Random;
use crate::scale::{report, scale};
use crate::support::{PAST_EXPIRY, SECOND, World};

/// Starts `rounds` times as many callers as `callers` says. They find the token expired, and some
/// are cancelled while they wait for the next.
async fn cancel_callers(rounds: u64, callers: u64) {
    let world = World::with(TestServer::builder().latency(Duration::from_millis(1)).start());
    let session = world.session().connect().await.unwrap();
    let mut random = Random::new(rounds);
    let mut cancelled = 0;
    for _ in 0..rounds {
        world.pass(PAST_EXPIRY);
        let mut spawn = |_| tokio::spawn(ask(session.clone(), random.below(u64::MAX >> 34)));
        let tasks: Vec<_> = (0..callers).map(&mut spawn).collect();
        for task in &tasks {
            // Some tasks are aborted before they are first polled, some while they wait, some after
            // their end.
            if random.below(3) == 0 {
                task.abort();
            }
        }
        if random.below(3) == 0 {
            // The answer comes late: its token lives for another half a minute.
            world.pass(30 * SECOND);
        }
        for task in tasks {
            cancelled += u64::from(!task.await.unwrap_or(false));
        }
        session.flush().await;
    }
    world.pass(PAST_EXPIRY);
    let token = session.token().await.unwrap();

    let stats = world.server.stats();
    report(
        "1 cancelled callers",
        "one login, no reuse, every token that was issued is held",
        &format!(
            "{} callers, {cancelled} of them cancelled, over {} lifetimes: {} logins, {} refreshes, {} reuses, generation {}",
            rounds * callers,
            rounds + 1,
            stats.logins,
            stats.refreshes,
            stats.reuses,
            token.generation(),
        ),
    );
    assert_eq!((stats.logins, stats.reuses, stats.failed_refreshes, stats.failed_logins), (1, 0, 0, 0));
    assert_eq!(token.generation(), stats.logins + stats.refreshes);
    assert!(stats.refreshes <= rounds + 1);
    assert!(cancelled * 4 > rounds * callers, "too few callers were cancelled for this to mean anything");
}

/// Asks for a token, and gives up after a random time or number of polls. Returns whether it got
/// one.
async fn ask(session: Session, seed: u64) -> bool {
    let mut random = Random::new(seed);
    let limit = Duration::from_micros(random.below(4000));
    match random.below(4) {
        0 => tokio::time::timeout(limit, session.token()).await.is_ok_and(|token| token.is_ok()),
        1 => tokio::time::timeout(limit, session.fresh()).await.is_ok_and(|token| token.is_ok()),
        2 => poll_at_most(random.below(3), session.token()).await,
        _ => {
            tokio::time::sleep(limit / 4).await;
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => false,
                token = session.token() => token.is_ok(),
            }
        }
    }
}

async fn poll_at_most<T>(polls: u64, future: impl Future<Output = Result<T, Error>>) -> bool {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        if let Some(result) = future.as_mut().now_or_never() {
            return result.is_ok();
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_are_cancelled_at_random_points_lose_no_token() {
    cancel_callers(scale(100, 1000), scale(30, 100)).await;
}
