//! Each promise of the test server, kept over real HTTP.

mod accounts;
mod api;
mod client;
mod rotation;
