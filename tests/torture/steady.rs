//! Many tasks, many calls, short tokens: annotated methods never send a dead token, and refresh once a lifetime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use jwt_refresh::prelude::*;
use jwt_refresh_testkit::TestServer;
use tokio::sync::Semaphore;

use crate::scale::{report, scale};
use crate::world::authenticated;

const TASKS: u64 = 64;
const LIFE: Duration = Duration::from_secs(2);
/// One call in so many is sent to the server; all are checked by the clock.
const SAMPLE: u64 = 50;
/// The coarse clock, by which expiry is told, is so far behind at most.
const TICK: Duration = Duration::from_millis(10);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

struct Api {
    http: reqwest::Client,
    server: TestServer,
    session: Session,
    /// Enough to keep the server busy, and few enough that an answer is not long on its way.
    wires: Semaphore,
    dead: AtomicU64,
    rejected: AtomicU64,
    late: AtomicU64,
}

#[refresh_token(token)]
impl Api {
    /// Whether the token was alive when the call began.
    async fn look(&self, begun: SystemTime) -> Result<(), BoxError> {
        if token.expires_at().ok_or("no expiry")? + TICK <= begun {
            self.dead.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn product(&self, begun: SystemTime) -> Result<(), BoxError> {
        let expires = token.expires_at().ok_or("no expiry")?;
        if expires + TICK <= begun {
            self.dead.fetch_add(1, Ordering::Relaxed);
        }
        let answer = self.http.get(self.server.url("/api/v1/products/1")).bearer(&token).send().await?;
        if answer.status() == 401 {
            // A token that died on its way, because the machine took longer than it had to live, was alive when it was sent.
            let counter = if SystemTime::now() < expires { &self.rejected } else { &self.late };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A `pause` after each call that is sent, so that the whole lasts for many lifetimes.
async fn call(api: Arc<Api>, calls: u64, pause: Duration) {
    for number in 0..calls {
        if number % SAMPLE == 0 {
            let wire = api.wires.acquire().await.unwrap();
            api.product(SystemTime::now()).await.unwrap();
            drop(wire);
            tokio::time::sleep(pause).await;
        } else {
            api.look(SystemTime::now()).await.unwrap();
        }
    }
}

async fn keep_calling(calls: u64, pause: Duration) {
    let server = TestServer::builder().access_lifetime(LIFE).start();
    let begun = Instant::now();
    let session = authenticated(&server, server.base_url()).login().await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let [dead, rejected, late] = [const { AtomicU64::new(0) }; 3];
    let api = Arc::new(Api { http, server, session, wires: Semaphore::new(8), dead, rejected, late });
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(call(Arc::clone(&api), calls / TASKS, pause))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    api.session.flush().await;

    let elapsed = begun.elapsed();
    let stats = api.server.stats();
    let budget = elapsed.as_secs_f64() / LIFE.mul_f64(0.88).as_secs_f64() + 1.0;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (dead, rejected, late) = (read(&api.dead), read(&api.rejected), read(&api.late));
    report(
        "7 steady state",
        &format!("no token that lives answered 401, and at most {budget:.1} refreshes"),
        &format!(
            "{calls} calls from {TASKS} tasks in {:.1} s, {} of them sent: {rejected} answered 401, {late} too old on arrival, \
             {dead} dead tokens, {} refreshes, {} logins, {} waits",
            elapsed.as_secs_f64(),
            stats.api_calls + stats.rejected,
            stats.refreshes,
            stats.logins,
            api.session.stats().waits,
        ),
    );
    assert_eq!((dead, rejected, stats.rejected), (0, 0, late));
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let refreshes = stats.refreshes as f64;
    assert!(refreshes <= budget, "{refreshes} refreshes");
    assert_eq!((stats.logins, stats.reuses, stats.failed_refreshes), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_never_send_a_dead_token_and_refresh_once_a_lifetime() {
    let (calls, pause) = scale((64 * 800, Duration::from_millis(300)), (64 * 15_625, Duration::from_millis(180)));
    keep_calling(calls, pause).await;
}
