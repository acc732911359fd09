//! Asking for a lease: of which account, and how long it may take.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::lease::Lease;
use crate::clock::{Clock, Moment, Timestamp};
use crate::error::{Error, ErrorKind};
use crate::provider::Renewal;

/// What gives leases: a pool.
pub(super) trait LeaseSource: Send + Sync {
    /// Tells the pool from every other one in the process.
    fn id(&self) -> u64;

    fn clock(&self) -> &Clock;

    /// A lease of any account, if there is one without waiting or asking another process.
    fn at_once(self: &Arc<Self>) -> Option<Lease>
    where
        Self: Sized,
    {
        None
    }

    /// A lease by `terms`, after a wait if that is what it takes.
    fn lease(self: Arc<Self>, terms: LeaseTerms) -> Renewal<Lease>;
}

/// What a caller asks for.
#[derive(Clone, Debug)]
pub(super) struct LeaseTerms {
    pub(super) tag: Option<String>,
    pub(super) key: Option<String>,
    /// Until when it waits.
    pub(super) until: Moment,
}

/// Asks a pool for a lease: [`Pool::lease`](super::Pool::lease). `.await` it.
#[must_use = "a request does nothing until it is awaited"]
pub struct LeaseRequest {
    source: Arc<dyn LeaseSource>,
    tag: Option<String>,
    key: Option<String>,
    deadline: Option<SystemTime>,
    within: Option<Duration>,
}

impl LeaseRequest {
    pub(super) fn new(source: Arc<dyn LeaseSource>) -> Self {
        Self { source, tag: None, key: None, deadline: None, within: None }
    }

    /// Of an account with this tag only.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Of the account that this key belongs to: the same for equal keys, as long as that account is not in quarantine; then, for
    /// that time, another, and again the same for equal keys.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Waits until `time` at most, on the pool's clock.
    pub fn deadline(mut self, time: SystemTime) -> Self {
        self.deadline = Some(time);
        self
    }

    /// Waits for `time` at most.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

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
        // Time since boot alone: a wall clock that is stepped makes nobody wait for longer or less.
        Ok(Moment { wall: Timestamp::NEVER, boot: deadline.earlier(within).boot })
    }
}

impl IntoFuture for LeaseRequest {
    type Output = Result<Lease, Error>;
    type IntoFuture = Renewal<Lease>;

    fn into_future(self) -> Renewal<Lease> {
        match self.until() {
            Ok(until) => self.source.lease(LeaseTerms { tag: self.tag, key: self.key, until }),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl fmt::Debug for LeaseRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseRequest")
            .field("tag", &self.tag)
            .field("key", &self.key)
            .field("deadline", &self.deadline)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}
