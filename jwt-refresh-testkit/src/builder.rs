//! The builder: every setting of a [`TestServer`], with its default.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Answer, Endpoint, Fault, Hints, ReceivedRequest, RefreshAnswer, Rotation, Route, StartError, TestServer, Times,
    TokenBinding, TokenFormat, TokenPair,
    accounts::Accounts,
    bucket::RateLimit,
    clock::Clock,
    demo,
    faults::Faults,
    routes::Routes,
    settings::Settings,
    token_endpoints::{TokenEndpoint, TokenEndpoints},
};

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
const KEY: &str = "demo-key";
const SECRET: &str = "demo-secret";

/// Configures a [`TestServer`]. [`TestServer::builder`] returns one.
#[must_use = "a builder does nothing until `start` is called"]
pub struct Builder {
    settings: Settings,
    binding: Option<TokenBinding>,
    /// Emails and passwords, keys and secrets, in the order in which they were given.
    accounts: Vec<(String, String)>,
    clients: Vec<(String, String)>,
    token_endpoints: TokenEndpoints,
    routes: Vec<Route>,
    faults: Vec<(Endpoint, Fault, Times)>,
    port: u16,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            binding: None,
            accounts: vec![(EMAIL.to_owned(), PASSWORD.to_owned())],
            clients: vec![(KEY.to_owned(), SECRET.to_owned())],
            token_endpoints: TokenEndpoints::default(),
            routes: Vec::new(),
            faults: Vec::new(),
            port: 0,
        }
    }

    /// Sets how long the access tokens of accounts live, to the nanosecond. The default is 60
    /// seconds. The access tokens of `POST /api/token` always live for an hour.
    pub fn access_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.access_lifetime = lifetime;
        self
    }

    /// Sets how long each refresh token lives after it is issued, to the nanosecond. The default is
    /// one hour.
    pub fn refresh_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.refresh_lifetime = lifetime;
        self
    }

    /// Sets whether a refresh token is valid once or many times. The default is [`Rotation::On`].
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.settings.rotation = rotation;
        self
    }

    /// Sets what a refresh answers in `refresh_token` under [`Rotation::Off`]. The default is
    /// [`RefreshAnswer::Omit`].
    pub fn refresh_answer(mut self, answer: RefreshAnswer) -> Self {
        self.settings.refresh_answer = answer;
        self
    }

    /// Sets the format of access tokens. The default is [`TokenFormat::Jwt`].
    pub fn token_format(mut self, format: TokenFormat) -> Self {
        self.settings.token_format = format;
        self
    }

    /// Sets where the lifetime of an access token is stated. The default is [`Hints::Both`].
    pub fn lifetime_hints(mut self, hints: Hints) -> Self {
        self.settings.hints = hints;
        self
    }

    /// Sets whether `iat`, `nbf` and `exp` are rounded down to whole seconds, as most servers do.
    /// The default is `false`.
    ///
    /// The server applies the rounded `exp`, so access tokens then live up to a second shorter than
    /// [`Builder::access_lifetime`]. With a lifetime of 500 ms, a token may have expired when it is
    /// issued.
    pub fn whole_seconds(mut self, whole: bool) -> Self {
        self.settings.whole_seconds = whole;
        self
    }

    /// Sets by how much each answer of the login, refresh and token endpoints is delayed, after the
    /// request took effect. The default is zero. If a client gives up during the delay, it loses
    /// the answer, but the login or refresh has happened.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.settings.latency = latency;
        self
    }

    /// Sets by how many seconds the server's clock is ahead of the machine's, or behind it if
    /// `seconds` is negative. The default is 0. The `Date` header, `iat`, `nbf` and `exp` all
    /// follow the server's clock.
    pub fn date_shift(mut self, seconds: i64) -> Self {
        self.settings.date_shift = seconds;
        self
    }

    /// Sets how many API calls each account may make in a period of `per`, on the server's clock.
    /// By default there is no limit.
    ///
    /// Each account has a token bucket for `requests` calls, which is full at first and fills
    /// evenly. A call that finds the bucket empty is answered 429 `{"error":"rate_limited"}`, with
    /// `Retry-After` in seconds, rounded up. A call that is answered 401 takes nothing from the
    /// bucket. Calls with a token of `POST /api/token` are not limited.
    ///
    /// # Panics
    ///
    /// If `requests` or `per` is zero.
    pub fn rate_limit(mut self, requests: u32, per: Duration) -> Self {
        self.settings.rate_limit = Some(RateLimit::new(requests, per));
        self
    }

    /// Binds the tokens of each login to something that the login's request had, as servers do that
    /// want to notice a stolen token. A refresh that comes otherwise is answered 400
    /// `invalid_grant`, and does not spend the refresh token; a call is answered 401
    /// `invalid_token`. By default tokens are bound to nothing but their account.
    pub fn bind_tokens(mut self, binding: TokenBinding) -> Self {
        self.binding = Some(binding);
        self
    }

    /// Adds an account, or changes the password of one that exists. Every server also has a default
    /// account: [`TestServer::email`], [`TestServer::password`].
    pub fn account(mut self, email: &str, password: &str) -> Self {
        self.accounts.push((email.to_owned(), password.to_owned()));
        self
    }

    /// Adds a key and secret for `POST /api/token`, or changes the secret of a key that exists.
    /// Every server also has a default pair: [`TestServer::key`], [`TestServer::secret`].
    ///
    /// Both are compared as they arrive, without the form encoding of RFC 6749 §2.3.1, so they
    /// should contain only letters, digits, `-`, `.` and `_`.
    pub fn client(mut self, key: &str, secret: &str) -> Self {
        self.clients.push((key.to_owned(), secret.to_owned()));
        self
    }

    /// Puts the login elsewhere, and has `credentials` read the email address and the password of
    /// an [account](Self::account) from a request. The default is `POST /api/auth/login` with
    /// `{"email", "password"}`.
    ///
    /// `method` and `path` are as in [`Route::new`]. A request in which `credentials` finds none is
    /// answered 400 `invalid_request`, and one with wrong ones 401. If the closure panics, the
    /// answer is 500 with what it said. It runs on the server's thread, as that of a [`Route`].
    ///
    /// ```
    /// # use jwt_refresh_testkit::TestServer;
    /// let server = TestServer::builder()
    ///     .login("POST", "/v2/session", |request| {
    ///         Some((request.field("user")?, request.field("pass")?))
    ///     })
    ///     .refresh("PUT", "/v2/session", |request| request.field("data.refreshToken"))
    ///     .start();
    /// ```
    pub fn login(
        mut self,
        method: &str,
        path: &str,
        credentials: impl Fn(&ReceivedRequest) -> Option<(String, String)> + Send + Sync + 'static,
    ) -> Self {
        self.token_endpoints.login = TokenEndpoint::new(method, path, Some(Box::new(credentials)));
        self
    }

    /// Puts the refresh elsewhere, and has `refresh_token` read the refresh token from a request: a
    /// field, a [cookie](ReceivedRequest::cookie), a [header](ReceivedRequest::header), or
    /// [a part of the path](ReceivedRequest::param). The default is `POST /api/auth/refresh` with
    /// `{"refresh_token"}`.
    ///
    /// All else is as for [`login`](Self::login). If both have one method and path, as OAuth 2.0
    /// has it, a request is a refresh if `refresh_token` finds one in it, and else a login:
    ///
    /// ```
    /// # use jwt_refresh_testkit::TestServer;
    /// let server = TestServer::builder()
    ///     .login("POST", "/oauth/token", |request| {
    ///         Some((request.field("username")?, request.field("password")?))
    ///     })
    ///     .refresh("POST", "/oauth/token", |request| request.field("refresh_token"))
    ///     .start();
    /// ```
    pub fn refresh(
        mut self,
        method: &str,
        path: &str,
        refresh_token: impl Fn(&ReceivedRequest) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.token_endpoints.refresh = TokenEndpoint::new(method, path, Some(Box::new(refresh_token)));
        self
    }

    /// Gives the answers to logins and refreshes that succeed another shape. The default is
    /// `{"access_token", "refresh_token", "token_type", "expires_in"}`; refusals are not changed.
    ///
    /// Here the tokens are in an object `data`, with a lifetime in milliseconds, and the refresh
    /// token is in a cookie:
    ///
    /// ```
    /// # use jwt_refresh_testkit::{Answer, TestServer};
    /// # use serde_json::json;
    /// let server = TestServer::builder()
    ///     .refresh("POST", "/renew", |request| Some(request.cookie("refresh")?.to_owned()))
    ///     .token_answer(|tokens| {
    ///         let ttl = u64::try_from(tokens.lifetime.as_millis()).unwrap();
    ///         let body = json!({ "data": { "token": tokens.access_token, "ttl": ttl } });
    ///         let refresh_token = tokens.refresh_token.as_deref().unwrap(); // it rotates
    ///         let cookie = format!("refresh={refresh_token}; Path=/renew; HttpOnly");
    ///         Answer::from(body).header("Set-Cookie", &cookie)
    ///     })
    ///     .start();
    /// ```
    ///
    /// A lifetime that the closure leaves out is stated in the claim `exp` alone, if
    /// [`lifetime_hints`](Self::lifetime_hints) has that. A closure that panics is answered as that
    /// of a [`login`](Self::login), and the tokens have been issued all the same.
    pub fn token_answer<A: Into<Answer>>(mut self, answer: impl Fn(&TokenPair) -> A + Send + Sync + 'static) -> Self {
        self.token_endpoints.answer = Some(Box::new(move |tokens| answer(tokens).into()));
        self
    }

    /// Adds a route of an API of your own. A server that has one does not serve the kit's API
    /// below `/api/v1`. The [endpoints](crate#endpoints) for tokens are always there, and requests
    /// to them reach no route.
    ///
    /// Calls need a valid access token, are limited and counted, and get the faults of
    /// [`Endpoint::Api`] and [`Endpoint::Route`].
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// Applies a fault from the start, as [`TestServer::inject`] does later.
    ///
    /// # Panics
    ///
    /// As [`TestServer::inject`], except that a fault for a route that the server does not have is
    /// an error of [`Builder::try_start`].
    pub fn inject(mut self, endpoint: Endpoint, fault: Fault, times: Times) -> Self {
        fault.check();
        self.faults.push((endpoint, fault, times));
        self
    }

    /// Sets the port of 127.0.0.1 that the server listens on. The default is 0, for a free port
    /// that the system chooses.
    ///
    /// A test that stops a server and starts another in its place gives the other the port of the
    /// first. Tests that run at the same time cannot have one port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    ///
    /// If [`Builder::try_start`] fails, with the text of its error.
    #[track_caller]
    pub fn start(self) -> TestServer {
        match self.try_start() {
            Ok(server) => server,
            Err(error) => panic!("the test server does not start: {error}"),
        }
    }

    /// Starts the server, for a program that goes on if it does not start. Tests call
    /// [`Builder::start`].
    ///
    /// # Errors
    ///
    /// If two routes are for the same requests, a route cannot be, a fault is for a route that is
    /// not there, the port is in use, or the machine has no port, thread or file descriptor left.
    pub fn try_start(self) -> Result<TestServer, StartError> {
        let clock = Arc::new(Clock::new(self.settings.date_shift));
        let (routes, scope) = if self.routes.is_empty() {
            (Routes::new(&self.token_endpoints, demo::routes(Arc::clone(&clock)))?, demo::SCOPE.to_owned())
        } else {
            let routes = Routes::new(&self.token_endpoints, self.routes)?;
            let scope = routes.scopes().join(" ");
            (routes, scope)
        };
        let mut accounts = Accounts::new(&scope);
        for (email, password) in &self.accounts {
            accounts.add(email, password);
        }
        for (key, secret) in &self.clients {
            accounts.add_client(key, secret);
        }
        let credentials = Credentials {
            email: EMAIL.to_owned(),
            password: accounts.password(EMAIL).to_owned(),
            key: KEY.to_owned(),
            secret: accounts.secret(KEY).to_owned(),
        };
        let mut faults = Faults::default();
        for (endpoint, fault, times) in self.faults {
            routes.check_endpoint(endpoint)?;
            faults.push(endpoint, fault, times);
        }
        let Self { settings, binding, token_endpoints, port, .. } = self;
        TestServer::launch(Plan {
            settings,
            binding,
            credentials,
            accounts,
            clock,
            routes,
            token_endpoints,
            faults,
            port,
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
            .field("token_endpoints", &self.token_endpoints)
            .field("routes", &self.routes)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// The default credentials of a server, as they were when it started.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) key: String,
    pub(crate) secret: String,
}

/// What a server starts with, after it was checked.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) binding: Option<TokenBinding>,
    pub(crate) credentials: Credentials,
    pub(crate) accounts: Accounts,
    pub(crate) clock: Arc<Clock>,
    pub(crate) routes: Routes,
    pub(crate) token_endpoints: TokenEndpoints,
    pub(crate) faults: Faults,
    pub(crate) port: u16,
}
