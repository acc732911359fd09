//! Tokens: what a caller is given, what a session keeps to itself, and what a server answered.

mod access;
mod answer;
mod fields;
mod refresh;

pub use access::AccessToken;
pub use answer::Tokens;
pub use fields::{LifetimeUnit, TokenFields};
pub use refresh::RefreshToken;
