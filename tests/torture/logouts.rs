//! A logout while a refresh is under way: after it, no process has a token.

use std::time::{Duration, Instant};

use jwt_refresh::{ErrorKind, Session};
use jwt_refresh_testkit::TestServer;

use crate::child::Message;
use crate::child::session::SessionOrders;
use crate::children::{Children, assert_sound};
use crate::scale::{report, scale};
use crate::shared_store::SharedStore;
#[cfg(feature = "redis")]
use crate::support::RedisServer;
use crate::support::until;

/// How long a token lives, and how long each answer takes.
const LIFE: Duration = Duration::from_secs(1);
const LATENCY: Duration = Duration::from_millis(300);

fn set_up(store: &SharedStore) -> (TestServer, SessionOrders) {
    let server = TestServer::builder().access_lifetime(LIFE).latency(LATENCY).start();
    let orders = SessionOrders::new(&server, store.clone());
    (server, orders)
}

/// Asserts that no token is in the store, after all that was under way has ended.
async fn assert_nothing_left(store: &SharedStore) {
    let saved = store.saved().await;
    assert!(saved.is_logged_out() && !saved.has_tokens(), "tokens came back after the logout");
}

/// Calls until the session is logged out.
async fn call_until_logged_out(session: Session) {
    let begun = Instant::now();
    while !session.token().await.is_err_and(|error| error.kind() == ErrorKind::LoggedOut) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the session is not logged out");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Logs out while callers of the same session wait for a refresh. Returns the number of refreshes.
async fn log_out_here(store: &SharedStore) -> u64 {
    let (server, orders) = set_up(store);
    let session = orders.session();
    until("there is a token", async || session.token().await.is_ok()).await;
    let before = server.stats().refreshes;
    let callers: Vec<_> = (0..8).map(|_| tokio::spawn(call_until_logged_out(session.clone()))).collect();
    until("the server has spent the refresh token", async || server.stats().refreshes > before).await;
    session.logout().await.unwrap();
    for caller in callers {
        caller.await.unwrap();
    }
    session.flush().await;
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    assert_nothing_left(&orders.store).await;
    server.stats().refreshes
}

/// Logs out in this process while one of two child processes refreshes. Returns the number of
/// refreshes.
async fn log_out_from_another_process(store: &SharedStore) -> u64 {
    let (server, orders) = set_up(store);
    let begun = Instant::now();
    let children = Children::start(2, orders.clone());
    let is_token = |message: &Message| matches!(message, Message::Token(_));
    children.until_all_sent("both have a token", begun, is_token).await;
    let session = orders.session();
    let refreshes = server.stats().refreshes;
    until("the server has spent a refresh token", async || server.stats().refreshes > refreshes).await;
    session.logout().await.unwrap();
    let is_logout = |message: &Message| matches!(message, Message::LoggedOut);
    children.until_all_sent("both are logged out", begun, is_logout).await;
    let (logs, _) = children.stop().await;
    assert_sound(&logs);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    assert_nothing_left(&orders.store).await;
    server.stats().refreshes
}

fn report_logouts(store: &str, rounds: u64, (here, elsewhere): (u64, u64)) {
    report(
        &format!("9 logout during a refresh, {store}"),
        "no token held or stored after",
        &format!(
            "{rounds} rounds in this process ({here} refreshes spent by the server) and {rounds} with two others \
             ({elsewhere} refreshes): 0 tokens served or stored after"
        ),
    );
}

#[tokio::test]
async fn a_logout_during_a_refresh_leaves_no_token_in_any_process() {
    let rounds = scale(2, 20);
    let mut refreshes = (0, 0);
    for _ in 0..rounds {
        let [here, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        refreshes.0 += log_out_here(&SharedStore::Folder(here.path().to_owned())).await;
        refreshes.1 += log_out_from_another_process(&SharedStore::Folder(elsewhere.path().to_owned())).await;
    }
    report_logouts("folder", rounds, refreshes);
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_logout_during_a_refresh_leaves_no_token_in_redis() {
    let rounds = scale(2, 20);
    let mut refreshes = (0, 0);
    let redis = RedisServer::start().await;
    let store = SharedStore::Redis(redis.url());
    for _ in 0..rounds {
        refreshes.0 += log_out_here(&store).await;
        redis.run_command::<()>("FLUSHALL").await;
        refreshes.1 += log_out_from_another_process(&store).await;
        redis.run_command::<()>("FLUSHALL").await;
    }
    report_logouts("Redis", rounds, refreshes);
}
