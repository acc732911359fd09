//! A logout while a refresh is under way: nobody holds a token after it, in no process.

use std::time::{Duration, Instant};

use jwt_refresh::{ErrorKind, Session};
use jwt_refresh_testkit::TestServer;
use tempfile::TempDir;

use crate::child::{Orders, Said};
use crate::fleet::{Fleet, assert_sound};
use crate::scale::{report, scale};
use crate::shelf::Shelf;
use crate::until;

/// A token lives so long, and each answer takes so long.
const LIFE: Duration = Duration::from_secs(1);
const LATENCY: Duration = Duration::from_millis(300);

fn set_up() -> (TestServer, TempDir, Orders) {
    let server = TestServer::builder().access_lifetime(LIFE).latency(LATENCY).start();
    let folder = tempfile::tempdir().unwrap();
    let orders = Orders::new(&server, Shelf::File(folder.path().to_owned()));
    (server, folder, orders)
}

/// What is left in the store, once all that was under way has ended.
async fn assert_nothing_left(shelf: &Shelf) {
    let left = shelf.look().await;
    assert!(left.is_logged_out() && !left.has_tokens(), "tokens came back after the logout");
}

/// Calls until there is no token to be had.
async fn call_on(session: Session) -> ErrorKind {
    loop {
        if let Err(error) = session.token().await {
            return error.kind();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn log_out_here() -> u64 {
    let (server, _folder, orders) = set_up();
    let session = orders.session();
    session.token().await.unwrap();
    let callers: Vec<_> = (0..8).map(|_| tokio::spawn(call_on(session.clone()))).collect();
    until("the server has spent the refresh token", async || server.stats().refreshes == 1).await;
    session.logout().await.unwrap();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), ErrorKind::LoggedOut);
    }
    session.flush().await;
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::LoggedOut);
    assert_nothing_left(&orders.shelf).await;
    server.stats().refreshes
}

/// The refresh is under way in one of two children, and the logout is said in this process.
async fn log_out_from_another_process() -> u64 {
    let (server, _folder, orders) = set_up();
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

#[tokio::test]
async fn a_logout_during_a_refresh_leaves_no_token_in_this_process_or_another() {
    let rounds = scale(2, 20);
    let (mut here, mut elsewhere) = (0, 0);
    for _ in 0..rounds {
        here += log_out_here().await;
        elsewhere += log_out_from_another_process().await;
    }
    report(
        "9 logout during a refresh",
        "no token held or stored after",
        &format!(
            "{rounds} rounds in this process ({here} refreshes spent by the server) and {rounds} with two others \
             ({elsewhere} refreshes): 0 tokens served or stored after"
        ),
    );
}
