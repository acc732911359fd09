//! Eight processes that share accounts through Redis. Two of them log in and keep the tokens fresh.
//! The other six use the tokens and never see a password or a refresh token. A table shows how many
//! accounts each of the six may use, while the work moves from some of them to others, and while
//! one process of each kind is killed.
//!
//! ```sh
//! cargo run --example worker_fleet --features redis
//! ```
//!
//! The example needs redis-server. All eight processes are this program again, and their arguments
//! say which role they have.

use std::io::ErrorKind;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jwt_refresh::pool::{Account, AuthWorker, PoolPolicy, RedisPool};
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::TestServer;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinSet;

type Error = Box<dyn std::error::Error + Send + Sync>;

const POOL: &str = "catalog";
const ACCOUNTS: usize = 12;
/// How many calls each account may make a second.
const RATE: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);

// This is the part that you write: the two roles.

/// The role that has the credentials, logs in, and keeps the tokens fresh.
async fn auth_worker(redis: &str, api: &str) -> Result<(), Error> {
    // At most two renewals at once, and short times until others go on with what a dead process
    // had, so that the example can show it. The defaults suit tokens that live for minutes.
    let policy = PoolPolicy::default().exchanges(2);
    let worker = AuthWorker::builder(redis, POOL).policy(policy).timeout(SECOND / 2);
    let mut worker = worker.claim_ttl(SECOND).share_time(SECOND);
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
    worker.close(5 * SECOND).await;
    Ok(())
}

