//! Measures the memory that an account takes, and the time of a lease and its return.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jwt_refresh::pool::{Account, Pool, PoolPolicy};
use jwt_refresh::{Error, TokenProvider};
use tokio::runtime::Runtime;

use crate::server::Server;
use crate::timing::Times;
use crate::{ACCOUNTS, EXCHANGES};

/// How many bytes an account may take, without its strings.
const BYTES: usize = 300;
/// The same once it has served a call.
const BYTES_USED: usize = 320;
/// How many bytes more an account may take once a caller has asked with a key.
const BYTES_OF_KEYS: usize = 20;
/// How many keys are asked with.
const KEYS: usize = 100_000;

pub(crate) fn measure() -> Result<(), Error> {
    let server = Server::new(Duration::from_secs(3600), 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::other)?;
    let mut pool = None;
    let memory = allocation_counter::measure(|| pool = Some(runtime.block_on(logged_in(&server))));
    let Some(pool) = pool.transpose()? else { return Ok(()) };
    // The strings of an account: its name, access token and refresh token.
    let strings = "account-999999".len() + "Bearer opaque-access-token".len() + "opaque-refresh-token".len();
    let each = |bytes: i64| usize::try_from(bytes).unwrap_or(0) / ACCOUNTS - strings;
    let logged_in = each(memory.bytes_current);
    println!("memory: {logged_in} bytes an account beside its name and token strings, all logged in");
    assert!(logged_in <= BYTES, "more than {BYTES} bytes an account");

    let used = allocation_counter::measure(|| leases(&pool));
    let used = each(memory.bytes_current + used.bytes_current);
    println!("memory: {used} bytes once each has served a call and its header was sent");
    assert!(used <= BYTES_USED, "more than {BYTES_USED} bytes an account");

    let ring = allocation_counter::measure(|| keyed(&runtime, &pool));
    let ring = usize::try_from(ring.bytes_current).unwrap_or(0) / ACCOUNTS;
    println!("memory: {ring} bytes more once a caller has asked with a key");
    assert!(ring <= BYTES_OF_KEYS, "more than {BYTES_OF_KEYS} bytes more an account");
    Ok(())
}

/// Takes as many leases, one after the other, as there are accounts, so that each account serves
/// one. Then does the same once more, and clones the header of each, as a request would.
fn leases(pool: &Pool) {
    println!("lease and return: {}", Times::of(ACCOUNTS, |_| drop(pool.ready())));
    for _ in 0..ACCOUNTS {
        if let Some(lease) = pool.ready() {
            black_box(lease.header().clone());
        }
    }
}

/// Takes leases with keys.
fn keyed(runtime: &Runtime, pool: &Pool) {
    drop(runtime.block_on(pool.lease().key("user").into_future()));
    let lease = |key| pool.lease().key(format!("user-{key}")).into_future().now_or_never();
    println!("lease with a key and return: {}", Times::of(KEYS, |key| drop(lease(key))));
}

/// Returns a pool whose accounts have all logged in.
async fn logged_in(server: &Arc<Server>) -> Result<Pool, Error> {
    let pool = Pool::builder().policy(PoolPolicy::default().exchanges(EXCHANGES)).build()?;
    let begun = Instant::now();
    for number in 0..ACCOUNTS {
        pool.add(Account::new(format!("account-{number}"), Arc::clone(server)).rate(10, Duration::from_secs(1)))?;
    }
    println!("{ACCOUNTS} accounts added in {:.1} s", begun.elapsed().as_secs_f64());

    let begun = Instant::now();
    while pool.status().active < ACCOUNTS {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("all logged in after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(pool)
}
