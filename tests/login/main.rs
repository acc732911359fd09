//! Servers that differ in everything that servers are known to differ in, each described in one
//! expression, against a real HTTP server.

mod answers;
mod captured;
mod chain;
mod config;
mod grants;
mod mistakes;
mod requests;
mod secret_sources;
mod server;
mod shapes;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod trial;
