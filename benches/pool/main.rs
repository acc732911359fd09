//! Measures a pool of a million accounts: the memory and time that each account takes, and whether
//! the tokens are refreshed in time. The server is in memory, so that only the pool is measured.

mod accounts;
mod cost;
mod server;
mod upkeep;

use jwt_refresh::Error;

const ACCOUNTS: usize = 1_000_000;
/// How many logins and refreshes may run at once.
const EXCHANGES: usize = 64;

fn main() -> Result<(), Error> {
    accounts::measure()?;
    cost::measure()?;
    upkeep::measure()
}
