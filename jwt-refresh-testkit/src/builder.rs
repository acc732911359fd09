//! The builder: every knob of a [`TestServer`], with its default.

use std::{fmt, time::Duration};

use crate::{
    Hints, RefreshAnswer, Rotation, TestServer, TokenFormat, accounts::Accounts, bucket::RateLimit, settings::Settings,
};

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
const KEY: &str = "demo-key";
const SECRET: &str = "demo-secret";

/// Sets up a [`TestServer`]; made by [`TestServer::builder`].
#[must_use = "a builder does nothing until `start` is called"]
pub struct Builder {
    settings: Settings,
    accounts: Accounts,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let mut accounts = Accounts::default();
        accounts.add(EMAIL, PASSWORD);
        accounts.add_client(KEY, SECRET);
        Self { settings: Settings::default(), accounts }
    }

    /// How long the access tokens of accounts live, to the nanosecond; 60 seconds unless set. Those of the key and
    /// secret endpoint always live for an hour.
    pub fn access_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.access_lifetime = lifetime;
        self
    }

    /// How long each refresh token lives from when it was issued, to the nanosecond; one hour unless set.
    pub fn refresh_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.refresh_lifetime = lifetime;
        self
    }

    /// Whether refresh tokens are good once or many times; [`Rotation::On`] unless set.
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.settings.rotation = rotation;
        self
    }

    /// What a refresh answers in `refresh_token` under [`Rotation::Off`]; [`RefreshAnswer::Omit`] unless set.
    pub fn refresh_answer(mut self, answer: RefreshAnswer) -> Self {
        self.settings.refresh_answer = answer;
        self
    }

    /// What access tokens look like; [`TokenFormat::Jwt`] unless set.
    pub fn token_format(mut self, format: TokenFormat) -> Self {
        self.settings.token_format = format;
        self
    }

    /// Where answers say how long access tokens live; [`Hints::Both`] unless set.
    pub fn lifetime_hints(mut self, hints: Hints) -> Self {
        self.settings.hints = hints;
        self
    }

    /// Whether `iat`, `nbf` and `exp` are cut to whole seconds, as most servers do; `false` unless set.
    ///
    /// The server goes by the `exp` that it wrote, so access tokens then live up to a second shorter than
    /// [`Builder::access_lifetime`]: one of 500 ms may be dead on arrival.
    pub fn whole_seconds(mut self, whole: bool) -> Self {
        self.settings.whole_seconds = whole;
        self
    }

    /// How long each answer of the login, refresh and token endpoints is held back, after the request took effect;
    /// zero unless set. A client that gives up meanwhile has lost an answer, not prevented a refresh.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.settings.latency = latency;
        self
    }

    /// By how many seconds the server's clock is ahead of the machine's, or behind it if negative; zero unless set.
    /// The `Date` header, `iat`, `nbf` and `exp` all follow the server's clock.
    pub fn date_shift(mut self, seconds: i64) -> Self {
        self.settings.date_shift = seconds;
        self
    }

    /// How many API calls each account may make a period, on the server's clock; as many as it likes unless set.
    ///
    /// Each account has a bucket of so many requests, which is full at first and fills evenly. A call that finds it empty is
    /// answered 429 `{"error":"rate_limited"}`, with `Retry-After` in seconds, rounded up. A call that is answered 401 takes
    /// nothing out, and tokens for a key and secret have no limit.
    ///
    /// # Panics
    ///
    /// If the rate lets nothing through.
    pub fn rate_limit(mut self, requests: u32, per: Duration) -> Self {
        self.settings.rate_limit = Some(RateLimit::new(requests, per));
        self
    }

    /// Adds an account, or changes the password of one that exists. A default account is always there:
    /// [`TestServer::email`], [`TestServer::password`].
    pub fn account(mut self, email: &str, password: &str) -> Self {
        self.accounts.add(email, password);
        self
    }

    /// Adds a key and secret for `POST /api/token`, or changes the secret of a key that exists. A default pair is
    /// always there: [`TestServer::key`], [`TestServer::secret`]. Both are compared as they arrive, without the form
    /// encoding of RFC 6749 §2.3.1, so let them be plain letters, digits, `-`, `.` and `_`.
    pub fn client(mut self, key: &str, secret: &str) -> Self {
        self.accounts.add_client(key, secret);
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    ///
    /// If the machine has no free port, thread or file descriptor left.
    pub fn start(self) -> TestServer {
        let credentials = Credentials {
            email: EMAIL.to_owned(),
            password: self.accounts.password(EMAIL).to_owned(),
            key: KEY.to_owned(),
            secret: self.accounts.secret(KEY).to_owned(),
        };
        TestServer::launch(self.settings, self.accounts, credentials)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The credentials that every server accepts at its start.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) key: String,
    pub(crate) secret: String,
}
