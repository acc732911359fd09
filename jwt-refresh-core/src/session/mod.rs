//! One account's tokens and their renewal.
//!
//! `state` is the state machine, with `held`, `login_end`, `outage` and `rejections`; `state_cell`
//! is its lock, `fast_path` keeps a call with a fresh token cheap, and `shared` is what all clones
//! of a session share. `connect` and `acquire` serve callers, `pending` is what they wait on,
//! `task` runs a renewal, `challenged` answers challenges, of which `step_up` is what is known,
//! `replacement` logs out and adopts tokens, and `background` watches the clock and the store.
//! `store_sync`, `store_write`, `store_follow`, `pending_writes` and `account_store` share tokens
//! through a store; `record` is what they share, `record_format` how that is written, and
//! `record_times` how its times are read on another clock. `stored_account` is a session that a
//! pool drives. `builder`, `telemetry`, `events`, `updates` and `stats` hold what their names say.

mod account_store;
mod acquire;
mod background;
mod builder;
mod challenged;
mod child_session;
mod children;
mod connect;
mod events;
mod fast_path;
mod held;
mod held_lease;
mod login_end;
mod other_request;
mod outage;
mod pending;
mod pending_writes;
mod record;
mod record_format;
mod record_others;
mod record_times;
mod rejections;
mod replacement;
mod running;
mod shared;
mod state;
mod state_cell;
mod stats;
mod step_up;
mod store_follow;
mod store_sync;
mod store_write;
mod stored_account;
mod task;
mod telemetry;
mod unsaved;
mod updates;

use std::fmt;
use std::sync::Arc;

use self::shared::SessionShared;
use crate::error::Error;
#[cfg(feature = "reqwest")]
use crate::error::ErrorKind;
use crate::events::Events;
use crate::provider::{Renewal, TokenProvider};
use crate::renewal::Plan;
use crate::send::Challenge;
#[cfg(feature = "reqwest")]
use crate::send::{ExecuteError, reqwest_client};
use crate::token::{AccessToken, Tokens};

pub use builder::SessionBuilder;
pub use child_session::ChildSession;
pub use events::Event;
pub use stats::SessionStats;
pub(crate) use stored_account::StoredAccount;
pub use updates::Updates;

/// One account that stays logged in: its tokens, and at most one renewal of them at a time.
///
/// Clones are handles to the same session and cost one reference count. A session sends requests to
/// its server only when a caller needs a token, unless it is built with
/// [`keep_fresh`](SessionBuilder::keep_fresh). A renewal that has begun runs to its end, even if
/// the caller that began it is dropped. All sessions of a process share one timer, and with a store
/// a background task follows it; both end with the session.
///
/// ```no_run
/// # #[cfg(feature = "reqwest")]
/// # async fn doc() -> Result<(), jwt_refresh::Error> {
/// use jwt_refresh::{HttpAuthenticator, Session};
///
/// let api = HttpAuthenticator::builder("https://api.example/auth/login")
///     .refresh_url("https://api.example/auth/refresh")
///     .field("email", "ada@example.com")
///     .secret_field("password", std::env::var("API_PASSWORD").unwrap_or_default())
///     .build()?;
/// let session = Session::builder(api).connect().await?;
/// let token = session.token().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Session(Arc<SessionShared>);

impl Session {
    /// Starts what goes on in the background, unless it has been started, and returns what the
    /// clones share.
    fn started(&self) -> &Arc<SessionShared> {
        background::start(&self.0);
        &self.0
    }

