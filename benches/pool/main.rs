//! A pool of a million accounts: what each costs, and that their tokens are refreshed in time. The server is in memory, so that
//! nothing but the pool is measured.

mod cost;
mod server;
mod upkeep;

use jwt_refresh::Error;

const ACCOUNTS: usize = 1_000_000;
/// How many logins and refreshes may be under way at once.
const EXCHANGES: usize = 64;

fn main() -> Result<(), Error> {
    cost::measure()?;
    upkeep::measure()
}
