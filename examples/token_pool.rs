//! A pool of 45 accounts behind one API struct, with a dashboard. Each account may make 10 calls a
//! second, two accounts cannot log in, and one uses up its quota after a while. The pool deals with
//! all of this, and the callers only call a method.
//!
//! ```sh
//! cargo run --example token_pool
//! ```

use std::io::{IsTerminal, Write, stdout};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::TestServer;
use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};

type Error = Box<dyn std::error::Error + Send + Sync>;

const SECOND: Duration = Duration::from_secs(1);

// This is the part that you write: a struct for an API, and what its answers say about an account.

struct Catalog {
    http: reqwest::Client,
    base: String,
    /// Holds the accounts, keeps their tokens fresh, and chooses an account for each call.
    pool: Pool,
}

// Before the body of a method runs, the attribute waits for a lease of the pool: an account that
// may be called now. `token` in the body is the lease, and it ends when the body does.
#[refresh_token(from = self.pool, token, retry)]
impl Catalog {
    /// `token` is a lease of the account that can serve soonest. `retry` reports a 401 to the pool
    /// by itself. Other answers that concern the account are reported by the body.
    async fn product(&self, id: u64) -> Result<String, Error> {
        let answer = self.http.get(format!("{}/api/v1/products/{id}", self.base)).bearer(&token).send().await?;
        match answer.status() {
            StatusCode::TOO_MANY_REQUESTS => token.rate_limited(retry_after(&answer)),
            // This API answers 403 with `Retry-After` if the account's quota is used up.
            StatusCode::FORBIDDEN if retry_after(&answer).is_some() => token.quota_used_up(retry_after(&answer)),
            _ => {}
        }
        Ok(answer.error_for_status()?.text().await?)
    }
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn account(server: &TestServer, name: &str) -> Result<Account, Error> {
    let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .refresh_url(server.url("/api/auth/refresh"))
        .field("email", name)
        .secret_field("password", "secret")
        .build()?;
    Ok(Account::new(name, login).rate(10, SECOND).concurrency(4))
}

// The rest shows the pool at work, with a server on this machine that limits each account to its
// rate.

const ACCOUNTS: usize = 45;
const CALLERS: u64 = 120;
const RUN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let names: Vec<_> = (1..=ACCOUNTS).map(|number| format!("worker{number:02}@example.com")).collect();
    let server = TestServer::builder().access_lifetime(8 * SECOND).rate_limit(10, SECOND);
    let server = names.iter().fold(server, |server, name| server.account(name, "secret")).start();
    // Neither of these two accounts can log in.
    server.set_password(&names[6], "changed by somebody");
    server.ban(&names[22]);

    let accounts = names.iter().map(|name| account(&server, name)).collect::<Result<Vec<_>, _>>()?;
    let pool = Pool::builder().accounts(accounts).build()?;
    let catalog = Catalog { http: reqwest::Client::new(), base: server.base_url().to_owned(), pool: pool.clone() };
    let (catalog, begun) = (Arc::new(catalog), Instant::now());
    let callers: Vec<_> = (0..CALLERS).map(|id| tokio::spawn(call(Arc::clone(&catalog), id, begun + RUN))).collect();

    let mut screen = Screen { is_terminal: stdout().is_terminal(), lines: 0 };
    while begun.elapsed() < RUN {
        tokio::time::sleep(screen.pause()).await;
        let (time, calls) = (begun.elapsed(), server.stats().api_calls);
        if time > RUN / 2 {
            server.use_up_quota(&names[30], 3600 * SECOND);
        }
        screen.show(&format!("{:>4.1} s   {calls} calls\n{}", time.as_secs_f64(), pool.status()))?;
    }
    let mut failed = 0;
    for caller in callers {
        failed += caller.await?;
    }
    summary(&server, &pool, failed, begun.elapsed());
    Ok(())
}

/// Calls as often as possible until `end`. Returns how many calls failed.
async fn call(catalog: Arc<Catalog>, id: u64, end: Instant) -> u64 {
    let mut failed = 0;
    while Instant::now() < end {
        failed += u64::from(catalog.product(id).await.is_err());
    }
    failed
}

/// Prints texts. On a terminal each text replaces the one before. Elsewhere they are printed less
/// often, one below the other.
struct Screen {
    is_terminal: bool,
    lines: usize,
}

impl Screen {
    fn pause(&self) -> Duration {
        if self.is_terminal { SECOND / 5 } else { RUN / 2 }
    }

    fn show(&mut self, text: &str) -> std::io::Result<()> {
        let mut out = stdout();
        if self.is_terminal && self.lines > 0 {
            // Moves the cursor up to where the last text began, and clears the screen below.
            write!(out, "\x1b[{}A\x1b[J", self.lines)?;
        }
        self.lines = text.lines().count();
        writeln!(out, "{text}")?;
        out.flush()
    }
}

fn summary(server: &TestServer, pool: &Pool, failed: u64, time: Duration) {
    let (status, seen) = (pool.status(), server.stats());
    println!(
        "requests={} per_second={} failed={failed} answered_429={} quarantined={} overhead={:.4}",
        seen.api_calls,
        u128::from(seen.api_calls) * 1000 / time.as_millis().max(1),
        seen.limited,
        status.quarantined.len(),
        status.auth_overhead,
    );
}
