//! Tokens: what a caller is given, what a session keeps to itself, and what a server answered.

mod access;
mod fields;
mod refresh;
mod tokens;

pub use access::AccessToken;
pub use fields::{LifetimeUnit, TokenFields};
pub use refresh::RefreshToken;
pub use tokens::Tokens;
