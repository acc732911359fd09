//! A caller's request for a lease: of which account, and how long it may take.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::lease::Lease;
use crate::clock::{Clock, Moment, Timestamp};
use crate::error::{Error, ErrorKind};
use crate::provider::Renewal;

/// A pool, as a request sees it.
pub(super) trait LeaseSource: Send + Sync {
    /// Returns a number that no other session or pool of the process has.
    fn id(&self) -> u64;

    fn clock(&self) -> &Clock;

    /// Returns a lease of any account, if that takes neither waiting nor asking another process.
    fn try_lease(self: &Arc<Self>) -> Option<Lease>
    where
        Self: Sized,
    {
        None
    }

    /// Returns a lease with which a call runs again that was answered 429, if the policy has it run
    /// again and another account can serve it at once.
    fn rerun(self: &Arc<Self>) -> Option<Lease>
    where
        Self: Sized,
    {
        None
    }

    /// Waits until there is a lease by `terms`.
    fn lease(self: Arc<Self>, terms: LeaseTerms) -> Renewal<Lease>;
}

/// What a caller asks for.
#[derive(Clone, Debug)]
pub(super) struct LeaseTerms {
    pub(super) tag: Option<String>,
    pub(super) key: Option<String>,
    pub(super) cost: u64,
    /// Until when the caller waits, in time since boot.
    pub(super) until: Moment,
}

#[cfg(feature = "redis")]
impl LeaseTerms {
    /// Whether the caller waits for a time only.
    pub(super) fn has_deadline(&self) -> bool {
        self.until.boot != Moment::NEVER.boot
    }
}

/// A request for a lease, made by [`Pool::lease`](super::Pool::lease). Awaiting it waits for the
/// lease; errors and cancel safety are described there.
///
/// Without [`deadline`](Self::deadline) and [`within`](Self::within), the caller waits without
/// limit; with both, until the earlier of the two.
#[must_use = "a request does nothing until it is awaited"]
pub struct LeaseRequest {
    source: Arc<dyn LeaseSource>,
    tag: Option<String>,
    key: Option<String>,
    cost: u64,
    deadline: Option<SystemTime>,
    within: Option<Duration>,
}

impl LeaseRequest {
    pub(super) fn new(source: Arc<dyn LeaseSource>) -> Self {
        Self { source, tag: None, key: None, cost: 1, deadline: None, within: None }
    }

    /// Asks for an account that has this tag. A second call replaces the tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Asks for the account that this key belongs to. Equal keys belong to the same account, in
    /// every process whose pool has accounts of the same names, and each account has nearly the
    /// same share of all keys. If an account is added or removed, only keys of that account move.
    ///
    /// While the account has no live token (it is in quarantine, logs in, or renews its token), its
    /// keys belong to other accounts, again the same for equal keys. They return when it is back.
    /// While the account is at its rate or its concurrency, the caller waits for it.
    ///
    /// The first caller with a key for a [tag](Self::tag) may wait until the pool has sorted the
    /// accounts for that: half a second if there are a million.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Says what the call will cost, in the unit of the accounts' limits on
    /// [cost](super::Limit::cost). Default 1; 0 is taken as 1. When the call is answered,
    /// [`Lease::spent`] corrects it.
    ///
    /// If no account (with the tag) ever allows so much, the request fails with
    /// [`Configuration`](crate::ErrorKind::Configuration).
    ///
    /// # How long a call waits that costs much
    ///
    /// When it is the first in line that no account can serve yet, the next account that is ready
    /// for cheaper calls saves up for it: that account serves nobody who came later until its
    /// limits allow the call, which takes at most one period of each of them. All other accounts go
    /// on to serve cheaper calls. For the quota of a day, or one that a server told, nothing is
    /// saved up: when it is full again, it goes to the first in line.
    pub fn cost(mut self, cost: u64) -> Self {
        self.cost = cost.max(1);
        self
    }

    /// Waits until `time` at most, on the pool's clock. If that has passed already, the request
    /// fails with [`Configuration`](crate::ErrorKind::Configuration).
    pub fn deadline(mut self, time: SystemTime) -> Self {
        self.deadline = Some(time);
        self
    }

    /// Waits for `time` at most, counted from when the request is awaited.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// Returns until when the caller waits.
    fn until(&self) -> Result<Moment, Error> {
        let now = self.source.clock().moment();
        let deadline = match self.deadline.map(Timestamp::from) {
            Some(time) if time < now.wall => {
                let ago = now.wall.since(time);
                let what = format!("the deadline of the lease was {:.1} s ago (give a later one)", ago.as_secs_f64());
                return Err(Error::new(ErrorKind::Configuration, what));
            }
            Some(time) => now.at_wall(time),
            None => Moment::NEVER,
        };
        let within = self.within.map_or(Moment::NEVER, |time| now + time);
        // Only time since boot counts from here on: if the wall clock is stepped, callers wait
        // neither longer nor shorter.
        Ok(Moment::since_boot(deadline.earlier(within).boot))
    }
}

impl IntoFuture for LeaseRequest {
    type Output = Result<Lease, Error>;
    type IntoFuture = Renewal<Lease>;

    fn into_future(self) -> Renewal<Lease> {
        match self.until() {
            Ok(until) => self.source.lease(LeaseTerms { tag: self.tag, key: self.key, cost: self.cost, until }),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl fmt::Debug for LeaseRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseRequest")
            .field("tag", &self.tag)
            .field("key", &self.key)
            .field("cost", &self.cost)
            .field("deadline", &self.deadline)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}
