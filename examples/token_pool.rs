//! A pool of 45 accounts behind one API struct, with a dashboard: each account may make 10 calls a second, two cannot log in, and
//! one runs out of quota on the way. The callers know nothing of all that.
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

// The part that you would write: a struct for somebody's API, and what its answers say of an account.

struct Catalog {
    http: reqwest::Client,
    base: String,
    pool: Pool,
}

#[refresh_token(from = self.pool, token, retry)]
impl Catalog {
    /// `token` is a lease of the account that can serve soonest. A 401 is reported for you, all else is for you to tell.
    async fn product(&self, id: u64) -> Result<String, Error> {
        let answer = self.http.get(format!("{}/api/v1/products/{id}", self.base)).bearer(&token).send().await?;
        match answer.status() {
            StatusCode::TOO_MANY_REQUESTS => token.rate_limited(retry_after(&answer)),
            // How this API says that an account's quota is used up, and until when.
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

// The part that shows it at work, against a server on this machine that holds each account to its rate.

const ACCOUNTS: usize = 45;
const CALLERS: u64 = 120;
const RUN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let names: Vec<_> = (1..=ACCOUNTS).map(|number| format!("worker{number:02}@example.com")).collect();
    let server = TestServer::builder().access_lifetime(8 * SECOND).rate_limit(10, SECOND);
    let server = names.iter().fold(server, |server, name| server.account(name, "secret")).start();
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

/// Calls as fast as it can. How many calls failed.
async fn call(catalog: Arc<Catalog>, id: u64, end: Instant) -> u64 {
    let mut failed = 0;
    while Instant::now() < end {
        failed += u64::from(catalog.product(id).await.is_err());
    }
    failed
}

/// Shows one text in the place of the last on a terminal, and now and then one below the other elsewhere.
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
            // Up to where it began, and clear from there.
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