    /// Returns a fresh access token: the current one, or a new one from a renewal that all callers
    /// share.
    ///
    /// A caller that waits while the current token still lives waits for at most half of the time
    /// that the token has left, and then gets the current token.
    ///
    /// # Errors
    ///
    /// If there is no live token and none can be had. During the pause after a failure, that same
    /// failure is returned at once, without asking the server again.
    ///
    /// | situation | [`ErrorKind`](crate::ErrorKind) |
    /// |---|---|
    /// | the login was denied, or there is no login and no refresh | `ReauthenticationRequired` |
    /// | the session was logged out | `LoggedOut` |
    /// | the server cannot be reached | `Unreachable` |
    /// | it was reached and does not answer | `Unanswered` |
    /// | it is overloaded or out of order (429, 5xx) | `Unavailable` |
    /// | its answer cannot be used | `BadAnswer` |
    /// | it knows no login at the URL (404), or the program is set up wrongly | `Configuration` |
    /// | the threads that renew tokens cannot be started | `Configuration` |
    /// | this process was forked after they were | `Configuration` |
    /// | new tokens were rejected as soon as they were issued | `RejectedAsIssued` |
    /// | a secret that is to be sent cannot be read | `SecretUnavailable` |
    /// | the store failed | `Store` |
    /// | a login or refresh asks its own session for a token | `Reentrant` |
    /// | the authenticator panicked, or its runtime ended | `Aborted` |
    /// | an authenticator of your own failed otherwise | `Other` |
    ///
    /// `Denied` and `LoginUnavailable`, which authenticators report, end in
    /// `ReauthenticationRequired`. `NoAccount` and `Busy` are those of pools.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, only the wait ends. A renewal that it began goes on.
    pub async fn token(&self) -> Result<AccessToken, Error> {
        match self.0.ready() {
            Some(token) => Ok(token),
            None => self.started().fresh().await,
        }
    }

    /// Logs in now, even if the current token is fresh, and even after a logout. Returns the new
    /// token. If a renewal is already under way, waits for that one and returns its result.
    ///
    /// # Errors
    ///
    /// The reason why the login failed. The session keeps the tokens that it had. If the server has
    /// asked to be left alone (`Retry-After`), fails until then without asking it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, only the wait ends. The login goes on.
    pub async fn login(&self) -> Result<AccessToken, Error> {
        self.started().renew_now(Plan::LogIn).await
    }

    /// Renews the token now, even if the current one is fresh: by a refresh if the session has a
    /// refresh token, otherwise by a login. Returns the new token. If a renewal is already under
    /// way, waits for that one and returns its result. With a store, tokens that another process
    /// has got meanwhile are new ones too.
    ///
    /// # Errors
    ///
    /// The reason why the renewal failed; [`LoggedOut`](crate::ErrorKind::LoggedOut) after a
    /// logout. A token that lives is served all the same. If the server has asked to be left alone
    /// (`Retry-After`), fails until then without asking it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, only the wait ends. The renewal goes on.
    pub async fn refresh_now(&self) -> Result<AccessToken, Error> {
        self.started().renew_now(Plan::Renew).await
    }

    /// Sends a request with the session's token, and once more with a newer one if the token is
    /// rejected, by the rule that was given to [`requests`](SessionBuilder::requests). This is
    /// [`RequestAuth::execute`](crate::RequestAuth::execute), which says more of it.
    ///
    /// ```no_run
    /// # use jwt_refresh::{HttpAuthenticator, RequestRule, Session};
    /// # async fn doc(login: HttpAuthenticator) -> Result<(), Box<dyn std::error::Error>> {
    /// let rule = RequestRule::for_origin("https://api.example")?;
    /// let session = Session::builder(login).requests(rule).connect().await?;
    ///
    /// let client = reqwest::Client::new();
    /// let request = client.get("https://api.example/orders").build()?;
    /// let orders = session.execute(&client, request).await?.error_for_status()?.text().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`RequestAuth::execute`](crate::RequestAuth::execute), and
    /// [`Configuration`](crate::ErrorKind::Configuration) if the session has no such rule.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the request is cut off. A renewal that it began goes on.
    #[cfg(feature = "reqwest")]
    pub async fn execute(
        &self,
        client: &reqwest::Client,
        request: reqwest::Request,
    ) -> Result<reqwest::Response, ExecuteError> {
        let Some(rule) = &self.0.requests else {
            let error = Error::new(ErrorKind::Configuration, "the session is not told which origins may get its token");
            return Err(error.advising("build it with `.requests(RequestRule::for_origin(\"https://…\")?)`").into());
        };
        reqwest_client::execute(self, rule, client, request).await
    }

