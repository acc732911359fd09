//! Tests against servers that were not written for this project, by the descriptions in
//! `examples/servers`, and by the grants of OAuth 2.0. `scripts/test-interop` installs the servers
//! and runs these tests.

mod audiences;
mod browser;
mod child;
mod dpop;
mod grants;
mod life;
mod mcp;
mod scenario;
mod server;
mod steady;
mod step_up;
#[path = "../support/mod.rs"]
mod support;
mod trial;
