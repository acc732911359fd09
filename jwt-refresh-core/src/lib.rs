//! The core of `jwt-refresh`: everything that runs. Most people depend on `jwt-refresh`, which re-exports this.
//!
//! Dependencies point one way: [`TokenProvider`] is what a caller sees; [`Session`] is one; it asks an [`Authenticator`]
//! for [`Tokens`] and reads its [`Clock`] by its [`Policy`].

#![forbid(unsafe_code)]
// A panic in library code is a defect; tests say `unwrap` as they please.
#![warn(clippy::unwrap_used)]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod authenticator;
#[cfg(feature = "reqwest")]
mod bearer;
mod blocking;
mod clock;
mod error;
#[cfg(feature = "reqwest")]
mod http;
mod json;
mod jwt;
mod policy;
mod pool;
mod provider;
#[cfg(feature = "redis")]
mod redis;
mod rejection;
mod runtime;
mod secret;
mod session;
mod spared;
mod store;
mod sync;
mod token;

pub use authenticator::Authenticator;
#[cfg(feature = "reqwest")]
pub use authenticator::{HttpAuthenticator, HttpAuthenticatorBuilder};
#[cfg(feature = "reqwest")]
pub use bearer::Bearer;
pub use clock::{Clock, ManualClock};
pub use error::{Error, ErrorKind};
pub use jwt::{Claims, DecodeError, Header, Jwt};
pub use policy::{CorruptEntry, Policy, StoreFailure};
pub use pool::{
    Account, Cause, Health, Lease, LeaseRequest, Pool, PoolBuilder, PoolPolicy, PoolStatus, Quarantined, Selection,
};
#[cfg(feature = "redis")]
pub use pool::{AuthWorker, AuthWorkerBuilder, RedisPool, RedisPoolBuilder};
pub use provider::{Renewal, TokenProvider};
pub use rejection::Unauthorized;
pub use secret::Secret;
pub use session::{Event, Events, Session, SessionBuilder, SessionStats};
#[cfg(feature = "keyring")]
pub use store::KeyringStore;
pub use store::{Entry, FileLease, FileStore, MemoryLease, MemoryStore, StoreError, StoreErrorKind, TokenStore};
#[cfg(feature = "redis")]
pub use store::{RedisLease, RedisStore, RedisStoreBuilder};
#[cfg(feature = "seal")]
pub use store::{SealKey, Sealed};
pub use token::{AccessToken, LifetimeUnit, RefreshToken, TokenFields, Tokens};
