//! Who may renew: a key that ends by itself, extended by a task as long as the lease is held.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::keys::Keys;
use super::link::Link;
use super::scripts::{EXTEND, FREE, TAKE};
use super::watch::Hub;
use crate::{StoreError, StoreErrorKind};

/// The pauses between attempts to take a lease that another has: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));

/// Held by whoever renews an account of a [`RedisStore`](super::RedisStore).
///
/// While it lives, a task extends the key in Redis. Dropping it gives the key back; the task that does so lives on the runtime
/// that the lease was taken on, and if that ends first, the key ends by itself after the lease's time to live.
///
/// A lease can be lost while it is held: if Redis was away, or this process stopped, for longer than the time to live.
/// [`is_held`](Self::is_held) tells. Saving is safe even then, as only an entry that follows on the one there is written.
#[must_use = "dropping a lease gives it back"]
pub struct RedisLease {
    until: watch::Receiver<Instant>,
    /// Dropped with the lease, which the task that holds the key sees.
    _held: oneshot::Sender<()>,
}

impl RedisLease {
    /// Whether it is still held, as far as this process can know: what it lost to another in Redis it learns when it next
    /// extends it, at a third of the time to live.
    pub fn is_held(&self) -> bool {
        self.until.has_changed().is_ok() && Instant::now() < *self.until.borrow()
    }

    /// Waits until the lease is lost. Cancel-safe.
    pub async fn lost(&self) {
        let mut until = self.until.clone();
        loop {
            let end = *until.borrow_and_update();
            match timeout_at(end, until.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }
}

impl fmt::Debug for RedisLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLease").field("is_held", &self.is_held()).finish_non_exhaustive()
    }
}

/// Takes and keeps one account's lease for one holder.
pub(super) struct Holder {
    link: Arc<Link>,
    hub: Arc<Hub>,
    keys: Keys,
    key: String,
    /// Random, so that nobody gives back or extends another's lease.
    owner: String,
    ttl: Duration,
}

/// Where the lease is handed over. Closed once the caller does not wait for it any more.
type HandOver = oneshot::Sender<Result<RedisLease, StoreError>>;

impl Holder {
    pub(super) fn new(link: Arc<Link>, hub: Arc<Hub>, keys: Keys, ttl: Duration) -> Result<Self, StoreError> {
        let owner = random_name()?;
        Ok(Self { link, hub, key: keys.lease(), keys, owner, ttl })
    }

    /// Waits for the lease. All of it happens in a task, so that a caller who goes away leaves no lease behind that nobody
    /// holds.
    pub(super) async fn lease(self) -> Result<RedisLease, StoreError> {
        let (hand_over, lease) = oneshot::channel();
        tokio::spawn(self.hold(hand_over));
        lease.await.unwrap_or_else(|_| {
            // Tasks end early when their runtime does.
            Err(StoreError::new(StoreErrorKind::Unavailable, "the wait for a lease of the Redis store was cut off"))
        })
    }

    async fn hold(self, mut hand_over: HandOver) {
        let until = match self.take(&mut hand_over).await {
            Ok(Some(until)) => until,
            Ok(None) => return,
            Err(error) => {
                // Nobody waits any more if this fails.
                let _ = hand_over.send(Err(error));
                // What was not answered may have been done.
                return self.give_back(Instant::now() + self.link.timeout()).await;
            }
        };
        let (until_sender, until) = watch::channel(until);
        let (held, dropped) = oneshot::channel();
        // If nobody waits any more, the lease is dropped right here, and given back below.
        let _ = hand_over.send(Ok(RedisLease { until, _held: held }));
        self.extend(&until_sender, dropped).await;
        let until = *until_sender.borrow();
        // Without its sender the lease is known to be lost, if it is not dropped.
        drop(until_sender);
        self.give_back(until).await;
    }

    /// Until when the lease is held, or nothing if the caller does not want it any more.
    async fn take(&self, hand_over: &mut HandOver) -> Result<Option<Instant>, StoreError> {
        let mut listener = None;
        let mut pause = PAUSE.0;
        loop {
            let asked = Instant::now();
            let left: u64 = self.link.run(&TAKE, &[&self.key], &[self.owner.as_bytes(), &self.ttl()]).await?;
            if left == 0 {
                return Ok(Some(asked + self.ttl));
            }
            // Told when it is given back. The polls are for whoever died, and for what was not told.
            let listener = listener.get_or_insert_with(|| self.hub.listen(self.keys.freed()));
            let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            tokio::select! {
                () = hand_over.closed() => return Ok(None),
                () = listener.heard() => {}
                () = sleep(jittered.min(Duration::from_millis(left))) => {}
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Extends the lease until it is dropped or lost.
    async fn extend(&self, until: &watch::Sender<Instant>, mut dropped: oneshot::Receiver<()>) {
        let step = self.ttl / 3;
        let mut next = *until.borrow() - self.ttl + step;
        loop {
            tokio::select! {
                _ = &mut dropped => return,
                () = sleep_until(next) => {}
            }
            let asked = Instant::now();
            let extended = self.link.run(&EXTEND, &[&self.key], &[self.owner.as_bytes(), &self.ttl()]).await;
            // What was said to be lost is not held again, whatever the answer.
            if Instant::now() >= *until.borrow() {
                return;
            }
            match extended {
                Ok(true) => {
                    until.send_replace(asked + self.ttl);
                    next = asked + step;
                }
                Ok(false) => return,
                // Redis may be back before the lease has ended.
                Err(_) => next = Instant::now() + step / 4,
            }
        }
    }

    /// Gives the lease back, unless that takes until it has ended by itself.
    async fn give_back(&self, until: Instant) {
        let channel = self.keys.freed();
        let arguments = [self.owner.as_bytes(), channel.as_bytes()];
        while self.link.run::<()>(&FREE, &[&self.key], &arguments).await.is_err() {
            if Instant::now() >= until {
                return;
            }
            sleep(PAUSE.1).await;
        }
    }

    fn ttl(&self) -> Vec<u8> {
        self.ttl.as_millis().to_string().into_bytes()
    }
}

/// 128 random bits.
pub(crate) fn random_name() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        StoreError::new(StoreErrorKind::Unavailable, "the system gave the Redis store no random bytes").caused_by(error)
    })?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