    /// Returns a fresh access token as [`token`](Self::token) does, and blocks the current thread
    /// until there is one.
    ///
    /// Does not panic, not even on a thread of a runtime, but such a thread does nothing else while
    /// it waits. An [`Authenticator`](crate::Authenticator) of your own therefore needs an HTTP
    /// client of its own: a connection that is kept alive belongs to the runtime that opened it. If
    /// that runtime waits here, the renewal waits for the connection until its time-out.
    ///
    /// # Errors
    ///
    /// As for [`token`](Self::token).
    #[cfg(feature = "blocking")]
    pub fn blocking_token(&self) -> Result<AccessToken, Error> {
        self.0.ready().map_or_else(|| crate::runtime::wait(|| TokenProvider::fresh(self)), Ok)
    }

    /// Logs in now as [`login`](Self::login) does, and blocks the current thread until the login
    /// has ended.
    ///
    /// # Errors
    ///
    /// As for [`login`](Self::login).
    #[cfg(feature = "blocking")]
    pub fn blocking_login(&self) -> Result<AccessToken, Error> {
        crate::runtime::wait(|| Box::pin(self.started().renew_now(Plan::LogIn)))
    }

    /// Renews the token now as [`refresh_now`](Self::refresh_now) does, and blocks the current
    /// thread until the renewal has ended.
    ///
    /// # Errors
    ///
    /// As for [`refresh_now`](Self::refresh_now).
    #[cfg(feature = "blocking")]
    pub fn blocking_refresh_now(&self) -> Result<AccessToken, Error> {
        crate::runtime::wait(|| Box::pin(self.started().renew_now(Plan::Renew)))
    }

    /// Replaces the tokens of the session with `tokens`, for example with ones that were captured
    /// at a login in a browser. With a store, writes them there too.
    ///
    /// # Errors
    ///
    /// If the tokens cannot be written to the store ([`Store`](crate::ErrorKind::Store)). The
    /// session uses them all the same.
    ///
    /// # Cancel safety
    ///
    /// The session uses the tokens as soon as the future is polled. They are certain to be in the
    /// store only after the future has ended.
    pub async fn adopt(&self, tokens: Tokens) -> Result<(), Error> {
        Arc::clone(self.started()).adopt(tokens).await
    }

    /// Forgets all tokens, in the session and in its store, and revokes the refresh token at the
    /// server, if the authenticator knows how (RFC 7009). From then on every call fails with
    /// [`LoggedOut`](crate::ErrorKind::LoggedOut), in every process that shares the store, until
    /// [`login`](Self::login) or [`adopt`](Self::adopt). A renewal under way does not bring the
    /// session back. Copies of the access token in the memory of threads that have used it are
    /// never served again, but wiped only when another token takes their place.
    ///
    /// # Errors
    ///
    /// If the store or the server could not be told. This session is logged out all the same.
    ///
    /// # Cancel safety
    ///
    /// The session is logged out as soon as the future is polled. If the future is dropped after
    /// that, the store and the server are told all the same.
    pub async fn logout(&self) -> Result<(), Error> {
        Arc::clone(&self.0).log_out().await
    }

    /// Waits until no renewal is under way and all new tokens are saved, so that a program can end
    /// without losing a rotated refresh token. If the store fails, saving is tried 20 times more,
    /// after a pause each, and then given up.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, only the wait ends.
    pub async fn flush(&self) {
        self.0.flush().await;
    }

    /// Waits until all new tokens are saved, as [`flush`](Self::flush) does, and blocks the current
    /// thread until then.
    #[cfg(feature = "blocking")]
    pub fn blocking_flush(&self) {
        let session = self.clone();
        // Fails only if there are no threads for renewals, and then there is nothing to wait for.
        let _ = crate::runtime::wait(|| {
            Box::pin(async move {
                session.flush().await;
                Ok(())
            })
        });
    }

