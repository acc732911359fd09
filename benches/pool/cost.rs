//! Measures the memory that an account takes, and the time of a lease and its return.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::AllocationInfo;
use futures_util::FutureExt;
use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::{Error, TokenProvider, Tokens};

use crate::ACCOUNTS;
use crate::server::Server;
use crate::timing::Times;

/// How many bytes an account may take, without its strings.
const BYTES: usize = 300;
/// The same once it has served a call.
const BYTES_USED: usize = 320;
/// How many bytes more an account may take once a caller has asked with a key.
const BYTES_OF_KEYS: usize = 20;
/// How many keys are asked with.
const KEYS: usize = 100_000;
/// How long a lease with a key may take.
const WITH_A_KEY: Duration = Duration::from_micros(10);

/// The strings of an account: its name, access token and refresh token.
const STRINGS: usize = "account-999999".len() + "Bearer opaque-access-token".len() + "opaque-refresh-token".len();

pub(crate) fn measure() -> Result<(), Error> {
    let (server, pool) = (Server::new(Duration::from_secs(3600), 0), Pool::builder().build()?);
    let memory = memory_of(|| add(&pool, &server, 0..ACCOUNTS))?;
    assert_eq!(pool.status().active, ACCOUNTS);
    let logged_in = each(memory);
    println!("memory: {logged_in} bytes an account beside its name and token strings, all logged in");
    assert!(logged_in <= BYTES, "more than {BYTES} bytes an account");

    let used = each(memory + memory_of(|| leases(&pool))?);
    println!("memory: {used} bytes once each has served a call and its header was sent");
    assert!(used <= BYTES_USED, "more than {BYTES_USED} bytes an account");
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Error::other)?;
    let begun = Instant::now();
    runtime.block_on(pool.lease().key("user").into_future())?;
    println!("the first lease with a key, which waits until the ring is made: {:.2?}", begun.elapsed());
    drop(pool);

    // A caller asks with a key at once, so the ring grows as accounts are added.
    let pool = Pool::builder().build()?;
    add(&pool, &server, 0..1)?;
    with_key(&pool, 0)?;
    let ring = each(memory_of(|| add(&pool, &server, 1..ACCOUNTS))?).saturating_sub(logged_in);
    println!("memory: {ring} bytes more once a caller has asked with a key");
    assert!((1..=BYTES_OF_KEYS).contains(&ring), "more than {BYTES_OF_KEYS} bytes more an account, or not measured");
    Times::of(KEYS, |key| with_key(&pool, key))
        .expect("lease with a key, of a million accounts that serve", WITH_A_KEY);
    Ok(())
}

/// Returns how many bytes more are allocated after `work`. Only what this thread allocates counts.
fn memory_of(work: impl FnOnce() -> Result<(), Error>) -> Result<i64, Error> {
    let mut result = Ok(());
    let AllocationInfo { bytes_current, .. } = allocation_counter::measure(|| result = work());
    result.map(|()| bytes_current)
}

/// Returns what that is for each account, without its strings.
fn each(bytes: i64) -> usize {
    (usize::try_from(bytes).unwrap_or(0) / ACCOUNTS).saturating_sub(STRINGS)
}

/// Takes as many leases, one after the other, as there are accounts, so that each account serves
/// one. Then does the same once more, and clones the header of each, as a request would.
fn leases(pool: &Pool) -> Result<(), Error> {
    println!("lease and return: {}", Times::of(ACCOUNTS, |_| drop(pool.ready())));
    for _ in 0..ACCOUNTS {
        let lease = pool.ready().ok_or_else(|| Error::other("no account was ready"))?;
        black_box(lease.header().clone());
    }
    Ok(())
}

/// Takes a lease with a key.
fn with_key(pool: &Pool, key: usize) -> Result<(), Error> {
    let lease = pool.lease().key(format!("user-{key}")).into_future().now_or_never();
    lease.ok_or_else(|| Error::other("no account was ready"))?.map(drop)
}

/// Adds accounts. So that this thread allocates all of an account, and its memory is counted, they
/// have the tokens that a login would bring.
fn add(pool: &Pool, server: &Arc<Server>, numbers: Range<usize>) -> Result<(), Error> {
    let begun = Instant::now();
    for number in numbers.clone() {
        let tokens = Tokens::new("opaque-access-token")?.refresh_token("opaque-refresh-token");
        let account = Account::new(format!("account-{number}"), Arc::clone(server)).rate(10, Duration::from_secs(1));
        pool.add(account.tokens(tokens.expires_in(Duration::from_secs(3600))))?;
    }
    println!("{} accounts added in {:.2?}", numbers.len(), begun.elapsed());
    Ok(())
}
