//! An account of a pool, as its user describes it.

use std::fmt;
#[cfg(feature = "reqwest")]
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::limit::{Limit, own_rules, shared_limits};
use super::limits::{EndpointIndex, GroupIndex, Limits, Pin, Pinned, TagIndex, Tier};
use super::start::{FirstToken, NoLogin, Start};
#[cfg(feature = "reqwest")]
use crate::authenticator::HttpClient;
use crate::authenticator::{Authenticator, DynAuthenticator};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::secret::Secret;
use crate::session::StoredAccount;
use crate::token::{RefreshToken, Tokens};

/// An account to be added to a [`Pool`](super::Pool): how it logs in, and what may be asked of it.
/// By default nothing limits its calls.
///
/// ```
/// # use std::time::Duration;
/// # use jwt_refresh::pool::Account;
/// # use jwt_refresh::Authenticator;
/// # fn account(login: impl Authenticator) -> Account {
/// Account::new("ada@example.com", login)
///     .rate(10, Duration::from_secs(1))
///     .burst(3)
///     .concurrency(4)
///     .tag("eu")
/// # }
/// ```
#[must_use = "an account does nothing until it is added to a pool"]
pub struct Account {
    pub(super) identity: Arc<dyn NamedAuthenticator>,
    start: Start,
    #[cfg(feature = "reqwest")]
    client: HttpClient,
    pin: Option<Pin>,
    /// What was said of the account that cannot be.
    mistake: Option<&'static str>,
    pub(super) tags: Vec<String>,
    pub(super) rate: Option<(u32, Duration)>,
    pub(super) burst: u32,
    pub(super) concurrency: u32,
    pub(super) usage_cap: u32,
    pub(super) weight: u32,
    pub(super) tier: Tier,
    pub(super) further: Vec<Limit>,
}

impl Account {
    /// Returns an account that logs in by `authenticator`, without limits.
    ///
    /// The name is your choice; no other account of the pool may have it. It is shown in logs and
    /// in the pool's status, so it must not be secret.
    pub fn new(name: impl Into<String>, authenticator: impl Authenticator) -> Self {
        Self {
            identity: Arc::new(Named { name: name.into().into(), authenticator }),
            start: Start::LogIn,
            #[cfg(feature = "reqwest")]
            client: HttpClient::default(),
            pin: None,
            mistake: None,
            tags: Vec::new(),
            rate: None,
            burst: 1,
            concurrency: u32::MAX,
            usage_cap: u32::MAX,
            weight: 1,
            tier: 0,
            further: Vec::new(),
        }
    }

    /// Returns an account whose token is an API key, which has neither login nor expiry. It serves
    /// at once, and takes no part in exchanges. `.bearer(&lease)` sends the key, as
    /// `Authorization: Bearer …` or in [another header](Self::header).
    ///
    /// If the server answers 401 to it, the account goes into quarantine
    /// ([`KeyRejected`](super::QuarantineCause::KeyRejected)) and does not return by itself.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use jwt_refresh::Secret;
    /// # use jwt_refresh::pool::Account;
    /// # fn account(key: Secret) -> Account {
    /// Account::api_key("team-a", key).header("x-api-key").rate(10, Duration::from_secs(1))
    /// # }
    /// ```
    ///
    /// The pool refuses the account if the key is empty or has a character that its header cannot
    /// have, if an account of the pool has the same key already, or if the account has a
    /// [usage cap](Self::usage_cap), because a key cannot be renewed.
    pub fn api_key(name: impl Into<String>, key: impl Into<Secret>) -> Self {
        Self { start: Start::Key { secret: key.into(), header: None }, ..Self::new(name, NoLogin) }
    }

    /// Sets the header that the account's [API key](Self::api_key) is sent in, without a scheme
    /// before it, such as `x-api-key`. The pool refuses the account if this is not the name of a
    /// header, or if the account has no API key.
    pub fn header(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        match &mut self.start {
            Start::Key { header, .. } => *header = Some(name),
            Start::LogIn | Start::Tokens(_) => self.mistake = Some("only an API key can have a header of its own"),
        }
        self
    }

