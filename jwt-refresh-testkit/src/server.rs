//! The server: its thread, its routes, and the handle with which a test controls it.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, header},
    middleware::{from_fn_with_state, map_response_with_state},
    response::Response,
};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{self, Runtime},
    sync::oneshot,
};

use crate::{
    AccountStats, Builder, Endpoint, Fault, ReceivedRequest, StartError, Stats, Times,
    builder::Plan,
    clock::Timestamp,
    connection::{ConnectionListener, Origin},
    dispatch, intercept, routes,
    shared::Shared,
};

/// How many connections may wait to be accepted. The usual 128 overflow when thousands of tasks
/// connect at once, and a client whose connection is dropped then waits a second before it tries
/// again.
const BACKLOG: u32 = 4096;

/// An auth server and API on a free port of 127.0.0.1, with a thread of its own.
///
/// Dropping it closes all connections and frees the port before `drop` returns.
pub struct TestServer {
    addr: SocketAddr,
    base_url: String,
    shared: Arc<Shared>,
    /// Dropped to stop the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Starts a server with the default settings, which serves the API that the
    /// [crate](crate#the-kits-own-api) describes.
    ///
    /// # Panics
    ///
    /// If the machine has no free port, thread or file descriptor left.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Returns a builder, with which a server is configured before it starts.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn launch(plan: Plan) -> Result<Self, StartError> {
        // One thread serves some ten thousand requests a second, and leaves the other cores to the
        // code under test.
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Resources)?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, plan.port));
        let listener = bind(&runtime, addr).map_err(|source| StartError::Listen { addr, source })?;
        let addr = listener.local_addr().map_err(StartError::Resources)?;
        let base_url = format!("http://{addr}");

        let shared = Arc::new(Shared::new(plan, base_url.clone()));
        let (stop, stopped) = oneshot::channel();
        let router = router(&shared);
        let thread = thread::Builder::new()
            .name("jwt-refresh-testkit".to_owned())
            .spawn(move || serve(&runtime, listener, router, stopped))
            .map_err(StartError::Resources)?;
        Ok(Self { addr, base_url, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the address that the server listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Returns the URL of `path`, which starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// Returns the email address of the default account.
    pub fn email(&self) -> &str {
        &self.shared.credentials.email
    }

    /// Returns the password that the default account had when the server started.
    pub fn password(&self) -> &str {
        &self.shared.credentials.password
    }

    /// Returns the key of the default client of `POST /api/token`.
    pub fn key(&self) -> &str {
        &self.shared.credentials.key
    }

    /// Returns the secret of the default client of `POST /api/token`.
    pub fn secret(&self) -> &str {
        &self.shared.credentials.secret
    }

    /// Returns what the server has counted so far.
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// Returns what the server has counted so far for one account.
    ///
    /// # Panics
    ///
    /// If there is no account with this email address.
    pub fn account_stats(&self, email: &str) -> AccountStats {
        self.shared.auth_state().accounts.usage(email).stats()
    }

    /// Returns the requests that the server received, of all endpoints, in the order of their
    /// arrival. A request is among them before its answer is sent, and even if a fault or the check
    /// of its token keeps it from being processed.
    ///
    /// Only the last 1000 requests are kept, and fewer if their bodies have over 64 MiB together.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.request_log().all()
    }

    /// Applies `fault` to the next requests to `endpoint`, as often as `times` says. Each request
    /// gets at most one fault: of the faults for its endpoint, the one that was injected first.
    ///
    /// # Panics
    ///
    /// If the fault is a [`Fault::Status`] or [`Fault::Answer`] outside 200 to 599, a
    /// [`Fault::Redirect`] that does not fit in a header, or a [`Fault::WrongField`] that is not
    /// JSON, or if the server does not have the route of an [`Endpoint::Route`].
    #[track_caller]
    pub fn inject(&self, endpoint: Endpoint, fault: Fault, times: Times) {
        fault.check();
        if let Err(error) = self.shared.routes.check_endpoint(endpoint) {
            panic!("{error}");
        }
        self.shared.faults().push(endpoint, fault, times);
    }

    /// Discards all faults that have not been applied yet.
    pub fn clear_faults(&self) {
        self.shared.faults().clear();
    }

    /// Moves the server's clock forward. The `Date` header follows it, and access tokens and
    /// refresh tokens expire by it.
    ///
    /// # Panics
    ///
    /// If `by` is more than 584 years.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// Sets how long the access tokens of accounts live that are issued from now on, in place of
    /// [`Builder::access_lifetime`]. Those issued before expire when they would have.
    pub fn set_access_lifetime(&self, lifetime: Duration) {
        self.shared.auth_state().issuer.set_access_lifetime(lifetime);
    }

    /// Sets a claim of the JWTs that are issued from now on, in addition to `iss`, `sub`, `aud`,
    /// `iat`, `nbf`, `exp`, `jti`, `email` and `scope`, or in place of one of these.
    ///
    /// The server does not read claims: a token with another `exp` or `scope` is valid as long, and
    /// for the same routes, as it would be without.
    ///
    /// ```
    /// # use jwt_refresh_testkit::TestServer;
    /// # use serde_json::json;
    /// let server = TestServer::start();
    /// server.set_claim("tenant", json!("acme"));
    /// server.set_claim("exp", json!("soon")); // a client must bear nonsense, too
    /// ```
    pub fn set_claim(&self, name: &str, value: Value) {
        self.shared.auth_state().issuer.set_claim(name, value);
    }

    /// Sets the scopes of an account's access tokens that are issued from now on, with spaces
    /// between them. Without this they have all scopes that the [routes](Builder::route) of the
    /// server need.
    ///
    /// # Panics
    ///
    /// If there is no account with this email address, or `scope` is not a list of scopes (RFC 6749
    /// §3.3). The empty text is a list of none.
    #[track_caller]
    pub fn set_scope(&self, email: &str, scope: &str) {
        let is_list = scope.is_empty() || scope.split(' ').all(routes::is_scope);
        assert!(is_list, "{scope:?} is not a list of scopes");
        self.shared.auth_state().accounts.set_scope(email, scope);
    }

    /// Replaces the signing key: from now on the API answers 401 to every access token issued so
    /// far, in any format. Refresh tokens stay valid.
    pub fn rotate_signing_key(&self) {
        self.shared.auth_state().issuer.rotate_key();
    }

    /// Revokes every refresh token issued so far. A refresh with one of them is refused, but is not
    /// counted as reuse. Access tokens stay valid.
    pub fn revoke_refresh_tokens(&self) {
        self.shared.auth_state().issuer.revoke_refresh_tokens();
    }

    /// Revokes every access token that was issued to the account so far: the API answers them 401.
    /// The account's refresh tokens stay valid. Does nothing if there is no such account.
    pub fn revoke_access_tokens_of(&self, email: &str) {
        self.shared.auth_state().issuer.revoke_access_of(email);
    }

    /// Revokes every refresh token that was issued to the account so far. A refresh with one of
    /// them is refused, but is not counted as reuse. The account's access tokens stay valid. Does
    /// nothing if there is no such account.
    pub fn revoke_refresh_tokens_of(&self, email: &str) {
        self.shared.auth_state().issuer.revoke_refresh_of(email);
    }

    /// Makes the API answer 401 to every access token, including new ones, until this is called
    /// with `false`.
    pub fn reject_access_tokens(&self, reject: bool) {
        self.shared.reject_access_tokens(reject);
    }

    /// Changes an account's password. Tokens issued so far stay valid.
    ///
    /// A session that was refused the old password does not send a password again by itself. It
    /// goes on after a `login()` that succeeds, which reads its secrets anew, after `adopt()` with
    /// new tokens, or when another process puts tokens into its store. A pool tries again when the
    /// account's quarantine ends.
    ///
    /// # Panics
    ///
    /// If there is no account with this email address.
    pub fn set_password(&self, email: &str, new: &str) {
        self.shared.auth_state().accounts.set_password(email, new);
    }

    /// Bans an account: its logins are answered 403 and its refreshes 400 `invalid_grant`, and the
    /// API answers its access tokens 401.
    ///
    /// # Panics
    ///
    /// If there is no account with this email address.
    pub fn ban(&self, email: &str) {
        self.shared.auth_state().accounts.set_banned(email, true);
    }

    /// Lifts a ban. The account's tokens that have not expired meanwhile are valid again. A session
    /// whose login was refused meanwhile does not notice: see
    /// [`set_password`](Self::set_password) for what makes it go on.
    ///
    /// # Panics
    ///
    /// If there is no account with this email address.
    pub fn unban(&self, email: &str) {
        self.shared.auth_state().accounts.set_banned(email, false);
    }

    /// Empties an account's bucket, as if another client had used its whole
    /// [rate](Builder::rate_limit) at once. Calls are answered 429 until the bucket has filled by
    /// one, and succeed at the rate from then on. Does nothing if the server has no rate limit.
    ///
    /// # Panics
    ///
    /// If there is no account with this email address.
    pub fn use_up_rate(&self, email: &str) {
        let now = self.shared.clock.now();
        let mut auth_state = self.shared.auth_state();
        let usage = auth_state.accounts.usage(email);
        if let Some(limit) = self.shared.settings.rate_limit {
            usage.use_up_rate(limit, now);
        }
    }

    /// Uses up an account's quota until `resets_in` has passed on the server's clock. Until then
    /// the API answers the account's calls 403 `{"error":"quota_exceeded"}`, with the time until
    /// the reset in `Retry-After`, in seconds, rounded up. Logins and refreshes still succeed, and
    /// new tokens do not restore the quota.
    ///
    /// # Panics
    ///
    /// If there is no account with this email address.
    pub fn use_up_quota(&self, email: &str, resets_in: Duration) {
        let until = self.shared.clock.now().after(resets_in);
        self.shared.auth_state().accounts.usage(email).set_quota(until);
    }

    /// Restores an account's quota before its reset.
    ///
    /// # Panics
    ///
    /// If there is no account with this email address.
    pub fn restore_quota(&self, email: &str) {
        self.shared.auth_state().accounts.usage(email).set_quota(Timestamp::default());
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the panic hook has printed the message.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer")
            .field("base_url", &self.base_url)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

fn bind(runtime: &Runtime, addr: SocketAddr) -> io::Result<TcpListener> {
    let _context = runtime.enter();
    let socket = TcpSocket::new_v4()?;
    // Without this a port that a server has just left cannot be taken for a minute, since its
    // closed connections linger. On Windows they do not, and it would let two servers share a port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Serves until `stopped` ends. The caller then drops the runtime, which closes the connections
/// that are still open.
fn serve(runtime: &Runtime, listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let service = router.into_make_service_with_connect_info::<Origin>();
        tokio::spawn(axum::serve(ConnectionListener(listener), service).into_future());
        let _ = stopped.await;
    });
}

fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .fallback(dispatch::answer)
        .layer(from_fn_with_state(Arc::clone(shared), intercept::intercept))
        .layer(from_fn_with_state(Arc::clone(shared), dispatch::receive))
        .layer(map_response_with_state(Arc::clone(shared), set_date))
        .with_state(Arc::clone(shared))
}

/// Sets the `Date` header by the server's clock, unless the answer has one. Otherwise hyper would
/// set it by the machine's.
async fn set_date(State(shared): State<Arc<Shared>>, mut answer: Response) -> Response {
    let date = shared.clock.now().http_date();
    let date = HeaderValue::try_from(date).expect("an HTTP date is ASCII");
    answer.headers_mut().entry(header::DATE).or_insert(date);
    answer
}
