//! The connection that all commands of a store or a pool share. It is opened by the first command
//! and opened again when it broke, and no caller waits for longer than the time-out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use redis::aio::PubSub;
use redis::{Cmd, ConnectionAddr, FromRedisValue, RedisError, ToRedisArgs, Value};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use super::client::RedisClient;
use super::current::CurrentConnection;
use super::failure::RedisFailure;
use super::script::Script;
use super::transport::RedisTransport;
use crate::store::{StoreError, StoreErrorKind};

pub(crate) struct Connection {
    /// Hosts and ports, which name the store in errors.
    name: String,
    transport: RedisTransport,
    timeout: Duration,
    current: Arc<CurrentConnection>,
}

impl Connection {
    pub(crate) fn new(client: RedisClient, timeout: Duration, connect_timeout: Duration) -> Self {
        let (name, transport) = (client.name(), client.transport());
        Self { name, transport, timeout, current: CurrentConnection::new(client, timeout, connect_timeout) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Runs a script, by its digest if Redis knows it.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[impl ToRedisArgs + Sync],
    ) -> Result<T, StoreError> {
        let call = |name, code: &str| {
            let mut command = redis::cmd(name);
            command.arg(code).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        let deadline = self.deadline();
        let mut answer = self.send(&call("EVALSHA", &script.digest), deadline).await;
        // The script has not run here yet, or the server was restarted. EVAL makes the server
        // remember it.
        if answer.as_ref().is_err_and(RedisFailure::is_unknown_script) {
            answer = self.send(&call("EVAL", &script.code), deadline).await;
        }
        self.read(answer)
    }

    /// Runs a command.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let answer = self.send(command, self.deadline()).await;
        self.read(answer)
    }

    /// Returns the fields of a hash.
    pub(crate) async fn all_of(&self, key: &str) -> Result<BTreeMap<String, String>, StoreError> {
        self.query(redis::cmd("HGETALL").arg(key)).await
    }

    /// Returns what is in each of these hashes.
    pub(crate) async fn all_of_each(
        self: &Arc<Self>,
        keys: Vec<String>,
    ) -> Result<Vec<BTreeMap<String, String>>, StoreError> {
        /// How many are read at the same time.
        const AT_ONCE: usize = 64;
        let reads = keys.into_iter().map(|key| {
            let link = Arc::clone(self);
            async move { link.all_of(&key).await }
        });
        stream::iter(reads).buffered(AT_ONCE).try_collect().await
    }

    /// Returns whether the node at `address` was taken out of the cluster that it was of, or is no
    /// longer the master. It may answer for ever then, and hear of nothing that the others do.
    pub(super) async fn has_lost(&self, address: &ConnectionAddr) -> bool {
        self.current.has_lost(address).await
    }

    /// Opens a connection for subscriptions, apart from the one for commands, and returns the node
    /// that it is to.
    pub(super) async fn open_pubsub(&self) -> Result<(PubSub, ConnectionAddr), StoreError> {
        let opened = timeout(self.timeout, self.current.open_pubsub()).await;
        self.explain(opened.unwrap_or(Err(RedisFailure::Unopened)))
    }

    /// Bounds what is done with a connection of [`open_pubsub`](Self::open_pubsub) by the time-out.
    pub(super) async fn bound<T>(&self, request: impl Future<Output = Result<T, RedisError>>) -> Result<T, StoreError> {
        let answer = timeout(self.timeout, request).await;
        self.explain(flatten(answer))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    async fn send(&self, command: &Cmd, deadline: Instant) -> Result<Value, RedisFailure> {
        match self.send_at_most_twice(command, deadline).await {
            Ok(value) => Ok(value),
            Err(failure) => Err(self.current.explain(failure, deadline).await),
        }
    }

    /// Sends a command, and sends it once more if the connection turns out to be broken, which it
    /// mostly is if it was idle while the server was restarted. Every command sent here must
    /// therefore have the same effect if it is done twice.
    async fn send_at_most_twice(&self, command: &Cmd, deadline: Instant) -> Result<Value, RedisFailure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut open = self.current.open(deadline).await?;
            let answer = timeout_at(deadline, open.connection.query(command)).await;
            let failure = match flatten(answer) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            if !failure.is_of_connection() {
                return Err(failure);
            }
            self.current.replace(&open, &failure);
            if tries == 2 || matches!(failure, RedisFailure::TimedOut) {
                return Err(failure);
            }
        }
    }

    fn read<T: FromRedisValue>(&self, answer: Result<Value, RedisFailure>) -> Result<T, StoreError> {
        let value = self.explain(answer)?;
        redis::from_redis_value(value).map_err(|_| {
            let what = format!("the Redis store at {} answered something else than was asked", self.name);
            StoreError::new(StoreErrorKind::Unavailable, what)
        })
    }

    fn explain<T>(&self, answer: Result<T, RedisFailure>) -> Result<T, StoreError> {
        answer.map_err(|failure| failure.into_store_error(&self.name, self.transport))
    }
}

fn flatten<T>(answer: Result<Result<T, RedisError>, Elapsed>) -> Result<T, RedisFailure> {
    Ok(answer??)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.name)
    }
}
