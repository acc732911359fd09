//! The auth server is down, broken, busy, silent or mad, for longer than the pause after a failure: what lives is served to its
//! end, the server is left alone in between, and the first success ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use jwt_refresh::{Policy, Session};
use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};

use crate::relay::Relay;
use crate::scale::{report, scale};
use crate::until;
use crate::world::authenticated;

const LIFE: Duration = Duration::from_secs(2);
const CALLERS: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How much longer a busy machine may take for a refresh.
const MACHINE: Duration = Duration::from_millis(500);

/// What is wrong with the server.
#[derive(Clone, Debug)]
enum Trouble {
    /// Connections are refused.
    Down,
    Fault(Fault),
}

impl Trouble {
    /// How long the server asks to be left alone.
    fn retry_after(&self) -> Duration {
        match self {
            Self::Fault(Fault::TooManyRequests { retry_after }) => *retry_after,
            _ => Duration::ZERO,
        }
    }

    async fn strike(&self, server: &TestServer, relay: &mut Relay) {
        match self {
            Self::Down => relay.unplug().await,
            Self::Fault(fault) => {
                server.inject(Endpoint::Login, fault.clone(), Times::Always);
                server.inject(Endpoint::Refresh, fault.clone(), Times::Always);
            }
        }
    }

    async fn pass(&self, server: &TestServer, relay: &mut Relay) {
        match self {
            Self::Down => relay.plug_in().await.expect("the port is free"),
            Self::Fault(_) => server.clear_faults(),
        }
    }
}

/// How many attempts there may be in `time`: the first at once, and each other one after its pause. Pauses double from
/// `first_pause` to `longest_pause`, are cut by up to a half at random, and are as long as the server asks at least. Callers
/// without a token end them early: after 0.75 s in the first 30 s, then after 9 % of the outage so far, at most 9 s, cut by up
/// to a quarter. Each attempt is one request, but for a refresh that is denied, which is followed by a login.
fn budget(time: Duration, first_pause: Duration, longest_pause: Duration, retry_after: Duration) -> u64 {
    let mut passed = Duration::ZERO;
    let mut pause = first_pause;
    let mut attempts = 0;
    while passed <= time {
        attempts += 1;
        let early = if passed <= Duration::from_secs(30) {
            Duration::from_millis(750)
        } else {
            passed.mul_f64(0.09).min(Duration::from_secs(9))
        };
        passed += (pause / 2).min(early.max(first_pause).mul_f64(0.75)).max(retry_after);
        pause = longest_pause.min(pause * 2);
    }
    attempts
}

/// Asks all the time until the outage is `over`, and checks that nobody is refused while the token lives. How many were
/// refused, and how many got a token.
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

async fn outlast(trouble: Trouble, lasts: Duration) {
    let server = TestServer::builder().access_lifetime(LIFE).start();
    let mut relay = Relay::to(server.addr()).await.unwrap();
    let time_out = Duration::from_secs(1);
    let policy =
        Policy::default().backoff(FIRST_PAUSE, LONGEST_PAUSE).refresh_timeout(time_out).login_timeout(time_out);
    let session = authenticated(&server, &relay.url()).policy(policy).login().await.unwrap();

    let begun = Instant::now();
    trouble.strike(&server, &mut relay).await;
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(ask(session.clone(), Arc::clone(&over)))).collect();
    tokio::time::sleep(lasts).await;
    let (failures, elapsed) = (session.stats().failures, begun.elapsed());
    let before = server.stats();
    trouble.pass(&server, &mut relay).await;
    until("there is a new token", async || session.stats().logins + session.stats().refreshes >= 2).await;
    let after = session.stats();
    until("it is served", async || session.stats().expires_in.is_some_and(|life| life > Duration::ZERO)).await;
    over.store(true, Ordering::Release);
    let (mut refused, mut granted) = (0, 0);
    for caller in callers {
        let (no, yes) = caller.await.unwrap();
        (refused, granted) = (refused + no, granted + yes);
    }

    let budget = budget(elapsed, FIRST_PAUSE, LONGEST_PAUSE, trouble.retry_after());
    let stats = server.stats();
    report(
        &format!("5 {trouble:?} for {:.1} s", elapsed.as_secs_f64()),
        &format!("{LIFE:?} token served to its end, at most {budget} attempts, ended by the first success"),
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
    assert!((1..=budget).contains(&failures), "{failures} attempts");
    // One attempt may have been under way when the trouble passed.
    assert!(after.failures <= failures + 1);
    assert!(before.auth_requests - 1 <= failures + 1);
    assert!(refused > 0, "the outage was over before the token");
    assert_eq!((after.logins + after.refreshes, stats.reuses), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_outlasted_on_the_token_there_is_and_does_not_hammer_the_server() {
    let troubles = [
        Trouble::Down,
        Trouble::Fault(Fault::DropConnection),
        Trouble::Fault(Fault::Status(500)),
        Trouble::Fault(Fault::TooManyRequests { retry_after: Duration::from_secs(1) }),
        Trouble::Fault(Fault::Hang(Duration::from_secs(3600))),
        Trouble::Fault(Fault::Garbage),
    ];
    let lasts = scale(Duration::from_secs(4), Duration::from_secs(60));
    join_all(troubles.map(|trouble| outlast(trouble, lasts))).await;
}

/// Calls keep coming through an outage of that length, with the pauses that a session has by default. Checks how soon after it
/// a call succeeds.
async fn recover(trouble: Trouble, lasts: Duration) {
    let server = TestServer::builder().access_lifetime(LIFE).start();
    let mut relay = Relay::to(server.addr()).await.unwrap();
    let session = authenticated(&server, &relay.url()).login().await.unwrap();
    trouble.strike(&server, &mut relay).await;
    let begun = Instant::now();
    let calls = async || {
        while session.token().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until("the token has expired", async || session.token().await.is_err()).await;
    let _ = tokio::time::timeout(lasts.saturating_sub(begun.elapsed()), calls()).await;
    let (outage, failures) = (begun.elapsed(), session.stats().failures);
    trouble.pass(&server, &mut relay).await;
    let back = Instant::now();
    calls().await;
    let took = back.elapsed();

    let default = Duration::from_millis(500);
    let budget = budget(outage, default, Duration::from_secs(60), Duration::ZERO);
    let soon = if outage <= Duration::from_secs(30) { Duration::from_secs(1) } else { outage / 10 };
    report(
        &format!("5 {trouble:?} for {:.1} s, pauses as by default", outage.as_secs_f64()),
        &format!("a call succeeds {soon:.1?} after it, at most {budget} attempts, no login"),
        &format!("{took:.2?}, {failures} attempts, {} logins", server.stats().logins - 1),
    );
    assert!(took <= soon + MACHINE, "{took:?}");
    assert!((1..=budget).contains(&failures), "{failures} attempts");
    assert_eq!(server.stats().logins, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_succeed_soon_after_an_outage_and_no_password_is_sent_for_it() {
    let lengths: &[u64] = scale(&[5], &[3, 10, 29, 45, 90]);
    let troubles = [Trouble::Down, Trouble::Fault(Fault::Status(503))];
    let outages = lengths.iter().flat_map(|&length| troubles.clone().map(|trouble| (trouble, length)));
    join_all(outages.map(|(trouble, length)| recover(trouble, Duration::from_secs(length)))).await;
}
