//! Measures what sessions cost that nobody uses: bytes, CPU time, and how often a thread wakes up.
//! All are logged in, with one authenticator that they share. It ends with an error if one of the
//! bounds is exceeded.
//!
//! ```sh
//! cargo bench --bench sessions
//! ```
//!
//! Bytes are what the process has resident (`/proc/self/statm`), so what the allocator adds is in
//! them. The sessions log in one after the other: many logins at once leave gaps in the allocator's
//! memory, a tenth more, which are not the sessions'. CPU time is the whole process's.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jwt_refresh::prelude::*;
use jwt_refresh::store::{FileStore, MemoryStore, StoreEntry, StoreError, TokenStore};
use jwt_refresh::{Error, SessionBuilder};
use rustix::time::{ClockId, clock_gettime};

const SESSIONS: usize = 100_000;
/// How many sessions share a store.
const IN_STORE: usize = 500;
/// How many bytes a session may take, without the strings of its tokens.
const BYTES: usize = 1024;
/// How much of a core sessions may take that nobody uses: without a store, and with one.
const CORE: f64 = 0.01;
const CORE_IN_STORE: f64 = 0.02;

/// How many sessions are made before anything is measured.
const FIRST: usize = 64;
const SETTLE: Duration = Duration::from_secs(12);
const IDLE: Duration = Duration::from_secs(20);

/// A server whose access tokens live for an hour.
#[derive(Default)]
struct Server {
    logins: AtomicU64,
}

/// As many bytes as the tokens of a server that signs them with RS256.
const ACCESS: usize = 800;
const REFRESH: usize = 43;
/// What a session keeps of them: the header value `Bearer …`, and the refresh token.
const STRINGS: usize = "Bearer ".len() + ACCESS + REFRESH;

impl Authenticator for Server {
    async fn login(&self) -> Result<Tokens, Error> {
        let number = self.logins.fetch_add(1, Ordering::Relaxed);
        let tokens = Tokens::new(format!("{number:x>ACCESS$}"))?;
        Ok(tokens.refresh_token(format!("{number:x>REFRESH$}")).expires_in(Duration::from_secs(3600)))
    }
}

/// A user's own store, which does not announce changes.
struct QuietStore {
    inner: MemoryStore,
    loads: Arc<AtomicU64>,
}

impl TokenStore for QuietStore {
    type Lease = <MemoryStore as TokenStore>::Lease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.inner.load(account).await
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.inner.save(account, entry).await
    }

    async fn lease(&self, account: &str) -> Result<Self::Lease, StoreError> {
        self.inner.lease(account).await
    }
}

/// Returns `count` sessions that have logged in.
async fn logged_in(count: usize, build: impl Fn(usize) -> SessionBuilder) -> Result<Vec<Session>, Error> {
    // All the memory that the vector needs is taken before the first session is.
    let mut sessions = Vec::with_capacity(count);
    for number in 0..count {
        let session = build(number).build();
        session.token().await?;
        // The task of the login has ended, too, and what it needed can be used again.
        session.flush().await;
        sessions.push(session);
    }
    Ok(sessions)
}

fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// Returns how often the threads of the process have waited so far, as far as the system counts it.
fn waits() -> u64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0 };
    let of_thread = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("status")).ok())
        .filter_map(of_thread)
        .sum()
}

/// What an idle process does.
struct Idleness {
    /// The part of a core that it takes.
    core: f64,
    wakeups: f64,
}

async fn idleness() -> Idleness {
    tokio::time::sleep(SETTLE).await;
    let cpu = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
    };
    let (begun, cpu_before, waits_before) = (Instant::now(), cpu(), waits());
    tokio::time::sleep(IDLE).await;
    let cpu = cpu().saturating_sub(cpu_before);
    let waits = u32::try_from(waits().saturating_sub(waits_before)).unwrap_or(u32::MAX);
    let seconds = begun.elapsed().as_secs_f64();
    Idleness { core: cpu.as_secs_f64() / seconds, wakeups: f64::from(waits) / seconds }
}

fn report(what: &str, Idleness { core, wakeups }: &Idleness, bound: f64) -> bool {
    let verdict = if *core <= bound { "ok" } else { "ABOVE" };
    println!("{what}: {:.2} % of a core   {wakeups:.1} wake-ups a second   {verdict}", core * 100.0);
    *core <= bound
}

async fn without_store(server: &Arc<Server>) -> Result<bool, Error> {
    // What is made once for all sessions, threads above all, is there before the bytes are counted.
    drop(logged_in(FIRST, |_| Session::builder(Arc::clone(server))).await?);
    let before = resident_bytes();
    let begun = Instant::now();
    let sessions = logged_in(SESSIONS, |_| Session::builder(Arc::clone(server))).await?;
    println!("{SESSIONS} sessions logged in within {:.1} s", begun.elapsed().as_secs_f64());
    let mut all_within = true;
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        let each = (after.saturating_sub(before) / SESSIONS).saturating_sub(STRINGS);
        all_within &= each <= BYTES;
        let verdict = if each <= BYTES { "ok" } else { "ABOVE" };
        println!("memory: {each} bytes a session beside its token strings   {verdict}");
    }
    all_within &= report(&format!("{SESSIONS} sessions, no store"), &idleness().await, CORE);
    drop(sessions);
    Ok(all_within)
}

async fn in_file_store(server: &Arc<Server>) -> Result<bool, Error> {
    let folder = tempfile::tempdir().map_err(Error::other)?;
    let build = |number: usize| {
        Session::builder(Arc::clone(server)).store(FileStore::new(folder.path()), format!("account-{number}"))
    };
    let sessions = logged_in(IN_STORE, build).await?;
    let within = report(&format!("{IN_STORE} sessions in a folder"), &idleness().await, CORE_IN_STORE);
    drop(sessions);
    Ok(within)
}

async fn in_quiet_store(server: &Arc<Server>) -> Result<bool, Error> {
    let loads = Arc::new(AtomicU64::new(0));
    let store = Arc::new(QuietStore { inner: MemoryStore::new(), loads: Arc::clone(&loads) });
    let build =
        |number: usize| Session::builder(Arc::clone(server)).store(Arc::clone(&store), format!("account-{number}"));
    let sessions = logged_in(IN_STORE, build).await?;
    let (begun, before) = (Instant::now(), loads.load(Ordering::Relaxed));
    let idleness = idleness().await;
    #[expect(clippy::cast_precision_loss, reason = "it is printed with no more digits")]
    let rate = (loads.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    let within = report(&format!("{IN_STORE} sessions in a store of the user's"), &idleness, CORE_IN_STORE);
    println!("  {rate:.0} loads a second");
    drop(sessions);
    Ok(within)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Error> {
    let server = Arc::new(Server::default());
    let mut all_within = without_store(&server).await?;
    all_within &= in_file_store(&server).await?;
    all_within &= in_quiet_store(&server).await?;
    Ok(if all_within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
