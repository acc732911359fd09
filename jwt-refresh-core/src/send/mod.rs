//! Putting tokens on requests, for the HTTP clients that this crate knows.

mod bearer;

pub use bearer::Bearer;
