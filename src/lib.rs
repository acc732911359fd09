#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[doc(inline)]
pub use jwt_refresh_core::{jwt, pool, store};

pub use jwt_refresh_core::{
    AccessToken, Authenticator, Chain, Clock, Error, ErrorKind, Event, Events, LifetimeUnit, LoginTrial, ManualClock,
    Policy, RefreshToken, Renewal, Secret, Session, SessionBuilder, SessionStats, TokenFields, TokenProvider, Tokens,
    Unauthorized,
};
#[cfg(feature = "reqwest")]
pub use jwt_refresh_core::{
    AnswerMatch, Bearer, ClientAuth, HttpAuthenticator, HttpAuthenticatorBuilder, HttpRequest, SecretSource,
};
pub use jwt_refresh_macros::refresh_token;

/// Re-exports what most modules need that define or call an API: `use jwt_refresh::prelude::*;`.
/// None of these names is one of reqwest's.
pub mod prelude {
    pub use jwt_refresh_core::{
        AccessToken, Authenticator, RefreshToken, Secret, Session, TokenProvider, Tokens, Unauthorized,
    };
    #[cfg(feature = "reqwest")]
    pub use jwt_refresh_core::{Bearer, ClientAuth, HttpAuthenticator, HttpRequest, SecretSource};
    pub use jwt_refresh_macros::refresh_token;
}

#[doc(hidden)]
pub use jwt_refresh_core::__private;
