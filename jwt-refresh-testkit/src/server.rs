//! The server: its thread, its routes, and the handle by which a test steers it.

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
    routing::{get, post},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{self, Runtime},
    sync::oneshot,
};

use crate::{
    AccountStats, Builder, Endpoint, Fault, Stats, Times,
    accounts::Accounts,
    api, auth,
    builder::Credentials,
    challenge,
    clock::Timestamp,
    gate::{self, Gate},
    issuer::Issuer,
    settings::Settings,
    shared::{Realm, Shared},
    signer::Signer,
    wire::{Cutter, WireListener},
};

/// How many connections may wait to be accepted. The customary 128 overflows when thousands of tasks connect at once,
/// and each connection lost there costs its client a second.
const BACKLOG: u32 = 4096;

/// An auth server and API on a free port of 127.0.0.1, with a thread of its own. Dropping it closes every connection and
/// frees the port before `drop` returns.
pub struct TestServer {
    addr: SocketAddr,
    base_url: String,
    shared: Arc<Shared>,
    /// Dropped to stop the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Starts a server with all defaults.
    ///
    /// # Panics
    ///
    /// As [`Builder::start`].
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A server to be set up before it starts.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn launch(settings: Settings, accounts: Accounts, credentials: Credentials) -> Self {
        // One thread is enough for some ten thousand requests a second, and leaves the other cores to the code under test.
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a file descriptor for the test server's runtime");
        let listener = bind(&runtime).expect("a free port on 127.0.0.1");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let base_url = format!("http://{addr}");

        let issuer = Issuer::new(settings, Signer::new(base_url.clone()));
        let realm = Realm { accounts, issuer };
        let shared = Arc::new(Shared::new(settings, credentials, realm));

        let (stop, stopped) = oneshot::channel();
        let router = router(&shared);
        let thread = thread::Builder::new()
            .name("jwt-refresh-testkit".to_owned())
            .spawn(move || serve(&runtime, listener, router, stopped))
            .expect("a thread for the test server");
        Self { addr, base_url, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Where the server listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The URL of `path`, which starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// The email address of the default account.
    pub fn email(&self) -> &str {
        &self.shared.credentials.email
    }

    /// The password that the default account had when the server started.
    pub fn password(&self) -> &str {
        &self.shared.credentials.password
    }

    /// The key of the default client of `POST /api/token`.
    pub fn key(&self) -> &str {
        &self.shared.credentials.key
    }

    /// The secret of the default client of `POST /api/token`.
    pub fn secret(&self) -> &str {
        &self.shared.credentials.secret
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// What was counted of one account so far.
    ///
    /// # Panics
    ///
    /// If there is no such account.
    pub fn account_stats(&self, email: &str) -> AccountStats {
        self.shared.realm().accounts.ledger(email).stats()
    }

    /// Makes `fault` strike the next requests to `endpoint`, so many times. Faults for the same endpoint strike one after
    /// the other, in the order in which they were injected.
    ///
    /// # Panics
    ///
    /// If the fault is a [`Fault::Status`] outside 200 to 599, or a [`Fault::Redirect`] that does not fit in a header.
    pub fn inject(&self, endpoint: Endpoint, fault: Fault, times: Times) {
        fault.check();
        self.shared.faults().push(endpoint, fault, times);
    }

    /// Forgets all faults that have not struck yet.
    pub fn clear_faults(&self) {
        self.shared.faults().clear();
    }

    /// Moves the server's clock forward, and with it the `Date` header and all that expires.
    ///
    /// # Panics
    ///
    /// If `by` is more than 584 years.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// From now on the API answers 401 to every access token issued so far, of whatever format. Refresh tokens stay valid.
    pub fn rotate_signing_key(&self) {
        self.shared.realm().issuer.rotate_key();
    }

    /// Makes every refresh token issued so far invalid, without counting as reuse. Access tokens stay valid.
    pub fn revoke_refresh_tokens(&self) {
        self.shared.realm().issuer.revoke_refresh_tokens();
    }

    /// From now on the API answers 401 to every access token that the account was issued so far. Its refresh tokens stay valid.
    pub fn revoke_access_tokens_of(&self, email: &str) {
        self.shared.realm().issuer.revoke_access_of(email);
    }

    /// Makes every refresh token that the account was issued so far invalid, without counting as reuse. Its access tokens stay
    /// valid.
    pub fn revoke_refresh_tokens_of(&self, email: &str) {
        self.shared.realm().issuer.revoke_refresh_of(email);
    }

    /// While `true`, the API answers 401 to every access token, also to those just issued.
    pub fn reject_access_tokens(&self, reject: bool) {
        self.shared.reject_access_tokens(reject);
    }

    /// Changes an account's password. Tokens issued so far stay valid.
    ///
    /// # Panics
    ///
    /// If there is no such account.
    pub fn set_password(&self, email: &str, new: &str) {
        self.shared.realm().accounts.set_password(email, new);
    }

    /// Bans an account: logins are answered 403, refreshes `invalid_grant`, and the API rejects its tokens.
    ///
    /// # Panics
    ///
    /// If there is no such account.
    pub fn ban(&self, email: &str) {
        self.shared.realm().accounts.set_banned(email, true);
    }

    /// Lifts a ban. Tokens that have not expired meanwhile are valid again.
    ///
    /// # Panics
    ///
    /// If there is no such account.
    pub fn unban(&self, email: &str) {
        self.shared.realm().accounts.set_banned(email, false);
    }

    /// Empties an account's bucket, as if somebody else had used its whole [rate](Builder::rate_limit) at once: calls are answered
    /// 429 until it has filled by one, and at its rate from then on. Without a rate limit there is nothing to empty.
    ///
    /// # Panics
    ///
    /// If there is no such account.
    pub fn use_up_rate(&self, email: &str) {
        let now = self.shared.clock.now();
        let mut realm = self.shared.realm();
        let ledger = realm.accounts.ledger(email);
        if let Some(limit) = self.shared.settings.rate_limit {
            ledger.use_up_rate(limit, now);
        }
    }

    /// Uses up an account's quota for so long, on the server's clock: the API answers its calls 403
    /// `{"error":"quota_exceeded"}`, with the time until its reset in `Retry-After`, in seconds, rounded up. Logins and
    /// refreshes go on, and new tokens do not bring it back.
    ///
    /// # Panics
    ///
    /// If there is no such account.
    pub fn use_up_quota(&self, email: &str, resets_in: Duration) {
        let until = self.shared.clock.now().after(resets_in);
        self.shared.realm().accounts.ledger(email).set_quota(until);
    }

    /// Gives an account its quota back before the time.
    ///
    /// # Panics
    ///
    /// If there is no such account.
    pub fn restore_quota(&self, email: &str) {
        self.shared.realm().accounts.ledger(email).set_quota(Timestamp::default());
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, its message is on stderr already.
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

fn bind(runtime: &Runtime) -> io::Result<TcpListener> {
    let _context = runtime.enter();
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(BACKLOG)
}

/// Serves until `stopped`; dropping the runtime then closes whatever connections are open.
fn serve(runtime: &Runtime, listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let service = router.into_make_service_with_connect_info::<Cutter>();
        tokio::spawn(axum::serve(WireListener(listener), service).into_future());
        let _ = stopped.await;
    });
}

fn router(shared: &Arc<Shared>) -> Router {
    let gate = |endpoint| {
        let shared = Arc::clone(shared);
        from_fn_with_state(Gate { shared, endpoint }, gate::pass)
    };
    let products = get(api::product).patch(api::rename_product).delete(api::delete_product);
    let api = Router::new()
        .route("/api/v1/products/{id}", products)
        .route("/api/v1/inventory/pricing", get(api::pricing))
        .route("/api/v1/reports/daily", get(api::daily_report))
        .route_layer(from_fn_with_state(Arc::clone(shared), api::guard))
        .route_layer(gate(Endpoint::Api));
    Router::new()
        .route("/api/auth/login", post(auth::login).route_layer(gate(Endpoint::Login)))
        .route("/api/auth/refresh", post(auth::refresh).route_layer(gate(Endpoint::Refresh)))
        .route("/api/auth/revoke", post(auth::revoke))
        .route("/api/token", post(auth::token).route_layer(gate(Endpoint::Token)))
        .route("/challenges/api/auth/jwt-with-refresh", get(challenge::document))
        .merge(api)
        .layer(map_response_with_state(Arc::clone(shared), set_date))
        .with_state(Arc::clone(shared))
}

/// Says what time it is on the server's clock; hyper would say what time it is on the machine's.
async fn set_date(State(shared): State<Arc<Shared>>, mut answer: Response) -> Response {
    let date = shared.clock.now().http_date();
    let date = HeaderValue::try_from(date).expect("an HTTP date is ASCII");
    answer.headers_mut().insert(header::DATE, date);
    answer
}