/// The role that uses the tokens. For each call the pool chooses the account that can serve
/// soonest, among those that this process has a share of. It pulls while it is told to, and tells
/// how many accounts it may use.
async fn extraction_worker(redis: &str, api: &str) -> Result<(), Error> {
    let pool = RedisPool::builder(redis, POOL).build()?;
    let catalog = Arc::new(Catalog { http: reqwest::Client::new(), api: api.to_owned(), pool: pool.clone() });
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut pulling = JoinSet::new();
    let mut tell = tokio::time::interval(SECOND / 10);
    loop {
        tokio::select! {
            order = orders.next_line() => match order?.as_deref() {
                Some(WORK) => (0..16).for_each(|_| _ = pulling.spawn(Arc::clone(&catalog).pull())),
                Some(_) => pulling.shutdown().await,
                None => break,
            },
            _ = tell.tick() => println!("{}", pool.local_status().active),
        }
    }
    pulling.shutdown().await;
    pool.close(Duration::from_secs(10)).await;
    Ok(())
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

    async fn pull(self: Arc<Self>) {
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

/// What an extraction worker is told.
const WORK: &str = "work";
const REST: &str = "rest";

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
    let begin = |role| start(role, &redis.url, server.base_url());
    let (mut victim, other) = (begin("auth")?, begin("auth")?);
    let mut workers = (0..6).map(|_| Worker::new(begin("extraction")?)).collect::<Result<Vec<_>, Error>>()?;
    while workers.iter().map(Worker::serves).sum::<usize>() < ACCOUNTS {
        tokio::time::sleep(SECOND / 50).await;
    }
    let table = Table { server: &server, begun: Instant::now() };
    table.head(&format!("{ACCOUNTS} accounts serve: how many each of six extraction workers may use"));

    table.rows(&workers, 1).await;
    table.head("the first three begin to work");
    tell(&mut workers[..3], WORK).await?;
    table.rows(&workers, 3).await;
    table.head("the work moves to the other three");
    tell(&mut workers[..3], REST).await?;
    tell(&mut workers[3..], WORK).await?;
    table.rows(&workers, 3).await;
    table.head("all six work");
    tell(&mut workers[..3], WORK).await?;
    table.rows(&workers, 2).await;

    workers[5].child.kill().await?;
    workers[5].served.store(0, Ordering::Relaxed);
    table.head("the last is killed: others get its accounts within its share time of a second");
    table.rows(&workers, 3).await;
    workers[5] = Worker::new(begin("extraction")?)?;
    tell(&mut workers[5..], WORK).await?;
    // Each of the two auth workers makes at most two refreshes at once, and the server counts a
    // refresh before it sends the answer. So the next four refreshes are two of each worker, and
    // their answers are still on their way.
    let refreshes = server.stats().refreshes + 4;
    while server.stats().refreshes < refreshes {
        tokio::time::sleep(SECOND / 200).await;
    }
    let logins = server.stats().logins;
    victim.kill().await?;
    table.head("it is back, and an auth worker is killed in the middle of refreshes");
    table.rows(&workers, 4).await;
    let taken_over = server.stats().logins - logins;
    for Worker { child, orders, .. } in workers {
        drop(orders);
        end(child).await?;
    }
    end(other).await?;
    summary(&server, table.begun.elapsed(), taken_over);
    Ok(())
}

/// An extraction worker, as the process sees it that started it.
struct Worker {
    child: Child,
    orders: ChildStdin,
    served: Arc<AtomicUsize>,
}

impl Worker {
    fn new(mut child: Child) -> Result<Self, Error> {
        let (orders, told) = (child.stdin.take().ok_or("no stdin")?, child.stdout.take().ok_or("no stdout")?);
        let served = Arc::new(AtomicUsize::new(0));
        let last = Arc::clone(&served);
        tokio::spawn(async move {
            let mut lines = BufReader::new(told).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                line.parse().into_iter().for_each(|serves| last.store(serves, Ordering::Relaxed));
            }
        });
        Ok(Self { child, orders, served })
    }

    /// Returns how many accounts the worker may use, as it has told last.
    fn serves(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

/// Tells workers what to do.
async fn tell(workers: &mut [Worker], order: &str) -> Result<(), Error> {
    for worker in workers {
        worker.orders.write_all(format!("{order}\n").as_bytes()).await?;
    }
    Ok(())
}

struct Table<'a> {
    server: &'a TestServer,
    begun: Instant,
}

impl Table<'_> {
    fn head(&self, what: &str) {
        println!("{:>4.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }

    /// Prints a row each second.
    async fn rows(&self, workers: &[Worker], rows: usize) {
        for _ in 0..rows {
            let (since, before) = (Instant::now(), self.server.stats().api_calls);
            tokio::time::sleep(SECOND).await;
            let calls = exact(self.server.stats().api_calls - before) / since.elapsed().as_secs_f64();
            let shares: Vec<_> = workers.iter().map(|worker| format!("{:>4}", worker.serves())).collect();
            let time = self.begun.elapsed().as_secs_f64();
            let (shares, most) = (shares.concat(), RATE as usize * ACCOUNTS);
            println!("{time:>4.1} s  {shares}   {calls:>4.0} of {most} calls a second");
        }
    }
}

fn summary(server: &TestServer, time: Duration, taken_over: u64) {
    let stats = server.stats();
    let calls: Vec<u64> = emails().map(|email| server.account_stats(&email).api_calls).collect();
    let [all, exchanges] = [stats.api_calls, stats.logins + stats.refreshes].map(exact);
    let seconds = time.as_secs_f64();
    println!("requests           {} in {seconds:.1} s, {:.0} a second", stats.api_calls, all / seconds);
    println!("an account         {} to {}", calls.iter().min().unwrap_or(&0), calls.iter().max().unwrap_or(&0));
    println!("answered 401, 429  {}, {}", stats.rejected, stats.limited);
    println!("logins, refreshes  {}, {}", stats.logins, stats.refreshes);
    match taken_over {
        0 => println!("taken over         nothing: the killed worker was at no exchange just then"),
        _ => println!("taken over         {taken_over} of its exchanges, each with a login"),
    }
    println!("auth overhead      {:.2} %", 100.0 * exchanges / all.max(1.0));
}

fn exact(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Starts this program again, in the role `role`.
fn start(role: &str, redis: &str, api: &str) -> Result<Child, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([role, redis, api]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
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
