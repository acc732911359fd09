//! The builder: every setting of a [`TestServer`], with its default.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Endpoint, Fault, Hints, RefreshAnswer, Rotation, Route, StartError, TestServer, Times, TokenBinding, TokenFormat,
    accounts::Accounts, bucket::RateLimit, clock::Clock, demo, faults::Faults, routes::Routes, settings::Settings,
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
            (Routes::new(demo::routes(Arc::clone(&clock)))?, demo::SCOPE.to_owned())
        } else {
            let routes = Routes::new(self.routes)?;
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
        let plan = Plan {
            settings: self.settings,
            binding: self.binding,
            credentials,
            accounts,
            clock,
            routes,
            faults,
            port: self.port,
        };
        TestServer::launch(plan)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
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
    pub(crate) faults: Faults,
    pub(crate) port: u16,
}
