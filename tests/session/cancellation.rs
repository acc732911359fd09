//! Callers that are cancelled while a renewal is under way.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use jwt_refresh_testkit::TestServer;

use crate::is_ready;
use crate::support::{PAST_EXPIRY, World, spawn_caller, until};

/// Polls `future` at most `polls` times, each time after a wake-up, and drops it then. Returns
/// whether it ended before.
async fn drop_after(polls: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            // This was the last poll: nothing would wake the task for another.
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn drop_at_every_await_point(world: World) {
    let session = world.session().connect().await.unwrap();
    let mut polls = 0;
    loop {
        world.pass(PAST_EXPIRY);
        let before = world.server.stats().refreshes;
        let ended = drop_after(polls, world.call(&session)).await;
        if polls > 0 {
            until("the exchange has ended without its caller", async || is_ready(&session)).await;
            assert_eq!(world.server.stats().refreshes, before + 1, "after {polls} polls");
        }
        assert_eq!(world.call(&session).await, 200, "after {polls} polls");
        if ended {
            break;
        }
        polls += 1;
    }
    assert!(polls >= 2, "the caller was never dropped while it waited for the refresh");
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.reuses, stats.failed_refreshes), (1, 0, 0));
}

#[tokio::test]
async fn a_caller_dropped_at_any_await_point_loses_no_refresh_token() {
    drop_at_every_await_point(World::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_dropped_at_any_await_point_loses_no_refresh_token_on_many_threads() {
    let server = TestServer::builder().latency(Duration::from_millis(3)).start();
    drop_at_every_await_point(World::with(server)).await;
}

#[tokio::test]
async fn a_caller_that_is_aborted_while_it_waits_does_not_end_the_renewal_for_the_others() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    world.pass(PAST_EXPIRY);
    let (first, other) = (spawn_caller(&session), spawn_caller(&session));
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(other.await.unwrap().unwrap().generation(), 2);
    assert_eq!(world.server.stats().refreshes, 1);
}
