//! Where leases are handed out and come back, in a pool on one machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use super::account::Pin;
use super::core::Core;
use super::lease::{Lease, Report, Tenancy};
use super::request::{Lessor, Wanted};
use super::state::Granted;
use crate::clock::Timestamp;
use crate::{AccessToken, Clock, Error, ErrorKind, Renewal, session};

/// Makes a lease of what was granted.
pub(super) fn hand_over(core: &Arc<Core>, granted: Granted) -> Lease {
    Lease::new(Tenant { core: Arc::clone(core), granted, released: AtomicBool::new(false) })
}

/// A lease of any account, if there is one at once.
pub(super) fn at_once(core: &Arc<Core>) -> Option<Lease> {
    let found = core.change(|state, now| {
        let want = state.want(None, None).ok()?;
        state.take(want, now).ok()?.ok()
    });
    found.map(|granted| hand_over(core, granted))
}

struct Tenant {
    core: Arc<Core>,
    granted: Granted,
    released: AtomicBool,
}

impl Tenant {
    fn release(&self) {
        if !self.released.swap(true, Ordering::AcqRel) {
            self.core.change(|state, now| state.release(self.granted.id, now));
        }
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.release();
    }
}

impl Tenancy for Tenant {
    fn account(&self) -> &str {
        self.granted.identity.name()
    }

    fn token(&self) -> &AccessToken {
        &self.granted.token
    }

    fn pin(&self) -> Option<&Pin> {
        self.granted.pin.as_ref()
    }

    fn pool(&self) -> u64 {
        self.core.id
    }

    fn report(&self, report: Report) {
        let (core, id, generation) = (&self.core, self.granted.id, self.granted.token.generation());
        core.change(|state, now| match report {
            Report::Fine => state.fine(id, generation),
            Report::Rejected => state.rejected(id, generation, &core.policy, now),
            Report::RateLimited(retry_after) => state.rate_limited(id, retry_after, &core.policy, now),
            Report::QuotaUsedUp(resets_in) => {
                let rest = resets_in.unwrap_or(core.policy.quota_pause);
                state.quota_used_up(id, (Timestamp::from_nanos(now) + rest).as_nanos());
            }
        });
        if report.ends() {
            self.release();
        }
    }
}

impl Lessor for Core {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn lease(self: Arc<Self>, wanted: Wanted) -> Renewal<Lease> {
        Box::pin(get(self, wanted))
    }
}

async fn get(core: Arc<Core>, wanted: Wanted) -> Result<Lease, Error> {
    let place = core.change(|state, now| {
        let want = state.want(wanted.tag.as_deref(), wanted.key.as_deref())?;
        let desk = match state.take(want, now)? {
            Ok(granted) => return Ok(Err(granted)),
            Err(desk) => desk,
        };
        if session::is_within(core.id) {
            let what = "a login or refresh asked its own pool for a lease, and could wait for itself";
            return Err(Error::new(ErrorKind::Reentrant, what));
        }
        if state.waiting() >= core.policy.queue {
            let what = format!("{} callers wait for a lease already", state.waiting());
            return Err(Error::new(ErrorKind::Busy, what));
        }
        let (reply, answer) = oneshot::channel();
        Ok(Ok((state.enqueue(want, desk, reply), answer)))
    })?;
    let (ticket, mut answer) = match place {
        Ok(place) => place,
        Err(granted) => return Ok(hand_over(&core, granted)),
    };
    let place = Queued { core: &core, ticket };
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        () = core.clock.sleep_until(wanted.until) => {
            drop(place);
            // It may have come at the last moment.
            return answer.try_recv().unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Busy, "no account of the pool came free before the lease's deadline"))
            });
        }
    };
    answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Aborted, "the wait for a lease was lost")))
}

/// A caller's place in the queue, which is left when the caller is dropped.
struct Queued<'a> {
    core: &'a Arc<Core>,
    ticket: u64,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.core.change(|state, _| state.cancel(self.ticket));
    }
}
