//! The connection that is open now, and how another takes its place.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::PubSub;
use redis::{ConnectionAddr, RedisError};
use tokio::runtime;
use tokio::time::{Instant, timeout_at};

use super::client::{OpenClient, RedisClient};
use super::failure::RedisFailure;

pub(super) struct CurrentConnection {
    client: RedisClient,
    timeout: Duration,
    connect_timeout: Duration,
    current: Mutex<Option<OpenConnection>>,
    /// Held while a connection is opened, so that the other callers wait for that one. Counts the
    /// connections that were opened.
    opening: tokio::sync::Mutex<u64>,
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
        let (current, opening) = (Mutex::default(), tokio::sync::Mutex::default());
        Arc::new(Self { client, timeout, connect_timeout, current, opening })
    }

    /// Returns the current connection, or opens one if there is none that this runtime drives.
    pub(super) async fn open(&self, deadline: Instant) -> Result<OpenConnection, RedisFailure> {
        if let Some(open) = self.usable() {
            return Ok(open);
        }
        let mut opened = timeout_at(deadline, self.opening.lock()).await?;
        if let Some(open) = self.usable() {
            return Ok(open);
        }
        self.open_next(&mut opened, deadline).await
    }

    async fn open_next(&self, opened: &mut u64, deadline: Instant) -> Result<OpenConnection, RedisFailure> {
        let connection = timeout_at(deadline, self.client.open(self.timeout, self.connect_timeout)).await??;
        *opened += 1;
        let open = OpenConnection { connection, number: *opened, runtime: runtime::Handle::current().id() };
        *self.current() = Some(open.clone());
        Ok(open)
    }

    /// Returns whether the node at `address` was taken out of the cluster that it was of.
    pub(super) async fn has_lost(&self, address: &ConnectionAddr) -> bool {
        if !self.client.is_cluster() {
            return false;
        }
        let Ok(open) = self.open(Instant::now() + self.timeout).await else { return false };
        open.connection.has_lost(address, self.timeout / 4).await
    }

    /// Opens a connection for subscriptions, and returns the node that it is to.
    pub(super) async fn open_pubsub(&self) -> Result<(PubSub, ConnectionAddr), RedisError> {
        let open = self.usable().map(|open| open.connection);
        self.client.open_pubsub(open, self.timeout).await
    }

    /// Has another connection take the place of one that failed, unless that has happened already.
    pub(super) fn replace(self: &Arc<Self>, failed: &OpenConnection, failure: &RedisFailure) {
        if failed.connection.has_several_nodes() && matches!(failure, RedisFailure::TimedOut) {
            // The other nodes may be well, so their callers go on until there is another.
            tokio::spawn(Arc::clone(self).open_instead_of(failed.number));
            return;
        }
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
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
