//! An account of a pool, as its user describes it, and as the pool keeps it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::limit::Limit;
use super::quarantine::Quarantine;
use super::schedule::{Line, Place, Slot};
use crate::authenticator::AnyAuthenticator;
use crate::session::Grant;
use crate::{AccessToken, Authenticator, Error};

pub(super) type Pin = Arc<dyn Any + Send + Sync>;

/// An account to be added to a [`Pool`](super::Pool): how it logs in, and how much may be asked of it. Without limits of its own
/// it serves whatever comes.
///
/// ```
/// # use std::time::Duration;
/// # use jwt_refresh_core::{Account, Authenticator};
/// # fn account(login: impl Authenticator) -> Account {
/// Account::new("ada@example.com", login).rate(10, Duration::from_secs(1)).burst(3).concurrency(4).tag("eu")
/// # }
/// ```
#[must_use = "an account does nothing until it is added to a pool"]
pub struct Account {
    pub(super) name: Arc<str>,
    pub(super) authenticator: Arc<dyn AnyAuthenticator>,
    pub(super) pin: Option<Pin>,
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
            name: name.into().into(),
            authenticator: Arc::new(authenticator),
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

    pub(super) fn terms(&self, tags: Box<[Line]>) -> Result<Terms, Error> {
        let limit = self.rate.map(|(requests, per)| Limit::new(requests, per, self.burst)).transpose()?;
        Ok(Terms {
            limit: limit.unwrap_or_default(),
            concurrency: self.concurrency,
            usage_cap: self.usage_cap,
            weight: self.weight,
            tags,
        })
    }
}

impl fmt::Debug for Account {
    /// Neither the authenticator nor what is pinned: both may have secrets in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("rate", &self.rate)
            .field("burst", &self.burst)
            .field("concurrency", &self.concurrency)
            .field("usage_cap", &self.usage_cap)
            .field("weight", &self.weight)
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
}

/// What may be asked of an account. Accounts that are added one after the other on equal terms share them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) limit: Limit,
    pub(super) concurrency: u32,
    pub(super) usage_cap: u32,
    pub(super) weight: u32,
    pub(super) tags: Box<[Line]>,
}

/// What an account is to the lease, the exchange and the waiter that name it. A slot is used again once its account was
/// removed; the serial number is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) slot: Slot,
    pub(super) serial: u32,
}

/// When a token is due and expired, in nanoseconds since boot: the clock that nobody can step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges {
    pub(super) due: i64,
    pub(super) expires: i64,
}

/// An account as the pool keeps it. There may be a million, so this is kept small.
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) authenticator: Arc<dyn AnyAuthenticator>,
    pub(super) pin: Option<Pin>,
    pub(super) terms: Arc<Terms>,
    pub(super) serial: u32,

    pub(super) token: Option<AccessToken>,
    pub(super) edges: Edges,
    pub(super) grant: Grant,
    /// When tokens are to be exchanged next, if they are.
    pub(super) timer: Option<i64>,
    pub(super) in_exchange: bool,
    /// Exchanges that failed, or did not help, since the last that did.
    pub(super) failures: u8,

    pub(super) place: Place,
    /// See [`Limit`].
    pub(super) arrival: i64,
    /// The order among those that are ready, where it is not their time that counts.
    pub(super) order: i64,
    pub(super) turn: u32,
    /// Leases that are held.
    pub(super) held: u32,
    /// Leases of the present token.
    pub(super) used: u32,
    /// 429s in a row that did not say how long to rest.
    pub(super) strikes: u8,
    /// Renewals in a row after a 401 that did not help.
    pub(super) relapses: u8,
    /// When its token was last renewed because of a 401.
    pub(super) renewed_after_rejection: Option<i64>,
    pub(super) quarantine: Option<Box<Quarantine>>,
}

impl Member {
    /// Whether callers may wait for it: it serves, or new tokens are on their way.
    pub(super) fn is_open(&self) -> bool {
        self.quarantine.as_ref().is_none_or(|quarantine| quarantine.until.is_none())
    }

    /// Whether its token is the `generation`th.
    pub(super) fn holds(&self, generation: u64) -> bool {
        self.token.as_ref().is_some_and(|token| token.generation() == generation)
    }

    /// Until when its token may be used: callers are not kept from a token that lives because it cannot be renewed, but while its
    /// renewal is under way the leeway counts.
    pub(super) fn usable_until(&self) -> i64 {
        if self.failures > 0 { self.edges.expires } else { self.edges.due }
    }
}
