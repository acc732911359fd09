//! Tests of the test server, over real HTTP.

mod accounts;
mod api;
mod client;
mod clock;
mod faults;
mod formats;
mod lifecycle;
mod limits;
mod rotation;