    /// Returns an account that cannot log in, and serves with [tokens](Self::tokens) that were
    /// captured elsewhere until they end. Then it goes into quarantine
    /// ([`NoLogin`](super::QuarantineCause::NoLogin)) and does not return by itself.
    ///
    /// An account that can refresh such tokens has an authenticator:
    /// `Account::new(name, HttpAuthenticator::refresh_grant(url).build()?).tokens(tokens)`.
    pub fn without_login(name: impl Into<String>) -> Self {
        Self::new(name, NoLogin)
    }

    /// Starts with tokens that were captured elsewhere instead of a login: with the access token
    /// while it lives, then by a refresh, and if that is refused, by a login.
    ///
    /// The pool refuses the account if it has an [API key](Self::api_key).
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        match self.start {
            Start::Key { .. } => self.mistake = Some("an API key is an account's only token"),
            Start::LogIn | Start::Tokens(_) => self.start = Start::Tokens(Box::new(tokens)),
        }
        self
    }

    /// Limits the account to `requests` calls in each period of length `per`, evenly spread. Every
    /// lease counts as a call. Unlimited by default.
    ///
    /// This is the short form of [`limit(Limit::requests(…))`](Self::limit). An even rate is not
    /// quite what a server sees that counts in windows: of 100 windows of one second, 42 to 47 have
    /// one or two calls more. [`Limit`] says why, and what to do about a server that minds.
    ///
    /// If `requests` or `per` is zero, the pool refuses the account.
    pub fn rate(mut self, requests: u32, per: Duration) -> Self {
        self.rate = Some((requests, per));
        self
    }

    /// Sets how many calls may be made at once after the account was idle, within its
    /// [rate](Self::rate); without a rate this has no effect. Default 1.
    ///
    /// If the account has a rate and `requests` is zero, the pool refuses the account.
    pub fn burst(mut self, requests: u32) -> Self {
        self.burst = requests;
        self
    }

    /// Limits the account to `requests` calls in any window of length `per`, wherever it begins:
    /// the short form of `limit(Limit::requests(requests, per).strict())`.
    pub fn strict_rate(self, requests: u32, per: Duration) -> Self {
        self.limit(Limit::requests(requests.into(), per).strict())
    }

    /// Adds a limit. An account may have any number of limits, beside its [rate](Self::rate), and
    /// each of them holds.
    ///
    /// If the limit lets nothing through, the pool refuses the account; also if the limit is
    /// [shared](Limit::shared), and another account has another limit of the same name.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.further.push(limit);
        self
    }

    /// Sets how many leases of the account may be held at once. Unlimited by default; 0 is taken
    /// as 1.
    pub fn concurrency(mut self, leases: u32) -> Self {
        self.concurrency = leases.max(1);
        self
    }

    /// Sets after how many leases a token is replaced by a new one. The account does not serve
    /// until it has the new token. Unlimited by default; 0 is taken as 1.
    pub fn usage_cap(mut self, leases: u32) -> Self {
        self.usage_cap = leases.max(1);
        self
    }

    /// Sets the account's share of the calls, relative to the weights of other accounts, for
    /// [`Selection::Weighted`](super::Selection::Weighted). Default 1; 0 is taken as 1, and from
    /// 268 million on weights are taken as equal.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight.max(1);
        self
    }

    /// Sets the account's tier. Default 0, the tier that serves first. Tier 1 serves while no
    /// account of tier 0 (with the tag that is asked for) can serve at once, tier 2 while none of
    /// tiers 0 and 1 can, and so on: as among the MX records of a domain, the lowest number is
    /// preferred. As soon as an account of a lower number can serve again, it does.
    ///
    /// The pool's [selection](super::Selection) decides within a tier. A
    /// [key](super::LeaseRequest::key) belongs to an account of the first tier that has a live
    /// token, and waits for that account.
    pub fn tier(mut self, tier: u8) -> Self {
        self.tier = tier;
        self
    }

    /// Adds a tag that a lease can ask for, such as a scope, a region or a plan. An account may
    /// have many tags.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Pins a value that every lease of the account hands out, of any type: see
    /// [`Lease::pinned`](super::Lease::pinned). A later call replaces the value.
    pub fn pin<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.pin = Some(Arc::new(value));
        self
    }

    /// Gives the account an HTTP client of its own: a closure that returns reqwest's client
    /// builder, or a [`HttpClient`]. Its logins and refreshes use it, and its calls get it from
    /// their lease ([`Lease::client`](super::Lease::client)), so all of them have the same proxy,
    /// address, `User-Agent`, headers and cookies.
    ///
    /// The account is given up to two clients of reqwest, of about 100 KiB each, which accounts
    /// with the same [`HttpClient`] share. For logins and refreshes at this machine, what
    /// [`HttpAuthenticatorBuilder::client`](crate::HttpAuthenticatorBuilder::client) says of
    /// proxies holds here, too.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if reqwest does not accept the settings,
    /// or if the authenticator takes no client
    /// ([`Authenticator::with_client`](crate::Authenticator::with_client)).
    #[cfg(feature = "reqwest")]
    pub fn client(mut self, client: impl Into<HttpClient>) -> Result<Self, Error> {
        let client = client.into();
        self.identity = self.identity.with_clients(&client, client.calls()?)?;
        self.client = client;
        Ok(self)
    }

    /// Sends the account's logins, refreshes and calls through a proxy, such as
    /// `http://user:password@proxy.example:3128`: its [client](Self::client) with this proxy.
    ///
    /// # Errors
    ///
    /// As there, and if `url` is not the URL of a proxy.
    #[cfg(feature = "reqwest")]
    pub fn proxy(self, url: &str) -> Result<Self, Error> {
        let client = self.client.with_proxy(url)?;
        self.client(client)
    }

    /// Sends the account's logins, refreshes and calls from this address of the machine: its
    /// [client](Self::client) with this source address.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "reqwest")]
    pub fn local_address(self, address: IpAddr) -> Result<Self, Error> {
        let client = self.client.with_local_address(address);
        self.client(client)
    }

    /// Returns the account with a value of any type pinned to it, if there is one.
    #[cfg(feature = "redis")]
    pub(super) fn pinned(mut self, pin: Option<Pin>) -> Self {
        self.pin = pin;
        self
    }

    /// Returns an error if what was said of the account cannot be.
    pub(super) fn check(&self) -> Result<(), Error> {
        let capped_key = (self.has_api_key() && self.usage_cap != u32::MAX).then_some("an API key has no usage cap");
        let Some(mistake) = self.mistake.or(capped_key) else { return Ok(()) };
        let what = format!("the account {:?}: {mistake}", self.identity.name());
        Err(Error::new(ErrorKind::Configuration, what))
    }

    /// Returns whether the account has an API key, which no store keeps.
    pub(super) fn has_api_key(&self) -> bool {
        matches!(self.start, Start::Key { .. })
    }

    /// Takes the tokens that the account was to start with, for a pool that has a store: they may
    /// be older than those of the store.
    pub(super) fn take_captured(&mut self) -> Option<Tokens> {
        match std::mem::take(&mut self.start) {
            Start::Tokens(tokens) => Some(*tokens),
            other => {
                self.start = other;
                None
            }
        }
    }

    /// Takes the account's first token, if it has one without a login.
    ///
    /// # Errors
    ///
    /// [`Configuration`](ErrorKind::Configuration) if it is an API key that cannot be sent.
    pub(super) fn first_token(&mut self, policy: &Policy, now: Moment) -> Result<Option<FirstToken>, Error> {
        let start = std::mem::take(&mut self.start);
        start.first_token(self.identity.name(), policy, now)
    }

    /// Returns the limits that the account shares with others, with their names.
    pub(super) fn shared_limits(&self) -> impl Iterator<Item = (&str, &Limit)> {
        shared_limits(&self.further)
    }

    /// Returns the account's limits, with its tags, its group and its endpoint as the pool
    /// numbers them.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if a limit lets nothing through.
    pub(super) fn limits(
        &self,
        tags: Box<[TagIndex]>,
        group: Option<GroupIndex>,
        endpoint: EndpointIndex,
    ) -> Result<Limits, Error> {
        let rate = self.rate.map(|(requests, per)| Limit::requests(requests.into(), per).burst(self.burst.into()));
        let (rate, further) = own_rules(rate.iter().chain(&self.further))?;
        Ok(Limits {
            rate,
            further,
            group,
            concurrency: self.concurrency,
            usage_cap: self.usage_cap,
            weight: self.weight,
            tier: self.tier,
            tags,
            endpoint,
            pinned: Pinned(self.pin.clone()),
        })
    }
}

