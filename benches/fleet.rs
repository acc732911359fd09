//! Measures what a lease costs in a fleet, beside one of a pool on one machine, how many leases two
//! processes of a fleet give, how long many accounts take to be registered and to be assigned, and
//! what the heartbeats of many members cost Redis. All is measured in turn, in one run. The bench
//! starts a redis-server of its own.
//!
//! The many members are one task that sends what members send, each once a second over one of fifty
//! connections, beside an auth worker that coordinates them.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jwt_refresh::pool::{Account, AuthWorker, Lease, LeaseRequest, Pool, RedisPool};
use jwt_refresh::{Authenticator, Error, Tokens};

type BoxError = Box<dyn std::error::Error>;

const ACCOUNTS: usize = 100;
const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_millis(200);
const PORT: u16 = 16_399;
/// The most that a lease of a fleet may cost, beside one of a pool on one machine.
const MOST: f64 = 1.3;
/// How many leases a second two processes must give together.
const LEASES: f64 = 1e6;

/// How many accounts are registered, and how long that may take.
const MANY_ACCOUNTS: usize = 100_000;
const REGISTERED_WITHIN: Duration = Duration::from_secs(5);
/// How many members send heartbeats, and how much of a core Redis may need for that.
const MEMBERS: usize = 1000;
const MOST_CPU: f64 = 0.05;
/// How long it may take to assign the many accounts to the many members.
const ASSIGNED_WITHIN: Duration = Duration::from_millis(200);
/// How often a second the kernel counts what a process uses (`USER_HZ`, see proc(5)).
const TICKS: f64 = 100.0;

/// Never gets a token, so that nothing but the registration of its account is measured.
struct Silent;

impl Authenticator for Silent {
    async fn login(&self) -> Result<Tokens, Error> {
        std::future::pending().await
    }
}

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
        let redis = Self(server.expect("the benchmark needs redis-server: see scripts/test"));
        while TcpStream::connect(("127.0.0.1", PORT)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        redis
    }

    /// Returns for how many seconds the server has used a core.
    fn cpu(&self) -> Result<f64, BoxError> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // After the name, in parentheses: state is field 3, and the times in both modes are 14 and
        // 15.
        let fields = stat.rsplit_once(')').ok_or("no name")?.1.split_whitespace().skip(11).take(2);
        let ticks = fields.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / TICKS)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn url() -> String {
    format!("redis://127.0.0.1:{PORT}")
}

fn accounts() -> impl Iterator<Item = Account> {
    (0..ACCOUNTS).map(|number| Account::new(format!("a{number}"), Stub))
}

