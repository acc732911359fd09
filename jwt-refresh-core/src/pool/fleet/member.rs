//! A process that uses tokens, as its callers see it: the local pool with all accounts of the
//! fleet.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::auth_workers::AuthWorkerWatch;
use super::place::FleetPlace;
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::pool::failure;
use crate::pool::lease::Lease;
use crate::pool::limits::Pin;
use crate::pool::local::Pool;
use crate::pool::request::{LeaseSource, LeaseTerms};
use crate::provider::Renewal;
use crate::redis::Connection;
use crate::runtime;

#[cfg(test)]
mod tests;

/// Returns what a process pins to an account, by its name.
pub(super) type Pins = Arc<dyn Fn(&str) -> Option<Pin> + Send + Sync>;

/// How often it is looked whether a fleet has its first account, for callers that wait for it.
const EMPTY_PAUSE: Duration = Duration::from_millis(100);

/// What the handles of a fleet's pool share in one process.
pub(super) struct FleetMember {
    pub(super) place: FleetPlace,
    pub(super) pool: Pool,
    pub(super) link: Arc<Connection>,
    pub(super) clock: Clock,
    auth_workers: AuthWorkerWatch,
    /// Wakes the task, for callers that wait for it, and when the last handle is dropped.
    wake: Arc<Notify>,
    /// How long it may wait for its last leases, once it is to end.
    closes: watch::Sender<Option<Duration>>,
    /// Closed when it has left the fleet.
    left: watch::Receiver<()>,
    /// Whether the accounts of the fleet are known. Set once.
    is_ready: AtomicBool,
    progress: watch::Receiver<JoinProgress>,
    /// How often callers have asked for Redis to be read again, and up to which of them it was.
    asked: AtomicU64,
    read: watch::Receiver<u64>,
}

/// What the task of a member is told, and tells.
pub(super) struct TaskSignals {
    pub(super) wake: Arc<Notify>,
    /// How long the member may wait for its last leases, once it is to end.
    pub(super) closes: watch::Receiver<Option<Duration>>,
    pub(super) progress: watch::Sender<JoinProgress>,
    /// Up to which of those who asked Redis was read again.
    pub(super) read: watch::Sender<u64>,
    /// Closed when the task ends.
    _left: watch::Sender<()>,
}

/// How far a process is on its way into the fleet.
#[derive(Clone)]
pub(super) enum JoinProgress {
    Begun,
    /// Redis has not answered yet.
    Failing(Error),
    /// The accounts are known.
    Ready,
}

impl FleetMember {
    /// Returns the member, and what its task needs.
    pub(super) fn new(place: FleetPlace, pool: Pool) -> Result<(Arc<Self>, TaskSignals), Error> {
        let wake = Arc::new(Notify::new());
        let closes = watch::Sender::new(None);
        let (left, progress) = (watch::Sender::new(()), watch::Sender::new(JoinProgress::Begun));
        let read = watch::Sender::new(0);
        let member = Self {
            link: place.link()?,
            place,
            pool,
            clock: Clock::system(),
            auth_workers: AuthWorkerWatch::default(),
            wake: Arc::clone(&wake),
            left: left.subscribe(),
            is_ready: AtomicBool::new(false),
            progress: progress.subscribe(),
            asked: AtomicU64::new(0),
            read: read.subscribe(),
            closes: closes.clone(),
        };
        let signals = TaskSignals { wake, closes: closes.subscribe(), progress, read, _left: left };
        Ok((Arc::new(member), signals))
    }

    /// Notes that the accounts of the fleet are known.
    pub(super) fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Release);
    }

    /// Returns how often callers have asked for Redis to be read again.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// Waits until the accounts of the fleet are known, or Redis did not answer.
    async fn ready(&self, until: Moment) -> Result<(), Error> {
        let mut progress = self.progress.clone();
        let seen = progress.wait_for(|progress| !matches!(progress, JoinProgress::Begun));
        let seen = tokio::select! {
            seen = seen => seen.map(|seen| seen.clone()),
            () = runtime::sleep_until(&self.clock, until) => return Err(failure::deadline_passed()),
        };
        match seen {
            Ok(JoinProgress::Failing(error)) => Err(error),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(ErrorKind::Aborted, "the task that talks to the fleet's Redis has ended")),
        }
    }

    /// Waits until what Redis has of accounts was read once more, for a second at most.
    async fn read_again(&self, until: Moment) {
        let asked = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake.notify_one();
        let mut read = self.read.clone();
        let until = until.earlier(self.clock.moment() + Duration::from_secs(1));
        tokio::select! {
            _ = read.wait_for(|read| *read >= asked) => {}
            () = runtime::sleep_until(&self.clock, until) => {}
        }
    }

    /// Asks the local pool for a lease.
    async fn lease_here(&self, terms: LeaseTerms) -> Result<Lease, Error> {
        let lease = Arc::clone(self.pool.shared()).lease(terms.clone());
        let gives_up = || !terms.has_deadline() && !self.pool.serves(&terms);
        let answer = tokio::select! {
            biased;
            answer = lease => answer,
            () = self.auth_workers.look((&self.place, &self.link, &self.clock), gives_up) => {
                Err(failure::none_came_free())
            }
        };
        answer.map_err(|error| match error.kind() {
            ErrorKind::Busy => self.auth_workers.explain(error, &self.place, &self.clock),
            _ => error,
        })
    }

    /// Asks again until the fleet has its first account, or until the deadline if there is one.
    async fn lease_of_first(&self, terms: LeaseTerms) -> Result<Lease, Error> {
        loop {
            let answer = self.lease_here(terms.clone()).await;
            let now = self.clock.moment();
            let waits = terms.has_deadline() && now.boot < terms.until.boot;
            match answer.map_err(unusable_here) {
                Err(error) if is_unknown(&error) && self.pool.status().accounts == 0 => {
                    if !waits {
                        return Err(failure::unregistered(&self.place.keys.base));
                    }
                }
                answer => return answer,
            }
            runtime::sleep_until(&self.clock, terms.until.earlier(now + EMPTY_PAUSE)).await;
        }
    }

    /// Ends this process' part in the fleet, and waits for its leases, for the time `within` at
    /// most.
    pub(super) async fn close(&self, within: Duration) {
        self.pool.close(Duration::ZERO).await;
        self.closes.send_replace(Some(within));
        self.wake.notify_one();
        let mut left = self.left.clone();
        while left.changed().await.is_ok() {}
    }
}

impl LeaseSource for FleetMember {
    fn id(&self) -> u64 {
        self.pool.shared().id()
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn lease(self: Arc<Self>, terms: LeaseTerms) -> Renewal<Lease> {
        Box::pin(async move {
            if !self.is_ready.load(Ordering::Acquire) {
                self.ready(terms.until).await?;
            }
            let again = terms.clone();
            let answer = self.lease_here(terms).await;
            if !answer.as_ref().is_err_and(is_unknown) {
                return answer;
            }
            // An account may have come meanwhile of which this process has not heard yet.
            self.read_again(again.until).await;
            self.lease_of_first(again).await
        })
    }
}

/// Returns whether the error may be that of accounts of which this process has not heard.
fn is_unknown(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NoAccount | ErrorKind::Configuration)
}

/// Returns the error for a caller to whom no account can be given since the access tokens cannot be
/// opened here: that does not pass by itself.
fn unusable_here(error: Error) -> Error {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<Error>());
    match cause.filter(|cause| cause.kind() == ErrorKind::Configuration).cloned() {
        Some(cause) if error.kind() == ErrorKind::NoAccount => failure::unreadable(&cause),
        _ => error,
    }
}

impl Drop for FleetMember {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}