impl fmt::Debug for Account {
    /// Leaves out the authenticator and the pinned value: both may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.identity.name())
            .field("rate", &self.rate)
            .field("burst", &self.burst)
            .field("limits", &self.further)
            .field("concurrency", &self.concurrency)
            .field("usage_cap", &self.usage_cap)
            .field("weight", &self.weight)
            .field("tier", &self.tier)
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
}

/// A name and an authenticator of any type behind one pointer, which saves memory in a pool of a
/// million accounts.
pub(super) trait NamedAuthenticator: DynAuthenticator {
    fn name(&self) -> &str;

    /// Returns the session that has the account's tokens, if the pool has a store.
    fn stored(&self) -> Option<&Arc<StoredAccount>> {
        None
    }

    /// Returns the client for calls, if the account has one of its own.
    #[cfg(feature = "reqwest")]
    fn calls(&self) -> Option<&reqwest::Client> {
        None
    }

    /// Returns the same account with a client of its own: `client` for its exchanges, and `calls`,
    /// which is made of it, for its calls.
    #[cfg(feature = "reqwest")]
    fn with_clients(&self, client: &HttpClient, calls: reqwest::Client) -> Result<Arc<dyn NamedAuthenticator>, Error>;
}

struct Named<A> {
    name: Box<str>,
    authenticator: A,
}

