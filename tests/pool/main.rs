//! The pool against a real server: limits held, callers served in turn, accounts that are refused kept out and brought back.

mod attribute;
mod bad_input;
mod exchanges;
mod limits;
mod quarantine;
mod queue;
mod removal;
mod selection;
mod throughput;

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use jwt_refresh::pool::{Account, Lease, Pool, PoolBuilder, PoolPolicy};
use jwt_refresh::{HttpAuthenticator, ManualClock};
use jwt_refresh_testkit::TestServer;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A server with accounts `a0`, `a1`, …, and a clock for pools on it, which moves with the server's and only when told to.
struct World {
    server: TestServer,
    clock: ManualClock,
    passed: Mutex<Duration>,
}

impl World {
    fn new(accounts: usize) -> Self {
        let builder = TestServer::builder().access_lifetime(Duration::from_secs(3600));
        let builder = (0..accounts).fold(builder, |server, account| server.account(&format!("a{account}"), "secret"));
        Self { server: builder.start(), clock: ManualClock::new(), passed: Mutex::default() }
    }

    /// The `number`th account, as it has to log in.
    fn account(&self, number: usize) -> Account {
        let name = format!("a{number}");
        let login = HttpAuthenticator::builder(self.server.url("/api/auth/login"))
            .refresh_url(self.server.url("/api/auth/refresh"))
            .field("email", &name)
            .secret_field("password", "secret")
            .build()
            .unwrap();
        Account::new(name, login)
    }

    /// A pool of `number` accounts on this clock.
    fn pool(&self, number: usize) -> PoolBuilder {
        Pool::builder().clock(&self.clock).accounts((0..number).map(|number| self.account(number)))
    }

    fn clock_now(&self) -> SystemTime {
        jwt_refresh::Clock::from(&self.clock).now()
    }

    fn pass(&self, time: Duration) {
        self.server.advance(time);
        let mut passed = self.passed.lock().unwrap();
        *passed += time;
        self.clock.advance(time);
        self.clock.step_to(SystemTime::now() + *passed);
    }

    /// What the API answers to a call with the lease.
    async fn call(&self, lease: &Lease) -> u16 {
        let request = reqwest::Client::new().get(self.server.url("/api/v1/products/1"));
        request.header("authorization", lease.token()).send().await.unwrap().status().as_u16()
    }
}

/// Waits until so many accounts serve.
async fn active(pool: &Pool, number: usize) {
    until(&format!("{number} accounts serve"), || pool.status().active == number).await;
}

/// Waits until `done`, which other tasks bring about.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Lets the other tasks do what they can do without time going by.
async fn quiet() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn policy() -> PoolPolicy {
    PoolPolicy::default()
}

/// Polls once: whether the future still waits.
fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
    futures_util::FutureExt::now_or_never(future).is_none()
}
