//! What tokens are bound to, beside their account: something that a later request must have as the
//! login had it.

use crate::{request::ReceivedRequest, signer};

/// What the tokens of a login are bound to, for
/// [`Builder::bind_tokens`](crate::Builder::bind_tokens).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenBinding {
    /// The value of this header of the login, such as `User-Agent`, or that it had none.
    Header(String),
    /// The value of this cookie of the login. If the login has none, its answer sets one.
    Cookie(String),
    /// The IP address that the login came from.
    Address,
}

impl TokenBinding {
    /// Returns what a request has of what tokens are bound to.
    pub(crate) fn value_in(&self, request: &ReceivedRequest) -> Option<String> {
        match self {
            Self::Header(name) => request.header(name).map(str::to_owned),
            Self::Cookie(name) => request.cookie(name).map(str::to_owned),
            Self::Address => Some(request.peer().to_string()),
        }
    }

    /// Returns the value to which the tokens of this login are bound, and the `Set-Cookie` of its
    /// answer if it needs one.
    pub(crate) fn of_login(&self, login: &ReceivedRequest) -> (Option<String>, Option<String>) {
        match (self, self.value_in(login)) {
            (Self::Cookie(name), None) => {
                let value = signer::opaque();
                let set = format!("{name}={value}; Path=/; HttpOnly");
                (Some(value), Some(set))
            }
            (_, value) => (value, None),
        }
    }
}
