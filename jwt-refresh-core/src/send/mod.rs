//! Adds tokens to the requests of HTTP clients, and tells pools what the answers say.

#[cfg(feature = "reqwest")]
mod bearer;
mod observed;
mod response_head;

#[cfg(feature = "reqwest")]
pub use bearer::Bearer;
pub use observed::{AnsweredToken, Observed};
pub(crate) use response_head::ResponseHead;
