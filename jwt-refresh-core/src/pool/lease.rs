//! A lease: an account's token for one call, and what the caller has to say about it.

use std::borrow::Borrow;
use std::fmt;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::core::Core;
use super::state::Granted;
use crate::clock::{Moment, Timestamp};
use crate::{AccessToken, Error, ErrorKind, Renewal, session};

/// The token of one of a pool's accounts, for one call. It goes where an [`AccessToken`] goes (`.bearer(&lease)`), and is given
/// back when its last clone is dropped.
///
/// Tell the pool what the server said of it, where that concerns the account: [`rejected`](Self::rejected) (401; with
/// `#[refresh_token(retry)]` that is done for you), [`rate_limited`](Self::rate_limited) (429),
/// [`quota_used_up`](Self::quota_used_up), [`fine`](Self::fine).
#[derive(Clone)]
pub struct Lease(Arc<Held>);

struct Held {
    core: Arc<Core>,
    granted: Granted,
    released: AtomicBool,
}

impl Held {
    fn release(&self) {
        if !self.released.swap(true, Ordering::AcqRel) {
            self.core.change(|state, now| state.release(self.granted.id, now));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

impl Lease {
    pub(super) fn new(core: &Arc<Core>, granted: Granted) -> Self {
        Self(Arc::new(Held { core: Arc::clone(core), granted, released: AtomicBool::new(false) }))
    }

    pub(super) fn is_of(&self, core: &Arc<Core>) -> bool {
        Arc::ptr_eq(&self.0.core, core)
    }

    /// The token.
    pub fn token(&self) -> &AccessToken {
        &self.0.granted.token
    }

    /// The name of the account.
    pub fn account(&self) -> &str {
        &self.0.granted.name
    }

    /// What was [pinned](super::Account::pin) to the account, if it was a `T`.
    pub fn pinned<T: 'static>(&self) -> Option<&T> {
        self.0.granted.pin.as_ref()?.downcast_ref()
    }

    /// The client that the account's calls shall go by, if it was given one: [`Account::client`](super::Account::client).
    #[cfg(feature = "reqwest")]
    pub fn client(&self) -> Option<&reqwest::Client> {
        self.pinned()
    }

    /// Says that all went well: 429s and rejections before are no longer counted against the account. To say nothing is fine
    /// too.
    pub fn fine(&self) {
        let (id, generation) = (self.0.granted.id, self.token().generation());
        self.0.core.change(|state, _| state.fine(id, generation));
    }

    /// Says that the server answered 401 to the token. The account serves nobody until its token was renewed; if the new
    /// one is rejected soon, too, it goes into [quarantine](super::PoolPolicy::quarantine). Gives the lease back.
    pub fn rejected(&self) {
        let (id, generation) = (self.0.granted.id, self.token().generation());
        let core = &self.0.core;
        core.change(|state, now| state.rejected(id, generation, &core.policy, now));
        self.0.release();
    }

    /// Says that the server answered 429, with its `Retry-After` if it had one. The account rests for that time, else for
    /// the [cool-down](super::PoolPolicy::cool_down). Gives the lease back.
    pub fn rate_limited(&self, retry_after: Option<Duration>) {
        let (id, core) = (self.0.granted.id, &self.0.core);
        core.change(|state, now| state.rate_limited(id, retry_after, &core.policy, now));
        self.0.release();
    }

    /// Says that the account's quota is used up, and for how long, if that is known; else the
    /// [policy](super::PoolPolicy::quota_pause) says it. A new token would not help, so the account rests. Gives the lease
    /// back.
    pub fn quota_used_up(&self, resets_in: Option<Duration>) {
        let (id, core) = (self.0.granted.id, &self.0.core);
        let rest = resets_in.unwrap_or(core.policy.quota_pause);
        core.change(|state, now| state.quota_used_up(id, (Timestamp::from_nanos(now) + rest).as_nanos()));
        self.0.release();
    }
}

impl Deref for Lease {
    type Target = AccessToken;

    fn deref(&self) -> &AccessToken {
        self.token()
    }
}

impl Borrow<AccessToken> for Lease {
    fn borrow(&self) -> &AccessToken {
        self.token()
    }
}

impl fmt::Debug for Lease {
    /// Not what is pinned: it may have secrets in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("account", &self.account()).field("token", self.token()).finish_non_exhaustive()
    }
}

/// Asks a pool for a lease: [`Pool::lease`](super::Pool::lease). `.await` it.
#[must_use = "a request does nothing until it is awaited"]
pub struct LeaseRequest {
    core: Arc<Core>,
    tag: Option<String>,
    key: Option<String>,
    deadline: Option<SystemTime>,
    within: Option<Duration>,
}

impl LeaseRequest {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, tag: None, key: None, deadline: None, within: None }
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

    /// The lease if there is one at once.
    pub(super) fn at_once(&self) -> Option<Lease> {
        let found = self.core.change(|state, now| {
            let want = state.want(self.tag.as_deref(), self.key.as_deref()).ok()?;
            state.take(want, now).ok()?.ok()
        });
        found.map(|granted| Lease::new(&self.core, granted))
    }

    fn until(&self) -> Result<Moment, Error> {
        let now = self.core.clock.moment();
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

    async fn get(self) -> Result<Lease, Error> {
        let until = self.until()?;
        let core = self.core;
        let place = core.change(|state, now| {
            let want = state.want(self.tag.as_deref(), self.key.as_deref())?;
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
            Err(granted) => return Ok(Lease::new(&core, granted)),
        };
        let place = Queued { core: &core, ticket };
        let answer = tokio::select! {
            biased;
            answer = &mut answer => answer,
            () = core.clock.sleep_until(until) => {
                drop(place);
                // It may have come at the last moment.
                return answer.try_recv().unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Busy, "no account of the pool came free before the lease's deadline"))
                });
            }
        };
        answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Aborted, "the wait for a lease was lost")))
    }
}

impl IntoFuture for LeaseRequest {
    type Output = Result<Lease, Error>;
    type IntoFuture = Renewal<Lease>;

    fn into_future(self) -> Renewal<Lease> {
        Box::pin(self.get())
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
