//! A logout while a refresh is under way: nobody holds a token after it, in no process.

use std::time::{Duration, Instant};

use jwt_refresh::{ErrorKind, Session};
use jwt_refresh_testkit::TestServer;

use crate::child::{Orders, Said};
use crate::fleet::{Fleet, assert_sound};
use crate::scale::{report, scale};
use crate::shelf::Shelf;
use crate::until;

/// A token lives so long, and each answer takes so long.
const LIFE: Duration = Duration::from_secs(1);
const LATENCY: Duration = Duration::from_millis(300);

fn set_up(shelf: &Shelf) -> (TestServer, Orders) {
    let server = TestServer::builder().access_lifetime(LIFE).latency(LATENCY).start();
    let orders = Orders::new(&server, shelf.clone());
    (server, orders)
}

/// What is left in the store, once all that was under way has ended.
async fn assert_nothing_left(shelf: &Shelf) {
    let left = shelf.look().await;
    assert!(left.is_logged_out() && !left.has_tokens(), "tokens came back after the logout");
}

/// Calls until the session is logged out.
async fn call_on(session: Session) {
    let begun = Instant::now();
    while !session.token().await.is_err_and(|error| error.kind() == ErrorKind::LoggedOut) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the session is not logged out");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn log_out_here(shelf: &Shelf) -> u64 {
    let (server, orders) = set_up(shelf);
    let session = orders.session();
    until("there is a token", async || session.token().await.is_ok()).await;
    let before = server.stats().refreshes;
    let callers: Vec<_> = (0..8).map(|_| tokio::spawn(call_on(session.clone()))).collect();
    until("the server has spent the refresh token", async || server.stats().refreshes > before).await;
    session.logout().await.unwrap();
    for caller in callers {
        caller.await.unwrap();
    }
    session.flush().await;
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    assert_nothing_left(&orders.shelf).await;
    server.stats().refreshes
}

/// The refresh is under way in one of two children, and the logout is said in this process.
async fn log_out_from_another_process(shelf: &Shelf) -> u64 {
    let (server, orders) = set_up(shelf);
    let begun = Instant::now();
    let fleet = Fleet::start(2, orders.clone());
    fleet.all_have("both have a token", begun, |said| matches!(said, Said::Token(_))).await;
    let session = orders.session();
    let refreshes = server.stats().refreshes;
    until("the server has spent a refresh token", async || server.stats().refreshes > refreshes).await;
    session.logout().await.unwrap();
    fleet.all_have("both are logged out", begun, |said| matches!(said, Said::LoggedOut)).await;
    let (logs, _) = fleet.stop().await;
    // Among what none may say: that it got a token after it was logged out.
    assert_sound(&logs);
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    assert_nothing_left(&orders.shelf).await;
    server.stats().refreshes
}

fn tell(shelf: &str, rounds: u64, (here, elsewhere): (u64, u64)) {
    report(
        &format!("9 logout during a refresh, {shelf}"),
        "no token held or stored after",
        &format!(
            "{rounds} rounds in this process ({here} refreshes spent by the server) and {rounds} with two others \
             ({elsewhere} refreshes): 0 tokens served or stored after"
        ),
    );
}

#[tokio::test]
async fn a_logout_during_a_refresh_leaves_no_token_in_this_process_or_another() {
    let rounds = scale(2, 20);
    let mut refreshes = (0, 0);
    for _ in 0..rounds {
        let [here, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        refreshes.0 += log_out_here(&Shelf::File(here.path().to_owned())).await;
        refreshes.1 += log_out_from_another_process(&Shelf::File(elsewhere.path().to_owned())).await;
    }
    tell("folder", rounds, refreshes);
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_logout_during_a_refresh_leaves_no_token_on_one_redis() {
    let rounds = scale(2, 20);
    let mut refreshes = (0, 0);
    let redis = crate::redis_server::Server::start().await;
    let shelf = Shelf::Redis(redis.url());
    for _ in 0..rounds {
        refreshes.0 += log_out_here(&shelf).await;
        redis.say::<()>("FLUSHALL").await;
        refreshes.1 += log_out_from_another_process(&shelf).await;
        redis.say::<()>("FLUSHALL").await;
    }
    tell("Redis", rounds, refreshes);
}
