//! Sessions against a real server: one renewal at a time, no refresh token lost, and no live token
//! withheld.

mod bad_input;
mod cancellation;
mod concurrency;
mod failed_login;
mod gated;
mod lifetimes;
mod logout;
mod logout_elsewhere;
mod outages;
mod rotation;
#[cfg(not(feature = "blocking"))]
mod runtimes;
#[path = "../support/mod.rs"]
mod support;
mod tampered_store;
mod unguarded;

use jwt_refresh::{Session, TokenProvider};

fn is_ready(session: &Session) -> bool {
    TokenProvider::is_ready(session)
}
