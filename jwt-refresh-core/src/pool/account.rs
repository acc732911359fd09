//! An account of a pool, as its user describes it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::limit::Limit;
use super::limits::{Limits, Pin, Pinned, TagIndex};
use crate::authenticator::{Authenticator, DynAuthenticator};
use crate::error::Error;
use crate::token::{RefreshToken, Tokens};

/// An account to be added to a [`Pool`](super::Pool): how it logs in, and what may be asked of it.
/// By default nothing limits its calls.
///
/// ```
/// # use std::time::Duration;
/// # use jwt_refresh_core::pool::Account;
/// # use jwt_refresh_core::Authenticator;
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
    pin: Option<Pin>,
    pub(super) tags: Vec<String>,
    rate: Option<(u32, Duration)>,
    burst: u32,
    concurrency: u32,
    usage_cap: u32,
    weight: u32,
}

impl Account {
    /// Returns an account that logs in by `authenticator`, without limits.
    ///
    /// The name is your choice; no other account of the pool may have it. It is shown in logs and
    /// in the pool's status, so it must not be secret.
    pub fn new(name: impl Into<String>, authenticator: impl Authenticator) -> Self {
        Self {
            identity: Arc::new(Named { name: name.into().into(), authenticator }),
            pin: None,
            tags: Vec::new(),
            rate: None,
            burst: 1,
            concurrency: u32::MAX,
            usage_cap: u32::MAX,
            weight: 1,
        }
    }

    /// Limits the account to `requests` calls in each period of length `per`, evenly spread. Every
    /// lease counts as a call. Unlimited by default.
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
    /// [`Selection::Weighted`](super::Selection::Weighted). Default 1; 0 is taken as 1.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight.max(1);
        self
    }

    /// Adds a tag that a lease can ask for, such as a scope, a region or a plan. An account may
    /// have many tags.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Pins a value that every lease of the account hands out, such as the proxy for its calls: see
    /// [`Lease::pinned`](super::Lease::pinned). A later call replaces the value.
    pub fn pin<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.pin = Some(Arc::new(value));
        self
    }

    /// Pins the HTTP client for the account's calls, with its proxy, address and headers. Every
    /// lease of the account hands it out: see [`Lease::client`](super::Lease::client). It takes the
    /// place of a value that was [pinned](Self::pin).
    ///
    /// Give the same settings to the account's authenticator, so that its logins use the same proxy
    /// and address.
    #[cfg(feature = "reqwest")]
    pub fn client(self, client: reqwest::Client) -> Self {
        self.pin(client)
    }

    /// Returns the account's limits, with its tags as the pool numbers them.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if its rate lets nothing through.
    pub(super) fn limits(&self, tags: Box<[TagIndex]>) -> Result<Limits, Error> {
        let limit = self.rate.map(|(requests, per)| Limit::new(requests, per, self.burst)).transpose()?;
        Ok(Limits {
            limit: limit.unwrap_or_default(),
            concurrency: self.concurrency,
            usage_cap: self.usage_cap,
            weight: self.weight,
            tags,
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
            .field("concurrency", &self.concurrency)
            .field("usage_cap", &self.usage_cap)
            .field("weight", &self.weight)
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
}

/// A name and an authenticator of any type behind one pointer, which saves memory in a pool of a
/// million accounts.
pub(super) trait NamedAuthenticator: DynAuthenticator {
    fn name(&self) -> &str;
}

struct Named<A> {
    name: Box<str>,
    authenticator: A,
}

impl<A: Authenticator> NamedAuthenticator for Named<A> {
    fn name(&self) -> &str {
        &self.name
    }
}

impl<A: Authenticator> Authenticator for Named<A> {
    fn login(&self) -> impl Future<Output = Result<Tokens, Error>> + Send {
        self.authenticator.login()
    }

    fn refresh(&self, token: &RefreshToken) -> impl Future<Output = Result<Tokens, Error>> + Send {
        self.authenticator.refresh(token)
    }

    fn revoke(&self, token: &RefreshToken) -> impl Future<Output = Result<(), Error>> + Send {
        self.authenticator.revoke(token)
    }
}
