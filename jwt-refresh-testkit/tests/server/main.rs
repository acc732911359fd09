//! Each promise of the test server, kept over real HTTP.

mod accounts;
mod api;
mod client;
mod clock;
mod faults;
mod formats;
mod lifecycle;
mod limits;
mod rotation;
