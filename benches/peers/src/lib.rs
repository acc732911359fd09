//! What else keeps access tokens fresh, measured beside `jwt-refresh`. `./run` runs it all.
//!
//! - [`peer`]: what each of them is asked to do.
//! - [`peers`]: ours, the limits, locks by hand, and the other crates.
//! - [`server`]: the token server that all of them use, which is a process of its own.
//! - [`time`]: CPU time for a call while the token is fresh.
//! - [`stampede`]: many tasks at once, none of which has a token.
//! - [`memory`]: bytes for each credential, and allocations for each call.

pub mod memory;
pub mod peer;
pub mod peers;
pub mod server;
pub mod stampede;
pub mod time;

/// An error of a peer, or of the measurement.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
