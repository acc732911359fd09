//! The auth server is down, broken, busy or silent for longer than the pause after a failure: live
//! tokens are served to their end, the server is not asked during pauses, and the first success
//! ends the outage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use jwt_refresh::{Policy, Session};
use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};

use crate::relay::Relay;
use crate::scale::{report, scale};
use crate::support::{login_at, until};

const LIFE: Duration = Duration::from_secs(2);
const CALLERS: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is wrong with the server.
#[derive(Clone, Debug)]
enum Outage {
    /// Connections are refused.
    Down,
    Fault(Fault),
}

impl Outage {
    /// How long the server asks to be left alone.
    fn retry_after(&self) -> Duration {
        match self {
            Self::Fault(Fault::TooManyRequests { retry_after }) => *retry_after,
            _ => Duration::ZERO,
        }
    }

    async fn begin(&self, server: &TestServer, relay: &mut Relay) {
        match self {
            Self::Down => relay.close().await,
            Self::Fault(fault) => {
                server.inject(Endpoint::Login, fault.clone(), Times::Always);
                server.inject(Endpoint::Refresh, fault.clone(), Times::Always);
            }
        }
    }

    async fn end(&self, server: &TestServer, relay: &mut Relay) {
        match self {
            Self::Down => relay.reopen().await.expect("the port is free"),
            Self::Fault(_) => server.clear_faults(),
        }
    }
}

/// How many attempts there may be in `time`: the first at once, and each other one after a pause.
/// Pauses double from the first to the longest, are shortened by up to a half at random, and are at
/// least as long as the server asks. Each attempt is one request, unless a refresh is denied, which
/// is followed by a login.
fn max_attempts(time: Duration, retry_after: Duration) -> u64 {
    let mut left = time;
    let mut pause = FIRST_PAUSE;
    let mut attempts = 1;
    while let Some(rest) = left.checked_sub((pause / 2).max(retry_after)) {
        left = rest;
        attempts += 1;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
    attempts
}

/// Asks for tokens until the outage is `over`, and checks that none is refused while a token lives.
/// Returns how many requests were refused, and how many got a token.
async fn ask(session: Session, over: Arc<AtomicBool>) -> (u64, u64) {
    let (mut refused, mut granted) = (0, 0);
    let mut expires = SystemTime::UNIX_EPOCH;
    while !over.load(Ordering::Acquire) {
        match session.token().await {
            Ok(token) => {
                granted += 1;
                expires = token.expires_at().unwrap();
            }
            Err(error) => {
                refused += 1;
                assert!(error.is_transient(), "{error}");
                assert!(SystemTime::now() >= expires, "refused while the token lived: {error}");
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (refused, granted)
}

async fn outlast(outage: Outage, lasts: Duration) {
    let server = TestServer::builder().access_lifetime(LIFE).start();
    let mut relay = Relay::to(server.addr()).await.unwrap();
    let timeout = Duration::from_secs(1);
    let policy = Policy::default().backoff(FIRST_PAUSE, LONGEST_PAUSE).refresh_timeout(timeout).login_timeout(timeout);
    let authenticator = login_at(&relay.url(), server.email(), server.password()).build().unwrap();
    let session = Session::builder(authenticator).policy(policy).login().await.unwrap();

    let begun = Instant::now();
    outage.begin(&server, &mut relay).await;
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(ask(session.clone(), Arc::clone(&over)))).collect();
    tokio::time::sleep(lasts).await;
    let (failures, elapsed) = (session.stats().failures, begun.elapsed());
    let before = server.stats();
    outage.end(&server, &mut relay).await;
    until("there is a new token", async || session.stats().logins + session.stats().refreshes >= 2).await;
    let after = session.stats();
    until("it is served", async || session.stats().expires_in.is_some_and(|life| life > Duration::ZERO)).await;
    over.store(true, Ordering::Release);
    let (mut refused, mut granted) = (0, 0);
    for caller in callers {
        let (no, yes) = caller.await.unwrap();
        (refused, granted) = (refused + no, granted + yes);
    }

    let max_attempts = max_attempts(elapsed, outage.retry_after());
    let stats = server.stats();
    report(
        &format!("5 {outage:?} for {:.1} s", elapsed.as_secs_f64()),
        &format!("{LIFE:?} token served to its end, at most {max_attempts} attempts, ended by the first success"),
        &format!(
            "{failures} attempts ({} requests arrived), {granted} calls served, {refused} refused after the end of the token; \
             then {} logins and {} refreshes in {} requests, {} reuses",
            before.auth_requests - 1,
            stats.logins - 1,
            stats.refreshes,
            stats.since(&before).auth_requests,
            stats.reuses,
        ),
    );
    assert!((1..=max_attempts).contains(&failures), "{failures} attempts");
    // One attempt may have been under way when the outage ended.
    assert!(after.failures <= failures + 1);
    assert!(before.auth_requests - 1 <= failures + 1);
    assert!(refused > 0, "the outage was over before the token");
    assert_eq!((after.logins + after.refreshes, stats.reuses), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_an_outage_the_live_token_is_served_and_the_server_is_asked_only_after_pauses() {
    let outages = [
        Outage::Down,
        Outage::Fault(Fault::DropConnection),
        Outage::Fault(Fault::Status(500)),
        Outage::Fault(Fault::TooManyRequests { retry_after: Duration::from_secs(1) }),
        Outage::Fault(Fault::Hang(Duration::from_secs(3600))),
        Outage::Fault(Fault::Garbage),
    ];
    let lasts = scale(Duration::from_secs(4), Duration::from_secs(60));
    join_all(outages.map(|outage| outlast(outage, lasts))).await;
}
