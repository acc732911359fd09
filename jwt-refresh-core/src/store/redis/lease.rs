//! The lease of an account: a key that expires by itself, extended by a task as long as the lease
//! is held.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::keys::EntryKeys;
use super::scripts::{EXTEND, FREE, TAKE};
use crate::redis::{Connection, Subscriptions, random_name};
use crate::store::{StoreError, StoreErrorKind};

/// The pauses between attempts to take a lease that another holds: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));

/// The right to renew an account of a [`RedisStore`](super::RedisStore).
///
/// While it lives, a task extends the key in Redis. Dropping it gives the key back. The task that
/// does so runs on the runtime that the lease was taken on; if that ends first, the key expires by
/// itself after the lease's time to live.
///
/// A lease can be lost while it is held: if Redis was away, or this process was stopped, for longer
/// than the time to live. [`is_held`](Self::is_held) tells. Saving is safe even then, as only an
/// entry that follows on the one there is written.
#[must_use = "dropping a lease gives it back"]
pub struct RedisLease {
    until: watch::Receiver<Instant>,
    /// Dropped with the lease, which tells the task that holds the key.
    _held: oneshot::Sender<()>,
}

impl RedisLease {
    /// Returns whether the lease is still held, as far as this process can know. If another process
    /// has taken it in Redis, this process learns of it when it next extends the lease, after a
    /// third of the time to live.
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

/// Takes and keeps one account's lease for one caller.
pub(super) struct LeaseHolder {
    connection: Arc<Connection>,
    subscriptions: Arc<Subscriptions>,
    keys: EntryKeys,
    key: String,
    /// Random, so that no holder gives back or extends the lease of another.
    owner: String,
    ttl: Duration,
}

/// Where the lease is handed to the caller. Closed once the caller waits no more.
type LeaseSender = oneshot::Sender<Result<RedisLease, StoreError>>;

impl LeaseHolder {
    pub(super) fn new(
        connection: Arc<Connection>,
        subscriptions: Arc<Subscriptions>,
        keys: EntryKeys,
        ttl: Duration,
    ) -> Result<Self, StoreError> {
        let owner = random_name()?;
        Ok(Self { connection, subscriptions, key: keys.lease(), keys, owner, ttl })
    }

    /// Waits for the lease. All of it happens in a task, so that a caller that is cancelled leaves
    /// no lease behind.
    pub(super) async fn lease(self) -> Result<RedisLease, StoreError> {
        let (sender, lease) = oneshot::channel();
        tokio::spawn(self.hold(sender));
        lease.await.unwrap_or_else(|_| {
            // Tasks end early when their runtime does.
            Err(StoreError::new(StoreErrorKind::Unavailable, "the wait for a lease of the Redis store was cut off"))
        })
    }

    async fn hold(self, mut sender: LeaseSender) {
        let until = match self.take(&mut sender).await {
            Ok(Some(until)) => until,
            Ok(None) => return,
            Err(error) => {
                // If this fails, the caller waits no more.
                let _ = sender.send(Err(error));
                // A command without an answer may have been done all the same.
                return self.give_back(Instant::now() + self.connection.timeout()).await;
            }
        };
        let (until_sender, until) = watch::channel(until);
        let (held, dropped) = oneshot::channel();
        // If the caller waits no more, the lease is dropped right here, and given back below.
        let _ = sender.send(Ok(RedisLease { until, _held: held }));
        self.extend(&until_sender, dropped).await;
        let until = *until_sender.borrow();
        // If the lease has not been dropped, it knows by the missing sender that it is lost.
        drop(until_sender);
        self.give_back(until).await;
    }

    /// Takes the lease and returns until when it is held, or `None` if the caller waits no more.
    async fn take(&self, sender: &mut LeaseSender) -> Result<Option<Instant>, StoreError> {
        let mut freed = None;
        let mut pause = PAUSE.0;
        loop {
            let asked = Instant::now();
            let left: u64 = self.connection.run(&TAKE, &[&self.key], &[self.owner.as_bytes(), &self.ttl()]).await?;
            if left == 0 {
                return Ok(Some(asked + self.ttl));
            }
            // Notified when the lease is given back. The pauses are for holders that died, and for
            // messages that were lost.
            let freed = freed.get_or_insert_with(|| self.subscriptions.subscribe(self.keys.freed()));
            let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            tokio::select! {
                () = sender.closed() => return Ok(None),
                () = freed.notified() => {}
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
            let extended = self.connection.run(&EXTEND, &[&self.key], &[self.owner.as_bytes(), &self.ttl()]).await;
            // A lease that was reported as lost stays lost, whatever the answer.
            if Instant::now() >= *until.borrow() {
                return;
            }
            match extended {
                Ok(true) => {
                    until.send_replace(asked + self.ttl);
                    next = asked + step;
                }
                Ok(false) => return,
                // Redis may be back before the lease has expired.
                Err(_) => next = Instant::now() + step / 4,
            }
        }
    }

    /// Gives the lease back, and tries again after a failure until `until`, when it has expired.
    async fn give_back(&self, until: Instant) {
        let channel = self.keys.freed();
        let arguments = [self.owner.as_bytes(), channel.as_bytes()];
        while self.connection.run::<()>(&FREE, &[&self.key], &arguments).await.is_err() {
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
