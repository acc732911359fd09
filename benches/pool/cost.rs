//! Measures the memory that an account takes, and the time of a lease and its return.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jwt_refresh::pool::{Account, Pool, PoolPolicy};
use jwt_refresh::{Error, TokenProvider};

use crate::server::Server;
use crate::{ACCOUNTS, EXCHANGES};

/// How many bytes an account may take, without its strings.
const BYTES: usize = 300;

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
    Ok(())
}

/// Takes as many leases, one after the other, as there are accounts, so that each account serves
/// one. Then does the same once more, and clones the header of each, as a request would.
fn leases(pool: &Pool) {
    let mut times = Vec::with_capacity(ACCOUNTS);
    for _ in 0..ACCOUNTS {
        let begun = Instant::now();
        black_box(pool.ready());
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    println!("lease and return: median {:?}, 99 % {:?}", times[ACCOUNTS / 2], times[ACCOUNTS / 100 * 99]);
    for _ in 0..ACCOUNTS {
        if let Some(lease) = pool.ready() {
            black_box(lease.header().clone());
        }
    }
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
    while !pool.status().quarantined.is_empty() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("all logged in after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(pool)
}
