//! The grants of OAuth 2.0 against a real HTTP server.

mod answers;
mod browser;
mod device;
mod discovery;
mod grants;
mod key;
mod private_key;
mod provider;
#[path = "../login/server.rs"]
#[allow(dead_code, reason = "the tests of descriptions use the rest of it")]
mod server;
#[path = "../support/mod.rs"]
mod support;
