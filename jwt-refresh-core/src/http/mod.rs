//! What a token endpoint's HTTP means, apart from any HTTP client: where credentials may be sent, and what an answer says.

mod answer;
mod endpoint;

pub(crate) use answer::Answer;
pub(crate) use endpoint::{Endpoint, Plaintext};
