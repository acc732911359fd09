//! Sessions against a real server: one renewal at a time, no refresh token lost, and no live token
//! withheld.

mod adoption;
mod answers;
mod bad_input;
mod cancellation;
mod clocks;
mod concurrency;
mod drops;
mod failed_login;
mod hints;
mod lifetimes;
mod logout;
mod logout_elsewhere;
mod outages;
mod own_authenticator;
mod rotation;
mod slow_store;
#[path = "../support/mod.rs"]
mod support;
mod tampered_store;
mod unguarded;
mod updates;

use std::time::Duration;

use jwt_refresh::{Session, TokenProvider};
use jwt_refresh_testkit::TestServer;

use support::{HOUR, World};

/// The age at which a token that lives for an hour is in its leeway: it has 20 seconds left.
const IN_LEEWAY: Duration = Duration::from_secs(3580);

impl World {
    /// A world in which access tokens live for an hour. Their leeway is long enough for a test on a
    /// busy machine.
    fn with_long_tokens() -> Self {
        Self::with(TestServer::builder().access_lifetime(HOUR).refresh_lifetime(1000 * HOUR).start())
    }
}

fn is_ready(session: &Session) -> bool {
    TokenProvider::is_ready(session)
}
