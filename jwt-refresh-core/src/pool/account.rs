//! An account of a pool, as its user describes it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::limit::Limit;
use super::limits::{Limits, Pin, Pinned, TagIndex};
use crate::authenticator::{Authenticator, DynAuthenticator};
use crate::error::Error;
use crate::token::{RefreshToken, Tokens};

/// An account to be added to a [`Pool`](super::Pool): how it logs in, and how much may be asked of it. Without limits of its own
/// it serves whatever comes.
///
/// ```
/// # use std::time::Duration;
/// # use jwt_refresh_core::pool::Account;
/// # use jwt_refresh_core::Authenticator;
/// # fn account(login: impl Authenticator) -> Account {
/// Account::new("ada@example.com", login).rate(10, Duration::from_secs(1)).burst(3).concurrency(4).tag("eu")
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
    /// An account by a name of your choice, which no other account of the pool may have. It is shown in logs and in the pool's
    /// status, and must not be secret.
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

    /// Up to so many requests in each period, evenly spread.
    pub fn rate(mut self, requests: u32, per: Duration) -> Self {
        self.rate = Some((requests, per));
        self
    }

    /// How many of the rate's requests may go at once after a rest. Default 1.
    pub fn burst(mut self, requests: u32) -> Self {
        self.burst = requests;
        self
    }

    /// How many leases of the account may be held at once. Unlimited by default; 0 is taken as 1.
    pub fn concurrency(mut self, leases: u32) -> Self {
        self.concurrency = leases.max(1);
        self
    }

    /// After how many leases a token is replaced by a new one. Unlimited by default; 0 is taken as 1.
    pub fn usage_cap(mut self, leases: u32) -> Self {
        self.usage_cap = leases.max(1);
        self
    }

    /// Its share of the calls, beside those of other accounts, by [`Selection::Weighted`](super::Selection::Weighted). Default 1;
    /// 0 is taken as 1.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight.max(1);
        self
    }

    /// A tag that a lease can ask for: a scope, a region, a plan. An account may have many.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// A value that every lease of the account hands out: whatever its calls shall go by. See [`Lease::pinned`](super::Lease::pinned).
    pub fn pin<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.pin = Some(Arc::new(value));
        self
    }

    /// The client for the account's calls, which every lease of it hands out: its proxy, address, headers. Give the same
    /// settings to the account's authenticator, so that logins leave by the same way. See [`Lease::client`](super::Lease::client).
    #[cfg(feature = "reqwest")]
    pub fn client(self, client: reqwest::Client) -> Self {
        self.pin(client)
    }

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
    /// Neither the authenticator nor what is pinned: both may have secrets in them.
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

/// A name and an authenticator of whatever type, behind one pointer: there may be a million.
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
