//! One account's tokens, and the one way to renew them.
//!
//! `state` is the machine that decides; `cell` the lock round it, and beside it the two words that make the check cheap, with
//! `replica` for the token itself; `shared` what all clones of a session share; `lifetime` is the arithmetic of expiry, and `issued` what it is applied to.
//!
//! A `renewal` is a task; what it says to the server is `exchange`, and if there is a store it goes about it as `joint` says,
//! through the `store`, which reads and writes `record`s. The `companions` watch clock and store.

mod account_store;
mod acquire;
mod background;
mod builder;
mod events;
mod fast_path;
mod pending;
mod record;
mod replacement;
mod shared;
mod state;
mod state_cell;
mod stats;
mod store_follow;
mod store_sync;
mod task;
mod telemetry;

use std::fmt;
use std::sync::Arc;

use self::shared::SessionShared;
use crate::error::Error;
use crate::provider::{Renewal, TokenProvider};
use crate::token::{AccessToken, Tokens};

pub use builder::SessionBuilder;
pub use events::{Event, Events};
pub use stats::SessionStats;

/// One account that stays logged in: its tokens, and at most one renewal of them at a time.
///
/// Clones are handles to the same session and cost a reference count. Unless told to [`keep_fresh`](SessionBuilder::keep_fresh),
/// a session talks to its server only when somebody needs a token. A renewal that was begun goes on to its end even if whoever
/// asked for it is gone. Beside it, a task looks at the clock and, with a store, another at that; both end with the session.
///
/// ```no_run
/// # #[cfg(feature = "reqwest")]
/// # async fn doc() -> Result<(), jwt_refresh_core::Error> {
/// use jwt_refresh_core::{HttpAuthenticator, Session};
///
/// let api = HttpAuthenticator::builder("https://api.example/auth/login")
///     .refresh_url("https://api.example/auth/refresh")
///     .field("email", "ada@example.com")
///     .secret_field("password", std::env::var("API_PASSWORD").unwrap_or_default())
///     .build()?;
/// let session = Session::builder(api).login().await?;
/// let token = session.token().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Session(Arc<SessionShared>);

impl Session {
    /// What the session does, with the tasks running that watch its clock and store.
    fn awake(&self) -> &Arc<SessionShared> {
        background::start(&self.0);
        &self.0
    }

    /// A fresh access token: the one held, or after a renewal that all who ask share.
    ///
    /// # Errors
    ///
    /// When there is no token that lives and none can be had: see [`ErrorKind`](crate::ErrorKind). Inside the pause after a failure, that same
    /// failure at once, without asking the server again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the wait alone; a renewal it began goes on.
    pub async fn token(&self) -> Result<AccessToken, Error> {
        match self.0.ready() {
            Some(token) => Ok(token),
            None => self.awake().fresh().await,
        }
    }

    /// Logs in now, even if the token held is fresh, and even after a logout. If a renewal is under way, its result is
    /// this one's.
    ///
    /// # Errors
    ///
    /// Why the login failed. What was held before is still held.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the wait alone; the login goes on.
    pub async fn login(&self) -> Result<AccessToken, Error> {
        self.awake().log_in_now().await
    }

    /// A fresh access token, as [`token`](Self::token), for a thread that may wait. Never panics, inside a runtime neither; but
    /// a runtime's thread that waits here does nothing else meanwhile. So an [`Authenticator`] of your own needs an HTTP client of
    /// its own: a connection that is kept alive belongs to the runtime that opened it, and if that one waits here, the renewal
    /// waits for it until its time-out.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token).
    #[cfg(feature = "blocking")]
    pub fn blocking_token(&self) -> Result<AccessToken, Error> {
        self.0.ready().map_or_else(|| crate::runtime::wait(|| TokenProvider::fresh(self)), Ok)
    }

    /// Logs in now, as [`login`](Self::login), for a thread that may wait.
    ///
    /// # Errors
    ///
    /// As [`login`](Self::login).
    #[cfg(feature = "blocking")]
    pub fn blocking_login(&self) -> Result<AccessToken, Error> {
        crate::runtime::wait(|| Box::pin(self.awake().log_in_now()))
    }

    /// Takes tokens that came from elsewhere in place of those held: captured at a login that a person did in a browser, say.
    /// With a store, writes them there too.
    ///
    /// # Errors
    ///
    /// If they cannot be written to the store. This session holds them all the same.
    pub async fn adopt(&self, tokens: Tokens) -> Result<(), Error> {
        Arc::clone(&self.0).adopt(tokens).await
    }

    /// Forgets all tokens, here and in the store, and tells the server, if the authenticator knows how (RFC 7009). From now on
    /// every call fails with [`LoggedOut`](crate::ErrorKind::LoggedOut), in every process that shares the store, until
    /// [`login`](Self::login) or [`adopt`](Self::adopt); a renewal under way does not bring the session back.
    ///
    /// # Errors
    ///
    /// If store or server could not be told. This session is logged out all the same.
    ///
    /// # Cancel safety
    ///
    /// This session is logged out as soon as the future was polled; store and server are told only if it is driven to its end.
    pub async fn logout(&self) -> Result<(), Error> {
        Arc::clone(&self.0).log_out().await
    }

    /// Waits until no renewal is under way and all is saved, so that a program can end without losing a rotated token.
    pub async fn flush(&self) {
        self.0.flush().await;
    }

    /// What happens to the session from now on.
    pub fn events(&self) -> Events {
        self.0.telemetry.events()
    }

    /// What the session has done so far.
    pub fn stats(&self) -> SessionStats {
        self.0.stats()
    }
}

impl TokenProvider for Session {
    type Token = AccessToken;

    #[inline]
    fn ready(&self) -> Option<AccessToken> {
        self.0.ready()
    }

    #[inline]
    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    fn fresh(&self) -> Renewal<AccessToken> {
        Box::pin(self.awake().fresh())
    }

    fn rejected(&self, token: &AccessToken) -> Renewal<AccessToken> {
        self.0.cell.reject(token.generation());
        self.fresh()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.0.cell.lock().token();
        f.debug_struct("Session").field("id", &self.0.id).field("token", &token).finish_non_exhaustive()
    }
}