impl<A: Authenticator> NamedAuthenticator for Named<A> {
    fn name(&self) -> &str {
        &self.name
    }

    #[cfg(feature = "reqwest")]
    fn with_clients(&self, client: &HttpClient, calls: reqwest::Client) -> Result<Arc<dyn NamedAuthenticator>, Error> {
        let named = Self { name: self.name.clone(), authenticator: self.authenticator.with_client(client)? };
        Ok(Arc::new(WithClient { named, calls }))
    }
}

impl<A: Authenticator> Authenticator for Named<A> {
    fn server_id(&self) -> Option<String> {
        self.authenticator.server_id()
    }

    fn login(&self) -> impl Future<Output = Result<Tokens, Error>> + Send {
        self.authenticator.login()
    }

    fn refresh(&self, token: &RefreshToken) -> impl Future<Output = Result<Tokens, Error>> + Send {
        self.authenticator.refresh(token)
    }

    fn probe(&self) -> impl Future<Output = Option<Result<(), Error>>> + Send {
        self.authenticator.probe()
    }

    fn revoke(&self, token: &RefreshToken) -> impl Future<Output = Result<(), Error>> + Send {
        self.authenticator.revoke(token)
    }
}

/// An account with a client of its own, which takes no room in the others.
#[cfg(feature = "reqwest")]
struct WithClient<A> {
    named: Named<A>,
    calls: reqwest::Client,
}

#[cfg(feature = "reqwest")]
impl<A: Authenticator> NamedAuthenticator for WithClient<A> {
    fn name(&self) -> &str {
        &self.named.name
    }

    fn calls(&self) -> Option<&reqwest::Client> {
        Some(&self.calls)
    }

    fn with_clients(&self, client: &HttpClient, calls: reqwest::Client) -> Result<Arc<dyn NamedAuthenticator>, Error> {
        self.named.with_clients(client, calls)
    }
}

#[cfg(feature = "reqwest")]
impl<A: Authenticator> Authenticator for WithClient<A> {
    fn server_id(&self) -> Option<String> {
        Authenticator::server_id(&self.named)
    }

    fn login(&self) -> impl Future<Output = Result<Tokens, Error>> + Send {
        self.named.login()
    }

    fn refresh(&self, token: &RefreshToken) -> impl Future<Output = Result<Tokens, Error>> + Send {
        self.named.refresh(token)
    }

    fn probe(&self) -> impl Future<Output = Option<Result<(), Error>>> + Send {
        self.named.probe()
    }

    fn revoke(&self, token: &RefreshToken) -> impl Future<Output = Result<(), Error>> + Send {
        self.named.revoke(token)
    }
}
