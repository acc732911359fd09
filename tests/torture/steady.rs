//! Many tasks, many calls, short-lived tokens: annotated methods never send an expired token, and
//! refresh once a lifetime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use jwt_refresh::prelude::*;
use jwt_refresh_testkit::TestServer;
use tokio::sync::Semaphore;

use crate::caller::TICK;
use crate::scale::{report, scale};
use crate::support::{BoxError, http_client, login};

const TASKS: u64 = 64;
const LIFE: Duration = Duration::from_secs(2);
/// One call in 50 is sent to the server. The expiry of its token is checked in each call.
const SAMPLE: u64 = 50;

struct Api {
    http: reqwest::Client,
    server: TestServer,
    session: Session,
    /// Limits how many requests are under way, so that no answer is late.
    connections: Semaphore,
    expired: AtomicU64,
    rejected: AtomicU64,
    late: AtomicU64,
}

#[refresh_token(token)]
impl Api {
    /// Checks that the token had not expired when the call began.
    async fn check_expiry(&self, begun: SystemTime) -> Result<(), BoxError> {
        if token.expires_at().ok_or("no expiry")? + TICK <= begun {
            self.expired.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn product(&self, begun: SystemTime) -> Result<(), BoxError> {
        let expires = token.expires_at().ok_or("no expiry")?;
        if expires + TICK <= begun {
            self.expired.fetch_add(1, Ordering::Relaxed);
        }
        let answer = self.http.get(self.server.url("/api/v1/products/1")).bearer(&token).send().await?;
        if answer.status() == 401 {
            // A token that expired on the way, because the machine was busy, was alive when it was
            // sent.
            let counter = if SystemTime::now() < expires { &self.rejected } else { &self.late };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Pauses after each call that is sent, so that the calls last for many lifetimes.
async fn call(api: Arc<Api>, calls: u64, pause: Duration) {
    for number in 0..calls {
        if number % SAMPLE == 0 {
            let connection = api.connections.acquire().await.unwrap();
            api.product(SystemTime::now()).await.unwrap();
            drop(connection);
            tokio::time::sleep(pause).await;
        } else {
            api.check_expiry(SystemTime::now()).await.unwrap();
        }
    }
}

async fn keep_calling(calls: u64, pause: Duration) {
    let server = TestServer::builder().access_lifetime(LIFE).start();
    let begun = Instant::now();
    let session = Session::builder(login(&server).build().unwrap()).connect().await.unwrap();
    let [expired, rejected, late] = [const { AtomicU64::new(0) }; 3];
    let connections = Semaphore::new(8);
    let api = Arc::new(Api { http: http_client(), server, session, connections, expired, rejected, late });
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(call(Arc::clone(&api), calls / TASKS, pause))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    api.session.flush().await;

    let elapsed = begun.elapsed();
    let stats = api.server.stats();
    let budget = elapsed.as_secs_f64() / LIFE.mul_f64(0.88).as_secs_f64() + 1.0;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (expired, rejected, late) = (read(&api.expired), read(&api.rejected), read(&api.late));
    report(
        "7 steady state",
        &format!("no live token answered 401, and at most {budget:.1} refreshes"),
        &format!(
            "{calls} calls from {TASKS} tasks in {:.1} s, {} of them sent: {rejected} answered 401, {late} expired on \
             the way, {expired} handed out expired, {} refreshes, {} logins, {} waits",
            elapsed.as_secs_f64(),
            stats.api_calls + stats.rejected,
            stats.refreshes,
            stats.logins,
            api.session.stats().waits,
        ),
    );
    assert_eq!((expired, rejected, stats.rejected), (0, 0, late));
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let refreshes = stats.refreshes as f64;
    assert!(refreshes <= budget, "{refreshes} refreshes");
    assert_eq!((stats.logins, stats.reuses, stats.failed_refreshes), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_send_no_expired_token_and_refresh_once_a_lifetime() {
    let (calls, pause) = scale((64 * 800, Duration::from_millis(300)), (64 * 15_625, Duration::from_millis(180)));
    keep_calling(calls, pause).await;
}