/// Returns how many leases a second `ask` gives.
async fn rate(ask: impl Fn() -> LeaseRequest) -> f64 {
    let begun = Instant::now();
    let mut leases = 0_u32;
    while begun.elapsed() < ROUND {
        for _ in 0..100 {
            let lease: Lease = ask().await.expect("a lease");
            drop(lease);
        }
        leases += 100;
    }
    f64::from(leases) / begun.elapsed().as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// A process that takes leases for as long as it is told, and prints how many a second it got.
async fn child(seconds: f64) -> Result<(), Error> {
    let pool = RedisPool::builder(&url(), "bench").build()?;
    drop(pool.lease().await?);
    let begun = Instant::now();
    let mut rates = Vec::new();
    while begun.elapsed().as_secs_f64() < seconds {
        rates.push(rate(|| pool.lease()).await);
    }
    println!("{}", median(rates));
    Ok(())
}

/// Returns how long an auth worker takes to register many accounts.
async fn registration() -> Result<Duration, BoxError> {
    let mut connection = redis::Client::open(url())?.get_multiplexed_async_connection().await?;
    let accounts = (0..MANY_ACCOUNTS).map(|number| Account::new(format!("a{number}"), Silent));
    let begun = Instant::now();
    let _worker = AuthWorker::builder(&url(), "many").accounts(accounts).build()?;
    loop {
        let registered: usize =
            redis::cmd("HLEN").arg("jwt-refresh:{many}:fleet:accounts").query_async(&mut connection).await?;
        // One field is there from the start.
        if registered > MANY_ACCOUNTS {
            return Ok(begun.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns how much of a core Redis needs for many members, each of which has a heartbeat a second.
async fn heartbeats(redis: &Redis) -> Result<f64, BoxError> {
    let accounts = (0..ACCOUNTS).map(|number| Account::new(format!("a{number}"), Stub));
    let _worker = AuthWorker::builder(&url(), "beats").accounts(accounts).build()?;
    let client = redis::Client::open(url())?;
    let mut connections = Vec::new();
    for _ in 0..50 {
        connections.push(client.get_multiplexed_async_connection().await?);
    }
    let mut measured = (Instant::now(), redis.cpu()?);
    // In the first seconds members join, and shares are given to them.
    for second in 0..15 {
        if second == 5 {
            measured = (Instant::now(), redis.cpu()?);
        }
        let begun = tokio::time::Instant::now();
        for member in 0..MEMBERS {
            let at = begun + Duration::from_secs(1) * u32::try_from(member)? / u32::try_from(MEMBERS)?;
            tokio::time::sleep_until(at).await;
            let mut connection = connections[member % connections.len()].clone();
            tokio::spawn(async move { beat(&mut connection, member, second == 0).await.expect("an answer") });
        }
    }
    Ok((redis.cpu()? - measured.1) / measured.0.elapsed().as_secs_f64())
}

/// Sends a heartbeat as a member does.
async fn beat(
    connection: &mut redis::aio::MultiplexedConnection,
    member: usize,
    joins: bool,
) -> redis::RedisResult<Vec<redis::Value>> {
    static BEAT: LazyLock<redis::Script> =
        LazyLock::new(|| redis::Script::new(include_str!("../jwt-refresh-core/src/pool/fleet/lua/beat.lua")));
    let (base, name) = ("jwt-refresh:{beats}", format!("{member:032x}"));
    let report = format!(
        r#"{{"demand":[[null,{}]],"wanted":[],"incarnation":"","figures":{{"waiting":3,"leases":{},"per_minute":620.0,"resting":[]}}}}"#,
        3 + member % 20,
        member * 31,
    );
    BEAT.key(format!("{base}:member:demand"))
        .arg(&name)
        .arg(report)
        .arg(if joins { "1" } else { "0" })
        .arg("0")
        .arg(format!("{base}:coordinator"))
        .arg("3000000")
        .arg(format!("{base}:fleet:state"))
        .arg(format!("{base}:fleet:shares:{name}"))
        .arg(format!("{base}:fleet:share-changes:{name}"))
        .invoke_async(connection)
        .await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    if std::env::var_os("FLEET_BENCH_CHILD").is_some() {
        return Ok(child(2.0).await?);
    }
    let redis = Redis::start();
    let is_asked = |part: &str| asked_for().is_none_or(|asked| part.contains(&asked));
    let mut is_fast = true;
    if is_asked("leases") {
        is_fast &= leases().await?;
    }
    if is_asked("registration") {
        let registered = registration().await?;
        println!("{MANY_ACCOUNTS} accounts registered {registered:.1?} (at most {REGISTERED_WITHIN:?})");
        is_fast &= registered <= REGISTERED_WITHIN;
    }
    if is_asked("assignment") {
        is_fast &= assignment();
    }
    if is_asked("members") {
        let cpu = heartbeats(&redis).await?;
        let (percent, most) = (100.0 * cpu, 100.0 * MOST_CPU);
        println!("{MEMBERS} members               {percent:.1} % of a core for Redis (at most {most:.0} %)");
        is_fast &= cpu <= MOST_CPU;
    }
    if is_fast { Ok(()) } else { Err("a figure is beyond its bound".into()) }
}

/// Returns the part that is asked for alone, by the first argument: `leases`, `registration`,
/// `assignment`, `members`.
fn asked_for() -> Option<String> {
    std::env::args().skip(1).find(|argument| !argument.starts_with("--"))
}

/// Measures the assignment: to members that hold nothing, to those that hold what they shall, and
/// after one was lost or its demand has doubled. Returns whether each is fast enough, and the loss
/// moves nothing else.
fn assignment() -> bool {
    let mut fleet = pool::fleet::Fleet::new(MANY_ACCOUNTS, MEMBERS);
    let mut is_well = true;
    let mut measure = |what: &str, fleet: &mut pool::fleet::Fleet, most: Option<usize>| {
        let begun = Instant::now();
        let moved = fleet.settle();
        let time = begun.elapsed();
        println!("{what:26} {time:.0?} (at most {ASSIGNED_WITHIN:?}), {moved} accounts move");
        is_well &= time <= ASSIGNED_WITHIN && most.is_none_or(|most| moved <= most);
    };
    measure("assigned for the first time", &mut fleet, None);
    measure("assigned again", &mut fleet, Some(0));
    let had = fleet.lose(MEMBERS / 2);
    println!("a member is lost that had  {had} accounts");
    measure("assigned after a loss", &mut fleet, Some(had));
    fleet.ask_more(0);
    measure("one asks twice as much", &mut fleet, None);
    is_well
}

/// The assignment of the library, which is none of its public items.
#[path = "../jwt-refresh-core/src/pool"]
mod pool {
    pub(crate) mod fleet {
        #[allow(unused_imports, reason = "the library uses more of it")]
        mod assignment;

        use assignment::{AccountNeed, CallersNeed, Holding, MemberAssignment, MemberNeed, assign};

        /// Members, and what they hold.
        pub(crate) struct Fleet {
            accounts: Vec<AccountNeed>,
            members: Vec<MemberNeed>,
        }

        impl Fleet {
            pub(crate) fn new(accounts: usize, members: usize) -> Self {
                let account = AccountNeed { units: 10, tags: Vec::new(), serves: true };
                let asked = |number: u32| CallersNeed { count: 3 + number % 20, starved: 0 };
                let member = |number| MemberNeed { demand: vec![(None, asked(number))], ..MemberNeed::default() };
                Self { accounts: vec![account; accounts], members: (0..).take(members).map(member).collect() }
            }

            /// Returns how many accounts it had.
            pub(crate) fn lose(&mut self, member: usize) -> usize {
                self.members.remove(member).holds.len()
            }

            pub(crate) fn ask_more(&mut self, member: usize) {
                self.members[member].demand[0].1.count *= 2;
            }

            /// Assigns, and lets each member hold what it was given. Returns how many accounts have
            /// come to a member that did not have them.
            pub(crate) fn settle(&mut self) -> usize {
                let assigned = assign(&self.accounts, &self.members, 250);
                self.members.iter_mut().zip(assigned).map(|(member, assigned)| hold(member, assigned)).sum()
            }
        }

        fn hold(member: &mut MemberNeed, MemberAssignment { shares, turns }: MemberAssignment) -> usize {
            // Both are in the order of accounts.
            let had = |account| member.holds.binary_search_by_key(&account, |held| held.account).is_ok();
            let new = shares.iter().filter(|(account, _)| !had(*account)).count();
            member.holds = shares.into_iter().map(|(account, units)| Holding { account, units, held: 1000 }).collect();
            member.turns = turns;
            new
        }
    }
}

/// Measures leases, in this process and in two others. Returns whether they are fast enough.
async fn leases() -> Result<bool, BoxError> {
    let _worker = AuthWorker::builder(&url(), "bench").accounts(accounts()).build()?;
    let local = Pool::builder().accounts(accounts()).build()?;
    local.wait_ready(ACCOUNTS, Duration::from_secs(30)).await?;
    let pool = RedisPool::builder(&url(), "bench").build()?;
    while pool.local_status().active < ACCOUNTS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = commands().await?;
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (on_one, in_fleet) = (rate(|| local.lease()).await, rate(|| pool.lease()).await);
        ratios.push(on_one / in_fleet);
        rates.push(in_fleet);
    }
    let leases = rates.iter().sum::<f64>() * ROUND.as_secs_f64();
    let (ratio, each) = (median(ratios), 1e9 / median(rates));
    println!("a lease in a fleet         {each:.0} ns, {ratio:.2} × one of a pool on one machine (at most {MOST})");
    println!("commands to Redis          {} for {leases:.0} leases", commands().await? - before);
    drop(pool);

    let child = || Command::new(std::env::current_exe()?).env("FLEET_BENCH_CHILD", "1").stdout(Stdio::piped()).spawn();
    let mut together = 0.0;
    for child in [child()?, child()?] {
        let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await??;
        together += String::from_utf8(output.stdout)?.trim().parse::<f64>()?;
    }
    println!("two processes together     {together:.0} leases a second (at least {LEASES:.0})");
    Ok(ratio <= MOST && together >= LEASES)
}

/// Returns how many commands Redis has run.
async fn commands() -> Result<u64, BoxError> {
    let mut connection = redis::Client::open(url())?.get_multiplexed_async_connection().await?;
    let info: String = redis::cmd("INFO").arg("stats").query_async(&mut connection).await?;
    let count = info.lines().find_map(|line| line.trim().strip_prefix("total_commands_processed:"));
    Ok(count.ok_or("no count")?.parse()?)
}
