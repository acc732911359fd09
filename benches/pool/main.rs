//! Measures a pool of a million accounts, and fails above its bounds: the memory and time that each
//! account takes, how evenly keys and weights share out the calls, how long a caller can be held up
//! by the pool's lock, and whether the tokens are refreshed in time. The server is in memory, so
//! that only the pool is measured.
//!
//! `cargo bench --bench pool -- cost shares` measures these two parts alone.

mod accounts;
mod cost;
mod server;
mod shares;
mod stalls;
mod timing;
mod upkeep;

use jwt_refresh::Error;

const ACCOUNTS: usize = 1_000_000;
/// How many logins and refreshes may run at once.
const EXCHANGES: usize = 64;

type Measure = fn() -> Result<(), Error>;

/// Each part, by its name.
const PARTS: [(&str, Measure); 5] = [
    ("accounts", accounts::measure),
    ("cost", cost::measure),
    ("shares", shares::measure),
    ("stalls", stalls::measure),
    ("upkeep", upkeep::measure),
];

fn main() -> Result<(), Error> {
    let named: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let is_named = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    PARTS.into_iter().filter(|(name, _)| is_named(name)).try_for_each(|(_, measure)| measure())
}
