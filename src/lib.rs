// The first definition of a link counts, so these lead within the documentation, and those of
// README within the repository.
#![doc = include_str!("guide/links.md")]
#![doc = include_str!("../docs/call.md")]
#![doc = include_str!("../docs/peers.md")]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

// Its snippets show every feature, so they are tested with all of them.
#[cfg(any(
    all(doc, not(doctest)),
    all(
        doctest,
        feature = "oauth",
        feature = "redis",
        feature = "reqwest",
        feature = "reqwest-middleware",
        feature = "seal",
        feature = "tower",
        feature = "ureq"
    )
))]
pub mod guide;

#[cfg(feature = "oauth")]
#[doc(inline)]
pub use jwt_refresh_core::oauth;
#[doc(inline)]
pub use jwt_refresh_core::{jwt, pool, store};

#[cfg(feature = "ureq")]
pub use jwt_refresh_core::UreqMiddleware;
pub use jwt_refresh_core::{
    AccessParameters, AccessToken, AnsweredToken, Authenticator, Bearer, Chain, Challenge, ChildSession, Clock, Error,
    ErrorKind, Event, Events, LifetimeUnit, LoginTrial, ManualClock, Observed, Policy, RefreshToken, Renewal, Secret,
    Session, SessionBuilder, SessionStats, TokenFields, TokenProvider, Tokens, Unauthorized, Updates,
};
#[cfg(feature = "reqwest")]
pub use jwt_refresh_core::{
    AnswerMatch, ClientAuth, ExecuteError, HttpAuthenticator, HttpAuthenticatorBuilder, HttpClient, HttpRequest,
    SecretSource,
};
#[cfg(feature = "tower")]
pub use jwt_refresh_core::{HeldBody, PeekedBody, RequestAuthService};
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
pub use jwt_refresh_core::{RequestAuth, RequestRule};
/// Gives every call of a method a valid access token.
///
/// # Examples
///
/// With `token`, the body has the token as a variable. With `retry`, the body runs once more, with
/// a newer token, if it ended in a 401:
///
/// ```
/// # #[cfg(feature = "reqwest")] mod doc {
/// use jwt_refresh::prelude::*;
///
/// struct Catalog { http: reqwest::Client, session: Session }
///
/// impl Catalog {
///     #[refresh_token(token, retry)]
///     async fn product(&self, id: u64) -> Result<String, Box<dyn std::error::Error>> {
///         let url = format!("https://api.example/products/{id}");
///         let request = self.http.get(url).bearer(&token);
///         Ok(request.send().await?.error_for_status()?.text().await?)
///     }
/// }
/// # }
/// ```
///
/// With `retry_if`, a function says what a 401 is, for an error that does not tell by itself:
///
/// ```
/// use jwt_refresh::prelude::*;
///
/// enum CallError { Status(u16), Auth(jwt_refresh::Error) }
///
/// impl From<jwt_refresh::Error> for CallError {
///     fn from(error: jwt_refresh::Error) -> Self {
///         Self::Auth(error)
///     }
/// }
///
/// fn is_401(error: &CallError) -> bool {
///     matches!(error, CallError::Status(401))
/// }
///
/// struct Catalog { session: Session }
///
/// impl Catalog {
///     #[refresh_token(token, retry_if = is_401)]
///     async fn product(&self, id: u64) -> Result<String, CallError> {
///         generated_client(id, token.expose()).await
///     }
/// }
/// # async fn generated_client(_: u64, _: &str) -> Result<String, CallError> {
/// #     Err(CallError::Status(401))
/// # }
/// ```
///
/// On a block it is for every async method, and `skip` leaves one as it is:
///
/// ```
/// use jwt_refresh::prelude::*;
///
/// struct Catalog { session: Session }
///
/// #[refresh_token]
/// impl Catalog {
///     async fn orders(&self) -> Result<Vec<u64>, jwt_refresh::Error> {
///         Ok(vec![7]) // runs when the session has a fresh token
///     }
///
///     #[refresh_token(skip)]
///     async fn version(&self) -> &'static str {
///         "1.2"
///     }
/// }
/// ```
///
/// On a function without `self`, `from` says where the token comes from:
///
/// ```
/// # #[cfg(feature = "reqwest")] mod doc {
/// use jwt_refresh::prelude::*;
///
/// #[refresh_token(from = session, token, retry)]
/// async fn orders(http: &reqwest::Client, session: &Session) -> Result<String, BoxError> {
///     let request = http.get("https://api.example/orders").bearer(&token);
///     Ok(request.send().await?.error_for_status()?.text().await?)
/// }
/// # type BoxError = Box<dyn std::error::Error>;
/// # }
/// ```
///
/// # Reference
///
pub use jwt_refresh_macros::refresh_token;

/// Re-exports what most modules need that define or call an API: `use jwt_refresh::prelude::*;`.
/// None of these names is one of reqwest's.
pub mod prelude {
    pub use jwt_refresh_core::{
        AccessToken, Authenticator, Bearer, Observed, RefreshToken, Secret, Session, TokenProvider, Tokens,
        Unauthorized,
    };
    #[cfg(feature = "reqwest")]
    pub use jwt_refresh_core::{ClientAuth, HttpAuthenticator, HttpRequest, SecretSource};
    pub use jwt_refresh_macros::refresh_token;
}

#[doc(hidden)]
pub use jwt_refresh_core::__private;

/// Items of the hidden module that the compiler's messages name. If this module were hidden from
/// the compiler too, they would have their whole path there. So would the traits among them that
/// all types implement, which rustdoc therefore lists with each type.
#[cfg_attr(doc, doc(hidden))]
pub mod __messages {
    pub use jwt_refresh_core::__private::{
        Again, AsyncGuard, BlockingGuard, BodyRun, CarryError, FeatureBlocking, GenericError, OtherField, Reused,
        UnauthorizedPredicate, UnfitPredicate, UnknownError, UnusedToken, UsedByItsMethod,
    };
}
