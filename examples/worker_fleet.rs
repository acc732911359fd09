//! Six processes that share a pool of accounts through Redis. Two of them log in and keep the
//! tokens fresh. The other four use the tokens and never see a password or a refresh token. One of
//! the first two is killed after a while, and the other takes over its work.
//!
//! ```sh
//! cargo run --example worker_fleet --features redis
//! ```
//!
//! The example needs redis-server. All six processes are this program again, and their arguments
//! say which role they have.

use std::io::ErrorKind;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use jwt_refresh::pool::{Account, AuthWorker, PoolPolicy, RedisPool};
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::TestServer;
use tokio::process::{Child, Command};

type Error = Box<dyn std::error::Error + Send + Sync>;

const POOL: &str = "catalog";
const ACCOUNTS: usize = 10;
/// How many calls each account may make a second.
const RATE: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);

// This is the part that you write: the two roles.

/// The role that has the credentials, logs in, and keeps the tokens fresh.
async fn auth_worker(redis: &str, api: &str) -> Result<(), Error> {
    // At most two renewals at once, and a short time until another worker takes over, so that the
    // example can show it. The defaults suit tokens that live for minutes.
    let policy = PoolPolicy::default().exchanges(2);
    let mut worker = AuthWorker::builder(redis, POOL).policy(policy).timeout(SECOND / 2).claim_ttl(SECOND);
    for email in emails() {
        let login = HttpAuthenticator::builder(format!("{api}/api/auth/login"))
            .refresh_url(format!("{api}/api/auth/refresh"))
            .field("email", &email)
            .secret_field("password", "secret")
            .build()?;
        worker = worker.account(Account::new(email, login).rate(RATE, SECOND));
    }
    let worker = worker.build()?;
    stdin_closed().await;
    worker.close().await;
    Ok(())
}

/// The role that uses the tokens. For each call the pool chooses the account that can serve
/// soonest, among all processes.
async fn extraction_worker(redis: &str, api: &str) -> Result<(), Error> {
    let pool = RedisPool::builder(redis, POOL).build()?;
    let catalog = Catalog { http: reqwest::Client::new(), api: api.to_owned(), pool: pool.clone() };
    let pulling = futures_util::future::join_all((0..16).map(|_| catalog.pull()));
    tokio::select! {
        _ = pulling => {}
        () = stdin_closed() => {}
    }
    Ok(pool.flush().await?)
}

struct Catalog {
    http: reqwest::Client,
    api: String,
    pool: RedisPool,
}

impl Catalog {
    // Before the body runs, the attribute waits for a lease of an account, which is `token` in the
    // body. With `retry`, a 401 is reported to the pool and the body runs once more.
    #[refresh_token(from = self.pool, token, retry)]
    async fn product(&self, id: u64) -> Result<String, Error> {
        let url = format!("{}/api/v1/products/{id}", self.api);
        let answer = self.http.get(url).bearer(&token).send().await?;
        if answer.status() == reqwest::StatusCode::TOO_MANY_REQUESTS {
            token.rate_limited(None);
        }
        Ok(answer.error_for_status()?.text().await?)
    }

    async fn pull(&self) {
        for id in 1.. {
            if let Err(error) = self.product(id).await {
                eprintln!("{error}");
                tokio::time::sleep(SECOND).await;
            }
        }
    }
}

/// Waits until standard input is closed. A worker ends then, so it does not outlive the process
/// that started it.
async fn stdin_closed() {
    let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
}

fn emails() -> impl Iterator<Item = String> {
    (1..=ACCOUNTS).map(|number| format!("worker-{number}@example.com"))
}

// The rest shows both roles at work, with a server on this machine whose tokens live for 3 seconds.

/// The time after which an auth worker is killed, at its next refreshes.
const KILL: Duration = Duration::from_secs(3);
/// The time after which the example ends.
const END: Duration = Duration::from_secs(10);
/// How often the status of the pool is printed.
const SHOW: Duration = Duration::from_millis(2500);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["auth", redis, api] => auth_worker(redis, api).await,
        ["extraction", redis, api] => extraction_worker(redis, api).await,
        // The processes that `show` started end when it is dropped, also after Ctrl-C.
        _ => tokio::select! {
            result = show() => result,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
            () = tokio::time::sleep(60 * SECOND) => Err("the accounts do not come to serve, or the workers to an end".into()),
        },
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    ExitCode::FAILURE
}

