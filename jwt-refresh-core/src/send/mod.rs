//! Adds tokens to the requests of HTTP clients.

mod bearer;

pub use bearer::Bearer;
