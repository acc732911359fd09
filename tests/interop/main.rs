//! Tests against servers that were not written for this project, by the descriptions in
//! `examples/servers`, and by the grants of OAuth 2.0. `scripts/test-interop` installs the servers
//! and runs these tests.

mod browser;
mod child;
mod grants;
mod life;
mod scenario;
mod server;
mod steady;
#[path = "../support/mod.rs"]
mod support;
mod trial;