async fn show() -> Result<(), Error> {
    let redis = Redis::start()?;
    let server = TestServer::builder().access_lifetime(3 * SECOND).latency(SECOND / 5).rate_limit(RATE, SECOND);
    let server = emails().fold(server, |server, email| server.account(&email, "secret")).start();
    let pool = RedisPool::builder(&redis.url, POOL).build()?;
    let start = |role| start(role, &redis.url, server.base_url());
    let (mut victim, other) = (start("auth")?, start("auth")?);
    while !pool.status().await.is_ok_and(|status| status.active == ACCOUNTS) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{ACCOUNTS} accounts serve; four processes begin to use them");

    let begun = Instant::now();
    let mut workers = (0..4).map(|_| start("extraction")).collect::<Result<Vec<_>, _>>()?;
    workers.push(other);
    watch(&pool, &server, begun, KILL).await?;
    // Each of the two auth workers makes at most two refreshes at once, and the server counts a
    // refresh before it sends the answer. So the next four refreshes are two of each worker, and
    // their answers are still on their way.
    let refreshes = server.stats().refreshes + 4;
    while server.stats().refreshes < refreshes {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    victim.kill().await?;
    let killed = Instant::now();
    println!("{:>4.1} s   an auth worker is killed in the middle of refreshes", begun.elapsed().as_secs_f64());
    let last_login = watch(&pool, &server, begun, END).await?;
    for worker in workers {
        end(worker).await?;
    }
    summary(&server, begun.elapsed(), last_login.saturating_duration_since(killed));
    Ok(())
}

/// Prints the status of the pool now and then, until `end` has passed since `begun`. Returns when a
/// new login was last seen, or `begun` if there was none.
async fn watch(pool: &RedisPool, server: &TestServer, begun: Instant, end: Duration) -> Result<Instant, Error> {
    let (mut logins, mut last, mut shown) = (server.stats().logins, begun, begun.elapsed());
    while begun.elapsed() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = server.stats().logins;
        if now > logins {
            (logins, last) = (now, Instant::now());
        }
        if begun.elapsed() >= shown + SHOW {
            shown = begun.elapsed();
            println!("{:>4.1} s\n{}", shown.as_secs_f64(), pool.status().await?);
        }
    }
    Ok(last)
}

fn summary(server: &TestServer, time: Duration, within: Duration) {
    let stats = server.stats();
    let calls: Vec<u64> = emails().map(|email| server.account_stats(&email).api_calls).collect();
    let taken_over = stats.logins.saturating_sub(ACCOUNTS as u64);
    let [all, exchanges] = [stats.api_calls, stats.logins + stats.refreshes].map(exact);
    let seconds = time.as_secs_f64();
    println!("requests           {} in {seconds:.1} s, {:.0} a second", stats.api_calls, all / seconds);
    println!("an account         {} to {}", calls.iter().min().unwrap_or(&0), calls.iter().max().unwrap_or(&0));
    println!("answered 401, 429  {}, {}", stats.rejected, stats.limited);
    println!("logins, refreshes  {}, {}", stats.logins, stats.refreshes);
    match taken_over {
        0 => println!("taken over         nothing: the killed worker was at no exchange just then"),
        _ => println!(
            "taken over         {taken_over} of its exchanges, within {:.1} s of the kill",
            within.as_secs_f64()
        ),
    }
    println!("auth overhead      {:.2} %", 100.0 * exchanges / all.max(1.0));
}

fn exact(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Starts this program again, in the role `role`.
fn start(role: &str, redis: &str, api: &str) -> Result<Child, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([role, redis, api]).stdin(Stdio::piped()).kill_on_drop(true);
    Ok(command.spawn()?)
}

/// Closes a worker's standard input, and waits until it has finished its work.
async fn end(mut worker: Child) -> Result<(), Error> {
    drop(worker.stdin.take());
    let status = worker.wait().await?;
    if status.success() { Ok(()) } else { Err(format!("a worker ended with {status}").into()) }
}

/// A redis-server with its own port and folder. Dropping it ends the server and removes the folder.
struct Redis {
    url: String,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Redis {
    fn start() -> Result<Self, Error> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(folder.path());
        let process = command.stdout(Stdio::null()).kill_on_drop(true).spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => "this example needs redis-server, which is not installed".into(),
            _ => Error::from(error),
        })?;
        Ok(Self { url: format!("redis://127.0.0.1:{port}"), _process: process, _folder: folder })
    }
}
