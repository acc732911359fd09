//! The connection that is open now, and how another takes its place.

use std::sync::Arc;
use std::time::Duration;

use redis::ConnectionAddr;
use redis::aio::PubSub;
use tokio::runtime;
use tokio::time::{Instant, timeout_at};

use super::client::{OpenClient, RedisClient};
use super::failure::RedisFailure;
use crate::sync::{Mutex, MutexGuard};

pub(super) struct CurrentConnection {
    client: RedisClient,
    timeout: Duration,
    connect_timeout: Duration,
    current: Mutex<Option<OpenConnection>>,
    /// Held while a connection is opened, so that the other callers wait for that one. Counts the
    /// connections that were opened.
    opening: tokio::sync::Mutex<u64>,
    /// Held while the cause of a failure is looked for.
    explaining: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
pub(super) struct OpenConnection {
    pub(super) connection: OpenClient,
    /// Tells this connection from those before and after it.
    number: u64,
    /// The runtime that the connection was opened on. It drives the connection, which makes no
    /// progress when the runtime makes none.
    runtime: runtime::Id,
}

impl CurrentConnection {
    pub(super) fn new(client: RedisClient, timeout: Duration, connect_timeout: Duration) -> Arc<Self> {
        let (current, opening, explaining) = Default::default();
        Arc::new(Self { client, timeout, connect_timeout, current, opening, explaining })
    }

    /// Returns the current connection, or opens one if there is none that this runtime drives.
    pub(super) async fn open(&self, deadline: Instant) -> Result<OpenConnection, RedisFailure> {
        if let Some(open) = self.usable().filter(|open| !open.connection.is_due()) {
            return Ok(open);
        }
        let mut opened = timeout_at(deadline, self.opening.lock()).await.map_err(|_| RedisFailure::Unopened)?;
        if let Some(open) = self.usable() {
            if !self.client.has_replaced(&open.connection, self.timeout / 4).await {
                return Ok(open);
            }
            self.remove(&open);
        }
        self.open_next(&mut opened, deadline).await
    }

    async fn open_next(&self, opened: &mut u64, deadline: Instant) -> Result<OpenConnection, RedisFailure> {
        let opening = self.client.open(self.timeout, self.connect_timeout);
        let connection = timeout_at(deadline, opening).await.unwrap_or(Err(RedisFailure::Unopened))?;
        *opened += 1;
        let open = OpenConnection { connection, number: *opened, runtime: runtime::Handle::current().id() };
        *self.current() = Some(open.clone());
        Ok(open)
    }

    /// Returns the failure, or why it is, if it does not say so and somebody else tells. If several
    /// requests have failed, one of them looks for that.
    pub(super) async fn explain(&self, failure: RedisFailure, deadline: Instant) -> RedisFailure {
        if !failure.is_of_missing_node() {
            return failure;
        }
        let Ok(_explaining) = self.explaining.try_lock() else { return failure };
        let cause = timeout_at(deadline, self.client.cause(self.connect_timeout)).await;
        cause.ok().flatten().unwrap_or(failure)
    }

    /// Returns whether the node at `address` was taken out of the cluster that it was of, or is no
    /// longer the master.
    pub(super) async fn has_lost(&self, address: &ConnectionAddr) -> bool {
        if !self.client.has_successors() {
            return false;
        }
        let Ok(open) = self.open(Instant::now() + self.timeout).await else { return false };
        open.connection.has_lost(address, self.timeout / 4).await
    }

    /// Opens a connection for subscriptions, and returns the node that it is to.
    pub(super) async fn open_pubsub(&self) -> Result<(PubSub, ConnectionAddr), RedisFailure> {
        let open = match self.usable() {
            Some(open) if open.connection.is_due() => Some(self.open(Instant::now() + self.timeout).await?),
            open => open,
        };
        self.client.open_pubsub(open.map(|open| open.connection), self.timeout).await
    }

    /// Has another connection take the place of one that failed, unless that has happened already.
    pub(super) fn replace(self: &Arc<Self>, failed: &OpenConnection, failure: &RedisFailure) {
        if failed.connection.has_several_nodes() && matches!(failure, RedisFailure::TimedOut) {
            // The other nodes may be well, so their callers go on until there is another.
            tokio::spawn(Arc::clone(self).open_instead_of(failed.number));
            return;
        }
        self.remove(failed);
    }

    fn remove(&self, failed: &OpenConnection) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|open| open.number == failed.number) {
            *current = None;
        }
    }

    async fn open_instead_of(self: Arc<Self>, number: u64) {
        // If the lock is held, another is being opened.
        let Ok(mut opened) = self.opening.try_lock() else { return };
        if self.usable().is_some_and(|open| open.number == number) {
            // If this fails, the next request that fails tries it again.
            let _ = self.open_next(&mut opened, Instant::now() + self.timeout).await;
        }
    }

    /// Returns the current connection if this runtime drives it.
    fn usable(&self) -> Option<OpenConnection> {
        let runtime = runtime::Handle::current().id();
        self.current().as_ref().filter(|open| open.runtime == runtime).cloned()
    }

    fn current(&self) -> MutexGuard<'_, Option<OpenConnection>> {
        self.current.lock()
    }
}
