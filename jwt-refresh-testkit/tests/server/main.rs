//! Tests of the test server, over real HTTP.

mod accounts;
mod api;
mod binding;
mod client;
mod clock;
mod faults;
mod formats;
mod lifecycle;
mod limits;
mod requests;
mod rotation;
mod routes;
mod token_endpoints;
mod tokens;
