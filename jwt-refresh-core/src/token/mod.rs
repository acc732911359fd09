//! Tokens: the access token that callers get, the refresh token that a session keeps to itself, and
//! the answer of a server.

mod access;
mod extra;
mod fields;
mod parameters;
mod place;
#[cfg_attr(not(feature = "oauth"), path = "no_proof_key.rs")]
mod proof_key;
mod refresh;
mod tokens;

pub use access::AccessToken;
pub use fields::{LifetimeUnit, TokenFields};
pub use parameters::AccessParameters;
pub(crate) use place::AnswerParts;
#[cfg(feature = "reqwest")]
pub(crate) use place::AnswerPlace;
pub(crate) use proof_key::ProofKey;
pub use refresh::RefreshToken;
pub use tokens::Tokens;