    /// Logs out as [`logout`](Self::logout) does, and blocks the current thread until the store and
    /// the server are told.
    ///
    /// # Errors
    ///
    /// Those of [`logout`](Self::logout).
    #[cfg(feature = "blocking")]
    pub fn blocking_logout(&self) -> Result<(), Error> {
        crate::runtime::wait(|| Box::pin(Arc::clone(&self.0).log_out()))
    }

    /// Replaces the tokens as [`adopt`](Self::adopt) does, and blocks the current thread until they
    /// are in the store.
    ///
    /// # Errors
    ///
    /// Those of [`adopt`](Self::adopt).
    #[cfg(feature = "blocking")]
    pub fn blocking_adopt(&self, tokens: Tokens) -> Result<(), Error> {
        crate::runtime::wait(|| Box::pin(Arc::clone(self.started()).adopt(tokens)))
    }

    /// Returns a receiver for what happens to the session from now on.
    pub fn events(&self) -> Events<Event> {
        self.0.telemetry.events()
    }

    /// Returns a receiver for the current access token and each new one, for connections that live
    /// longer than a token, or take it as a password. While the receiver exists the session renews
    /// its token without a caller, beginning now if it has none that is fresh.
    ///
    /// # A connection to Redis
    ///
    /// Redis takes a new password on a connection that is open. The clones of redis-rs's
    /// `MultiplexedConnection` are one connection.
    ///
    /// ```no_run
    /// # #[cfg(feature = "redis")]
    /// # async fn doc(
    /// #     session: jwt_refresh::Session,
    /// #     connection: redis::aio::MultiplexedConnection,
    /// # ) -> redis::RedisResult<()> {
    /// let mut updates = session.updates();
    /// while let Some(token) = updates.next().await {
    ///     let mut auth = redis::cmd("AUTH");
    ///     auth.arg("user").arg(token.expose()).exec_async(&mut connection.clone()).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # A pool of connections to a database
    ///
    /// Postgres looks at the password only when a connection is opened, so sqlx has to know the
    /// newest one:
    ///
    /// ```text
    /// while let Some(token) = updates.next().await {
    ///     pool.set_connect_options(options.clone().password(token.expose()));
    /// }
    /// ```
    ///
    /// # A WebSocket
    ///
    /// Where the server ends a connection whose token expires, open the next one with the new token
    /// and go over to it. Where its protocol has a message for a new token, send that instead.
    ///
    /// ```no_run
    /// use jwt_refresh::{Bearer, Session};
    /// use tokio::net::TcpStream;
    /// use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    /// use tokio_tungstenite::tungstenite::Error;
    /// use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
    ///
    /// type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
    ///
    /// /// Reads with `read` until it ends, over one connection after the other.
    /// async fn follow(session: &Session, read: impl AsyncFn(Socket)) -> Result<(), Error> {
    ///     let mut updates = session.updates();
    ///     let mut current = updates.next().await;
    ///     while let Some(token) = current {
    ///         let mut request = "wss://api.example/feed".into_client_request()?;
    ///         request.headers_mut().bearer(&token);
    ///         let (socket, _) = connect_async(request).await?;
    ///         tokio::select! {
    ///             () = read(socket) => return Ok(()),
    ///             newer = updates.next() => current = newer,
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn updates(&self) -> Updates {
        let updates = Updates::new(Arc::downgrade(&self.0), self.0.telemetry.token_changes());
        // Events say if there is no token to be had.
        drop(self.started().acquire());
        updates
    }

    /// Returns a snapshot of what the session has done so far.
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
        Box::pin(self.started().fresh())
    }

    fn rejected(&self, token: &AccessToken) -> Renewal<AccessToken> {
        self.0.cell.reject(token.generation());
        self.fresh()
    }

    #[inline]
    fn served(&self, token: &AccessToken) {
        self.0.cell.served(token.generation());
    }

    fn step_up(&self, token: &AccessToken, challenge: &Challenge) -> Option<Renewal<AccessToken>> {
        Some(Box::pin(self.started().step_up(token.generation(), challenge)?))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.0.cell.lock().token();
        f.debug_struct("Session").field("id", &self.0.id).field("token", &token).finish_non_exhaustive()
    }
}
