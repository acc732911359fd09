//! Tokens: the access token that callers get, the refresh token that a session keeps to itself, and
//! the answer of a server.

mod access;
mod extra;
mod fields;
mod place;
mod refresh;
mod tokens;

pub use access::AccessToken;
pub use fields::{LifetimeUnit, TokenFields};
pub(crate) use place::AnswerParts;
#[cfg(feature = "reqwest")]
pub(crate) use place::AnswerPlace;
pub use refresh::RefreshToken;
pub use tokens::Tokens;
