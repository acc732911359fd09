//! Callers that are dropped at random points: nothing that the server issued is lost.

use std::time::Duration;

use futures_util::FutureExt as _;
use jwt_refresh::{Session, TokenProvider};
use jwt_refresh_testkit::TestServer;

use crate::dice::Dice;
use crate::scale::{report, scale};
use crate::world::World;

/// Each wave of callers finds an expired token, and is dropped while it waits for the next.
async fn storm(waves: u64, callers: u64) {
    let server = TestServer::builder().latency(Duration::from_millis(1)).start();
    let mut world = World::new(server);
    let session = world.logged_in().await;
    let mut dice = Dice::new(waves);
    let mut dropped = 0;
    for _ in 0..waves {
        world.pass(Duration::from_secs(61));
        let wave: Vec<_> =
            (0..callers).map(|_| tokio::spawn(drop_somewhere(session.clone(), dice.roll(u64::MAX >> 34)))).collect();
        for caller in &wave {
            // Some tasks die before they are first polled, some while they wait, some of old age.
            if dice.roll(3) == 0 {
                caller.abort();
            }
        }
        if dice.roll(3) == 0 {
            // The answer comes late, and is still good for half a minute.
            world.pass(Duration::from_secs(30));
        }
        for caller in wave {
            dropped += u64::from(!caller.await.unwrap_or(false));
        }
        session.flush().await;
    }
    world.pass(Duration::from_secs(61));
    let token = session.token().await.unwrap();

    let stats = world.server.stats();
    report(
        "1 cancellation storm",
        "one login, no reuse, every token that was issued is held",
        &format!(
            "{} callers, {dropped} of them dropped, over {} lifetimes: {} logins, {} refreshes, {} reuses, generation {}",
            waves * callers,
            waves + 1,
            stats.logins,
            stats.refreshes,
            stats.reuses,
            token.generation(),
        ),
    );
    assert_eq!((stats.logins, stats.reuses, stats.failed_refreshes, stats.failed_logins), (1, 0, 0, 0));
    assert_eq!(token.generation(), stats.logins + stats.refreshes);
    assert!(stats.refreshes <= waves + 1);
    assert!(dropped * 4 > waves * callers, "too few callers were dropped for this to mean anything");
}

/// Asks for a token, and gives up by a random limit of time or of polls. Whether it got one.
async fn drop_somewhere(session: Session, number: u64) -> bool {
    let mut dice = Dice::new(number);
    let limit = Duration::from_micros(dice.roll(4000));
    match dice.roll(4) {
        0 => tokio::time::timeout(limit, session.token()).await.is_ok_and(|token| token.is_ok()),
        1 => tokio::time::timeout(limit, session.fresh()).await.is_ok_and(|token| token.is_ok()),
        2 => poll_at_most(dice.roll(3), session.token()).await,
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

async fn poll_at_most<T>(polls: u64, future: impl Future<Output = Result<T, jwt_refresh::Error>>) -> bool {
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
async fn callers_that_are_dropped_anywhere_lose_no_token() {
    storm(scale(100, 1000), scale(30, 100)).await;
}
