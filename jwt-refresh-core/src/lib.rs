//! The core of `jwt-refresh`: everything that runs. Most people depend on `jwt-refresh`, which
//! re-exports this.
//!
//! Dependencies point one way: [`TokenProvider`] is what a caller sees; [`Session`] and
//! [`Pool`](pool::Pool) are two; they ask an [`Authenticator`] for [`Tokens`] and read a [`Clock`] by a
//! [`Policy`].

#![forbid(unsafe_code)]
// A panic in library code is a defect; tests say `unwrap` as they please.
#![warn(clippy::unwrap_used)]

mod authenticator;
mod clock;
mod error;
mod json;
pub mod jwt;
#[doc(hidden)]
pub mod macro_support;
mod policy;
pub mod pool;
mod provider;
#[cfg(feature = "redis")]
mod redis;
mod renewal;
mod runtime;
mod secret;
#[cfg(feature = "reqwest")]
mod send;
mod session;
pub mod store;
mod sync;
mod token;

pub use authenticator::Authenticator;
#[cfg(feature = "reqwest")]
pub use authenticator::{HttpAuthenticator, HttpAuthenticatorBuilder};
pub use clock::{Clock, ManualClock};
pub use error::{Error, ErrorKind};
pub use macro_support::Unauthorized;
pub use policy::Policy;
pub use provider::{Renewal, TokenProvider};
pub use secret::Secret;
#[cfg(feature = "reqwest")]
pub use send::Bearer;
pub use session::{Event, Events, Session, SessionBuilder, SessionStats};
pub use token::{AccessToken, LifetimeUnit, RefreshToken, TokenFields, Tokens};

#[doc(hidden)]
pub use macro_support as __private;
