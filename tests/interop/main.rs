//! Tests against servers that were not written for this project, by the descriptions in
//! `examples/servers`. `scripts/test-interop` installs the servers and runs these tests.

mod child;
mod life;
mod scenario;
mod server;
mod steady;
#[path = "../support/mod.rs"]
mod support;
mod trial;
