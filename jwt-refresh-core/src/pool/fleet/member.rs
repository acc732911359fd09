//! A process that uses tokens, as its callers see it: the local pool with all accounts of the
//! fleet.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

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
    /// The task, which ends when this is dropped.
    wishes: watch::Sender<Wishes>,
    /// Closed when the process has left the fleet.
    progress: watch::Receiver<TaskProgress>,
}

/// What the handles of a pool want of its task.
#[derive(Default)]
pub(super) struct Wishes {
    /// How often callers have asked for Redis to be read again.
    pub(super) reads: u64,
    /// Until when it may wait for its last leases, once it is to end.
    pub(super) closes: Option<Moment>,
}

/// How far the task of a pool is.
#[derive(Default)]
pub(super) struct TaskProgress {
    /// Whether the accounts of the fleet are known, or why not, if Redis did not answer. `None`
    /// until then.
    pub(super) joined: Option<Result<(), Error>>,
    /// Up to which of the callers that asked for it Redis was read again.
    pub(super) reads: u64,
}

impl TaskProgress {
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.joined, Some(Ok(())))
    }
}

/// The task's ends of the channels between it and the handles of its pool.
pub(super) struct TaskSignals {
    pub(super) wishes: watch::Receiver<Wishes>,
    pub(super) progress: watch::Sender<TaskProgress>,
}

impl FleetMember {
    /// Returns the member, and what its task needs.
    pub(super) fn new(place: FleetPlace, pool: Pool) -> Result<(Arc<Self>, TaskSignals), Error> {
        let wishes = watch::Sender::<Wishes>::default();
        let progress = watch::Sender::<TaskProgress>::default();
        let signals = TaskSignals { wishes: wishes.subscribe(), progress: progress.clone() };
        let member = Self {
            link: place.link()?,
            place,
            pool,
            clock: Clock::system(),
            auth_workers: AuthWorkerWatch::default(),
            progress: progress.subscribe(),
            wishes,
        };
        Ok((Arc::new(member), signals))
    }

    /// Waits until the accounts of the fleet are known, or Redis did not answer.
    async fn ready(&self, until: Moment) -> Result<(), Error> {
        if self.progress.borrow().is_ready() {
            return Ok(());
        }
        let mut progress = self.progress.clone();
        tokio::select! {
            seen = progress.wait_for(|progress| progress.joined.is_some()) => match seen {
                Ok(seen) => seen.joined.clone().unwrap_or(Ok(())),
                Err(_) => Err(Error::new(ErrorKind::Aborted, "the task that talks to the fleet's Redis has ended")),
            },
            () = runtime::sleep_until(&self.clock, until) => Err(failure::deadline_passed()),
        }
    }

    /// Waits until what Redis has of accounts was read once more, for a second at most.
    async fn read_again(&self, until: Moment) {
        let mut asked = 0;
        self.wishes.send_modify(|wishes| {
            wishes.reads += 1;
            asked = wishes.reads;
        });
        let mut progress = self.progress.clone();
        let until = until.earlier(self.clock.moment() + Duration::from_secs(1));
        tokio::select! {
            _ = progress.wait_for(|progress| progress.reads >= asked) => {}
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
    /// most. Of several such times, the one that ends first holds for all.
    pub(super) async fn close(&self, within: Duration) {
        self.pool.close(Duration::ZERO).await;
        let until = Moment::since_boot(self.clock.moment().boot + within);
        self.wishes.send_modify(|wishes| {
            wishes.closes = Some(wishes.closes.map_or(until, |before| before.earlier(until)));
        });
        let mut progress = self.progress.clone();
        while progress.changed().await.is_ok() {}
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
            self.ready(terms.until).await?;
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
