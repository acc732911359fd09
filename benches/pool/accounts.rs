//! Measures what accounts cost that are written as in the README, each with an authenticator that
//! is described anew.

use std::time::{Duration, Instant};

use jwt_refresh::pool::{Account, Pool, PoolBuilder};
use jwt_refresh::{Error, HttpAuthenticator};

const ACCOUNTS: usize = 10_000;
/// How many bytes an account may take, with its strings.
const BYTES: usize = 2 * 1024;
/// How long it may take to build the pool.
const TIME: Duration = Duration::from_secs(1);

pub(crate) fn measure() -> Result<(), Error> {
    let begun = Instant::now();
    let mut pool = None;
    let memory = allocation_counter::measure(|| pool = Some(build()));
    let elapsed = begun.elapsed();
    let bytes = usize::try_from(memory.bytes_current).unwrap_or(0) / ACCOUNTS;
    println!("README: {ACCOUNTS} accounts built in {elapsed:.2?}, {bytes} bytes each");
    assert!(bytes <= BYTES, "more than {BYTES} bytes an account");
    assert!(elapsed <= TIME, "longer than {TIME:?}");
    pool.transpose().map(drop)
}

/// The accounts begin to log in at once, so they get a server that is not there.
fn build() -> Result<Pool, Error> {
    let accounts = (0..ACCOUNTS).map(|number| {
        let email = format!("account-{number}@example.com");
        let login = HttpAuthenticator::builder("http://127.0.0.1:1/auth/login")
            .field("email", &email)
            .secret_field("password", format!("correct horse {number}"))
            .build()?;
        Ok::<_, Error>(Account::new(email, login).rate(10, Duration::from_secs(1)).concurrency(4))
    });
    accounts.collect::<Result<Vec<_>, _>>()?.into_iter().fold(Pool::builder(), PoolBuilder::account).build()
}
