//! Sends requests with a token, whatever HTTP client sends them.
//!
//! `request_rule` says which requests get a token and how, for `origin`s that the user names.
//! `attempt` is one request on its way: it gets its token, `answer_head` tells from the status and
//! the `challenge`s of the answer what the server says of it, and there may be one retry. `step_up`
//! asks for a token that meets a challenge, and `vain_retry` tells a method with `retry` of one
//! that was in vain. None of these knows an HTTP client. `request_auth` is what users hand to one.
//! `reqwest_client`, `reqwest_blocking` and `reqwest_middleware` send requests of reqwest, and
//! `tower_layer` those of the crate `http`, whose bodies it wraps in a `peeked_body`, and
//! `ureq_client` and `ureq_middleware` those of ureq. `held_body` keeps a lease as long as the body
//! of an answer, `held_token` as long as an answer.
//!
//! By hand, `bearer` adds a token to a request, and `observed` tells a pool what the answer says;
//! `response_head` is what that and the macro's output read of it.

#[cfg_attr(
    not(any(feature = "reqwest", feature = "tower", feature = "ureq")),
    expect(dead_code, reason = "only a client uses all of it")
)]
pub(crate) mod answer_head;
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
mod attempt;
mod bearer;
mod challenge;
#[cfg(feature = "reqwest")]
mod execute_error;
#[cfg(any(feature = "reqwest", feature = "tower"))]
mod held_body;
#[cfg(all(feature = "blocking", any(feature = "reqwest", feature = "ureq")))]
mod held_token;
mod observed;
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
mod origin;
#[cfg(feature = "tower")]
mod peeked_body;
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
mod request_auth;
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
mod request_rule;
#[cfg(all(feature = "reqwest", feature = "blocking"))]
mod reqwest_blocking;
#[cfg(feature = "reqwest")]
pub(crate) mod reqwest_client;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
mod response_head;
pub(crate) mod step_up;
#[cfg(feature = "tower")]
mod tower_layer;
#[cfg(feature = "ureq")]
mod ureq_client;
#[cfg(feature = "ureq")]
mod ureq_middleware;
pub(crate) mod vain_retry;

pub use bearer::Bearer;
pub use challenge::Challenge;
#[cfg(feature = "reqwest")]
pub use execute_error::ExecuteError;
#[cfg(feature = "tower")]
pub use held_body::HeldBody;
pub use observed::{AnsweredToken, Observed};
#[cfg(feature = "tower")]
pub use peeked_body::PeekedBody;
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
pub use request_auth::RequestAuth;
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
pub use request_rule::RequestRule;
pub(crate) use response_head::ResponseHead;
#[cfg(feature = "tower")]
pub use tower_layer::RequestAuthService;
#[cfg(feature = "ureq")]
pub use ureq_middleware::UreqMiddleware;
