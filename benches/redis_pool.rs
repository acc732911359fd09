//! Measures how many leases a second a pool in Redis gives, and compares it with the cheapest
//! request of the same client to the same server: a script that does nothing and answers the same
//! bytes. Both are measured in turn, in one run. The bench starts a redis-server of its own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jwt_refresh::pool::{Account, AuthWorker, RedisPool};
use jwt_refresh::{Authenticator, Error, Tokens};
use redis::aio::MultiplexedConnection;

const ACCOUNTS: usize = 1000;
/// How many callers ask at once.
const CALLERS: [u32; 3] = [1, 8, 64];
const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_millis(300);
const PORT: u16 = 16_399;

struct Stub;

impl Authenticator for Stub {
    async fn login(&self) -> Result<Tokens, Error> {
        Ok(Tokens::new("x".repeat(200))?.refresh_token("refresh").expires_in(Duration::from_secs(3600)))
    }
}

struct Redis(Child);

impl Redis {
    fn start() -> Self {
        let port = PORT.to_string();
        let server = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn();
        Self(server.expect("the benchmark needs redis-server: see scripts/test"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns how often a second `work` is done, if `callers` callers do it at once.
async fn rate<F: Future<Output = ()> + Send + 'static>(
    callers: u32,
    work: impl Fn() -> F + Send + Clone + 'static,
) -> f64 {
    let begun = Instant::now();
    let callers = (0..callers).map(|_| {
        let work = work.clone();
        tokio::spawn(async move {
            let mut done = 0_u32;
            while begun.elapsed() < ROUND {
                work().await;
                done += 1;
            }
            done
        })
    });
    let mut done = 0;
    for caller in callers.collect::<Vec<_>>() {
        done += caller.await.unwrap_or_default();
    }
    f64::from(done) / begun.elapsed().as_secs_f64()
}

/// Waits until the server answers, and returns a connection.
async fn connect(client: &redis::Client) -> MultiplexedConnection {
    loop {
        match client.get_multiplexed_async_connection().await {
            Ok(connection) => return connection,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Runs the script of that digest, with keys and arguments like those of a lease.
async fn run_script(mut connection: MultiplexedConnection, digest: String) {
    let mut command = redis::cmd("EVALSHA");
    let command = command.arg(digest).arg(2).arg("jwt-refresh:{bench}:pool:line");
    let command = command.arg("jwt-refresh:{bench}:pool:grants").arg("jwt-refresh:{bench}").arg(1 << 52);
    let command = command.arg("").arg("");
    let _: redis::Value = command.query_async(&mut connection).await.expect("an answer");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _redis = Redis::start();
    let url = format!("redis://127.0.0.1:{PORT}");
    let client = redis::Client::open(url.as_str())?;
    let mut connection = connect(&client).await;
    let accounts =
        (0..ACCOUNTS).map(|n| Account::new(format!("account-{n}"), Stub).rate(100_000, Duration::from_secs(1)));
    let _worker = AuthWorker::builder(&url, "bench").accounts(accounts).build()?;
    let pool = RedisPool::builder(&url, "bench").build()?;
    while pool.status().await?.active < ACCOUNTS {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let record = "x".repeat(41 + 1 + 200);
    let script = format!("return {{'account-999', '{record}', 1763724000000000, 1763724000000000}}");
    let digest: String = redis::cmd("SCRIPT").arg("LOAD").arg(&script).query_async(&mut connection).await?;
    for callers in CALLERS {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let (connection, digest) = (connection.clone(), digest.clone());
            let bare = rate(callers, move || run_script(connection.clone(), digest.clone())).await;
            let pool = pool.clone();
            let lease = rate(callers, move || {
                let pool = pool.clone();
                async move { drop(pool.lease().await.expect("a lease")) }
            })
            .await;
            rounds.push((lease / bare, lease, bare));
        }
        rounds.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let (ratio, lease, bare) = rounds[ROUNDS / 2];
        println!(
            "{callers:>2} callers: {lease:>6.0} leases a second, {bare:>6.0} bare EVALSHA: {ratio:.2} (median of {ROUNDS} rounds)"
        );
    }
    Ok(())
}
