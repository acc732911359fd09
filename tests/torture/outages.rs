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
/// How much longer a busy machine may take for a refresh.
const MACHINE: Duration = Duration::from_millis(500);

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

/// Returns how many attempts there may be in `time`: the first at once, and each other one after
/// its pause. Pauses double from `first_pause` to `longest_pause`, are cut by up to a half at
/// random, and are at least as long as the server asks. Callers without a token end them early:
/// after 0.75 s in the first 30 s, then after 9 % of the outage so far, at most 9 s, cut by up to a
/// quarter. Each attempt is one request, but a refresh that is denied is followed by a login.
fn max_attempts(time: Duration, first_pause: Duration, longest_pause: Duration, retry_after: Duration) -> u64 {
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
    let session = Session::builder(authenticator).policy(policy).connect().await.unwrap();

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

    let max_attempts = max_attempts(elapsed, FIRST_PAUSE, LONGEST_PAUSE, outage.retry_after());
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

/// Lets calls keep coming through an outage that `lasts` so long, with the pauses that a session
/// has by default. Checks how soon after it a call succeeds.
async fn recover(outage: Outage, lasts: Duration) {
    let server = TestServer::builder().access_lifetime(LIFE).start();
    let mut relay = Relay::to(server.addr()).await.unwrap();
    let session = Session::builder(login_at(&relay.url(), server.email(), server.password()).build().unwrap())
        .connect()
        .await
        .unwrap();
    outage.begin(&server, &mut relay).await;
    let begun = Instant::now();
    let calls = async || {
        while session.token().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until("the token has expired", async || session.token().await.is_err()).await;
    let _ = tokio::time::timeout(lasts.saturating_sub(begun.elapsed()), calls()).await;
    let (lasted, failures) = (begun.elapsed(), session.stats().failures);
    outage.end(&server, &mut relay).await;
    let back = Instant::now();
    calls().await;
    let took = back.elapsed();

    let default = Duration::from_millis(500);
    let max_attempts = max_attempts(lasted, default, Duration::from_secs(60), Duration::ZERO);
    let soon = if lasted <= Duration::from_secs(30) { Duration::from_secs(1) } else { lasted / 10 };
    report(
        &format!("5 {outage:?} for {:.1} s, pauses as by default", lasted.as_secs_f64()),
        &format!("a call succeeds {soon:.1?} after it, at most {max_attempts} attempts, no login"),
        &format!("{took:.2?}, {failures} attempts, {} logins", server.stats().logins - 1),
    );
    // The short form runs beside all other tests, so it only bounds the wait.
    assert!(took <= soon + scale(Duration::from_secs(60), MACHINE), "{took:?}");
    assert!((1..=max_attempts).contains(&failures), "{failures} attempts");
    // On a busy machine an outage may begin while a refresh is under way, which is in doubt then.
    assert!(server.stats().logins <= scale(2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_succeed_soon_after_an_outage_and_no_password_is_sent_for_it() {
    let lengths: &[u64] = scale(&[5], &[3, 10, 29, 45, 90]);
    let kinds = [Outage::Down, Outage::Fault(Fault::Status(503))];
    let outages = lengths.iter().flat_map(|&length| kinds.clone().map(|outage| (outage, length)));
    join_all(outages.map(|(outage, length)| recover(outage, Duration::from_secs(length)))).await;
}
