//! One setting for all HTTP clients of an account or a session.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock, OnceLock, Weak};
use std::time::Duration;

use reqwest::redirect;

use crate::error::{Error, ErrorKind};
use crate::sync::Mutex;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The policy's time-out counts (`time_limit`), and no other. A client takes no time-out back that
/// it was given, so it is given one that is never reached: a year.
const NO_TIMEOUT: Duration = Duration::from_secs(365 * 86_400);
/// Where the names of this machine lead. The port is that of the URL.
const LOOPBACK: [SocketAddr; 2] =
    [SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0)];

/// The HTTP client of an account or a session: one setting, by which its logins, its refreshes and
/// its calls have the same proxy, address, certificates, `User-Agent`, headers and cookies. Some
/// servers bind a token to these, and refuse a refresh or a call that comes otherwise.
///
/// It is made of a closure that returns reqwest's client builder. An
/// [authenticator](crate::HttpAuthenticatorBuilder::client) or an
/// [account of a pool](crate::pool::Account::client) takes the closure itself, too.
///
/// ```
/// # fn main() -> Result<(), jwt_refresh::Error> {
/// use jwt_refresh::{HttpAuthenticator, HttpClient, Session};
///
/// let client = HttpClient::new(|| reqwest::Client::builder().user_agent("catalog/1.0"));
/// let login = HttpAuthenticator::builder("https://api.example/auth/login")
///     .field("email", "ada@example.com")
///     .secret_field("password", "correct horse battery staple")
///     .client(client.clone())
///     .build()?;
/// let (http, session) = (client.calls()?, Session::new(login));
/// # Ok(()) }
/// ```
///
/// Two clients of reqwest come of it, because a client that sends credentials follows no redirect,
/// and keeps no connection. To share cookies among them, let the closure give both one jar
/// (`cookie_provider`, of reqwest's feature `cookies`).
///
/// Clones are one setting, and share the clients. So do all authenticators for which nothing was
/// set.
#[derive(Clone)]
pub struct HttpClient(Arc<Setting>);

struct Setting {
    builder: Box<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>,
    calls: OnceLock<reqwest::Client>,
    /// The clients that send credentials and are in use. Each takes about 100 KiB.
    exchanges: Mutex<Vec<(LocalEndpoints, Weak<reqwest::Client>)>>,
}

/// What a client that sends credentials has to know of endpoints on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LocalEndpoints {
    /// The names of this machine in the endpoints' URLs.
    pub(super) names: BTreeSet<String>,
    /// Whether no proxy may see the credentials.
    pub(super) plaintext: bool,
}

impl HttpClient {
    /// Returns the setting of this client builder. The closure is called for each client that is
    /// made.
    pub fn new(builder: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static) -> Self {
        Self(Arc::new(Setting { builder: Box::new(builder), calls: OnceLock::new(), exchanges: Mutex::default() }))
    }

    /// Returns the client for calls, as the closure sets it up. All calls get the same one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if reqwest does not accept the settings.
    pub fn calls(&self) -> Result<reqwest::Client, Error> {
        if let Some(client) = self.0.calls.get() {
            return Ok(client.clone());
        }
        let client = (self.0.builder)().build().map_err(refused)?;
        Ok(self.0.calls.get_or_init(|| client).clone())
    }

    /// Returns a client for the logins and refreshes of an authenticator of your own. It follows no
    /// redirect, keeps no connection, repeats nothing, and its only time-out is that for the
    /// connection: the [`Policy`](crate::Policy) has the others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if reqwest does not accept the settings.
    pub fn exchanges(&self) -> Result<reqwest::Client, Error> {
        self.shared_exchanges(&LocalEndpoints::default()).map(|client| (*client).clone())
    }

    /// Returns the client that sends credentials to these endpoints. While it is in use, it is
    /// shared.
    pub(super) fn shared_exchanges(&self, local: &LocalEndpoints) -> Result<Arc<reqwest::Client>, Error> {
        let shared = |clients: &[(LocalEndpoints, Weak<reqwest::Client>)]| {
            clients.iter().find(|(endpoints, _)| endpoints == local).and_then(|(_, client)| client.upgrade())
        };
        if let Some(client) = shared(&self.0.exchanges.lock()) {
            return Ok(client);
        }
        let built = Arc::new(local.apply((self.0.builder)()).build().map_err(refused)?);
        let mut clients = self.0.exchanges.lock();
        // Another thread may have built one meanwhile.
        if let Some(client) = shared(&clients) {
            return Ok(client);
        }
        clients.retain(|(_, client)| client.strong_count() > 0);
        clients.push((local.clone(), Arc::downgrade(&built)));
        Ok(built)
    }

    /// Returns this setting with a proxy for everything.
    pub(crate) fn with_proxy(&self, url: &str) -> Result<Self, Error> {
        let proxy = reqwest::Proxy::all(url).map_err(|error| {
            let error = Error::new(ErrorKind::Configuration, "the proxy is not a URL").caused_by(error.without_url());
            error.advising("write it as `http://proxy.example:3128`")
        })?;
        Ok(self.with(move |builder| builder.proxy(proxy.clone())))
    }

    /// Returns this setting with the address that connections come from.
    pub(crate) fn with_local_address(&self, address: IpAddr) -> Self {
        self.with(move |builder| builder.local_address(address))
    }

    fn with(&self, change: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync + 'static) -> Self {
        let setting = Arc::clone(&self.0);
        Self::new(move || change((setting.builder)()))
    }
}

impl LocalEndpoints {
    /// Adds what credentials require to a user's settings.
    fn apply(&self, client: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        // `no_proxy` also turns off the proxies of the environment.
        let client = if self.plaintext || !self.names.is_empty() { client.no_proxy() } else { client };
        // The last address that a client is given for a name counts, so it is not the user's.
        let pin = |client: reqwest::ClientBuilder, name: &String| client.resolve_to_addrs(name, &LOOPBACK);
        let client = self.names.iter().fold(client, pin);
        client
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(NO_TIMEOUT)
            .read_timeout(NO_TIMEOUT)
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
    }
}

fn refused(error: reqwest::Error) -> Error {
    Error::new(ErrorKind::Configuration, "the HTTP client cannot be set up").caused_by(error)
}

impl Default for HttpClient {
    /// reqwest's own settings, the same for the whole process. Proxies of the environment are read
    /// when its client is made.
    fn default() -> Self {
        static DEFAULT: LazyLock<HttpClient> = LazyLock::new(|| HttpClient::new(reqwest::Client::builder));
        DEFAULT.clone()
    }
}

impl<F: Fn() -> reqwest::ClientBuilder + Send + Sync + 'static> From<F> for HttpClient {
    fn from(builder: F) -> Self {
        Self::new(builder)
    }
}

impl fmt::Debug for HttpClient {
    /// Leaves out the settings, because headers and the URL of a proxy may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}
