#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub use jwt_refresh_core::*;
pub use jwt_refresh_macros::refresh_token;

/// What most files that define or call an API need: `use jwt_refresh::prelude::*;`.
pub mod prelude {
    pub use jwt_refresh_core::{
        AccessToken, Authenticator, Policy, RefreshToken, Secret, Session, TokenProvider, Tokens, Unauthorized,
    };
    #[cfg(feature = "reqwest")]
    pub use jwt_refresh_core::{Bearer, HttpAuthenticator};
    pub use jwt_refresh_macros::refresh_token;
}

#[doc(hidden)]
pub use jwt_refresh_core::__private;
