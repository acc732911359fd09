//! The core of `jwt-refresh`: everything but the macro. Most users depend on `jwt-refresh`, which
//! re-exports this crate.
//!
//! Dependencies point in one direction. Callers see a [`TokenProvider`], which [`Session`] and
//! [`Pool`](pool::Pool) implement. Both get [`Tokens`] from an [`Authenticator`], and decide by a
//! [`Policy`] and a [`Clock`] when to renew them.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
// A panic in library code is a defect. Tests may use `unwrap`.
#![warn(clippy::unwrap_used)]

mod authenticator;
mod clock;
mod counter;
mod error;
mod events;
mod json;
pub mod jwt;
#[doc(hidden)]
pub mod macro_support;
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
mod plaintext;
mod policy;
pub mod pool;
mod provider;
#[cfg(feature = "redis")]
mod redis;
mod renewal;
mod runtime;
mod secret;
mod send;
mod session;
mod shape;
pub mod store;
mod sync;
mod timer;
mod token;
mod trial;

#[cfg(feature = "oauth")]
pub use authenticator::oauth;
#[cfg(feature = "reqwest")]
pub use authenticator::{
    AnswerMatch, ClientAuth, HttpAuthenticator, HttpAuthenticatorBuilder, HttpClient, HttpRequest, SecretSource,
};
pub use authenticator::{Authenticator, Chain};
pub use clock::{Clock, ManualClock};
pub use error::{Error, ErrorKind};
pub use events::Events;
pub use macro_support::Unauthorized;
pub use policy::Policy;
pub use provider::{Renewal, TokenProvider};
pub use secret::Secret;
#[cfg(feature = "reqwest")]
pub use send::ExecuteError;
#[cfg(feature = "ureq")]
pub use send::UreqMiddleware;
pub use send::{AnsweredToken, Bearer, Challenge, Observed};
#[cfg(feature = "tower")]
pub use send::{HeldBody, PeekedBody, RequestAuthService};
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
pub use send::{RequestAuth, RequestRule};
pub use session::{ChildSession, Event, Session, SessionBuilder, SessionStats, Updates};
pub use token::{AccessParameters, AccessToken, LifetimeUnit, RefreshToken, TokenFields, Tokens};
pub use trial::LoginTrial;

#[doc(hidden)]
pub use macro_support as __private;
