use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use jwt_refresh::Session;
use jwt_refresh_testkit::TestServer;

use crate::{World, is_ready, until};

/// Lets `future` go as far as `polls` polls take it, a wake-up before each, and drops it there. Whether it had ended by then.
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
            // The last poll there was: nothing would wake us for another.
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn call(world: &World, session: &Session) -> reqwest::Result<reqwest::Response> {
    let token = session.token().await.unwrap();
    let request = reqwest::Client::new().get(world.server.url("/api/v1/products/1"));
    request.header("authorization", &token).send().await?.error_for_status()
}

async fn survive_a_drop_at_every_await_point(world: World) {
    let session = world.logged_in().await;
    let mut polls = 0;
    loop {
        world.pass(Duration::from_secs(61));
        let before = world.server.stats().refreshes;
        let ended = drop_after(polls, call(&world, &session)).await;
        if polls > 0 {
            until("the exchange has ended without its caller", || is_ready(&session)).await;
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
    survive_a_drop_at_every_await_point(World::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_dropped_at_any_await_point_loses_no_refresh_token_on_many_threads() {
    let server = TestServer::builder().latency(Duration::from_millis(3)).start();
    survive_a_drop_at_every_await_point(World::with(server)).await;
}

#[tokio::test]
async fn a_task_that_is_aborted_while_it_waits_takes_no_one_else_along() {
    let world = World::new();
    let session = world.logged_in().await;
    world.pass(Duration::from_secs(61));
    let ask = || {
        let session = session.clone();
        tokio::spawn(async move { session.token().await })
    };
    let (first, other) = (ask(), ask());
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(other.await.unwrap().unwrap().generation(), 2);
    assert_eq!(world.server.stats().refreshes, 1);
}
