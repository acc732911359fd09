//! The connection that all commands of a store or a pool share. It is opened by the first command
//! and opened again when it broke, and no caller waits for longer than the time-out.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, Value};
use tokio::runtime;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::RedisFailure;
use super::script::Script;
use crate::store::{StoreError, StoreErrorKind};

pub(crate) struct Connection {
    client: Client,
    /// Host and port, which name the store in errors.
    name: String,
    timeout: Duration,
    connect_timeout: Duration,
    current: Mutex<Option<OpenConnection>>,
    /// Held while a connection is opened, so that the other callers wait for that one. Counts the
    /// connections that were opened.
    opening: tokio::sync::Mutex<u64>,
}

#[derive(Clone)]
struct OpenConnection {
    connection: MultiplexedConnection,
    /// Tells this connection from those before and after it.
    number: u64,
    /// The runtime that the connection was opened on. It drives the connection, which makes no
    /// progress when the runtime makes none.
    runtime: runtime::Id,
}

impl Connection {
    pub(crate) fn new(client: Client, timeout: Duration, connect_timeout: Duration) -> Self {
        let name = client.get_connection_info().addr().to_string();
        let (current, opening) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { client, name, timeout, connect_timeout, current, opening }
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
        arguments: &[&[u8]],
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

    /// Opens a connection for subscriptions, apart from the one for commands.
    pub(super) async fn open_pubsub(&self) -> Result<PubSub, StoreError> {
        let opened = timeout(self.connect_timeout, self.client.get_async_pubsub()).await;
        self.explain(flatten(opened))
    }

    /// Bounds what is done with a connection of [`open_pubsub`](Self::open_pubsub) by the time-out.
    pub(super) async fn bound<T>(&self, request: impl Future<Output = Result<T, RedisError>>) -> Result<T, StoreError> {
        let answer = timeout(self.timeout, request).await;
        self.explain(flatten(answer))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sends a command, and sends it once more if the connection turns out to be broken, which it
    /// mostly is if it was idle while the server was restarted. Every command sent here must
    /// therefore have the same effect if it is done twice.
    async fn send(&self, command: &Cmd, deadline: Instant) -> Result<Value, RedisFailure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut open = self.open(deadline).await?;
            let answer = timeout_at(deadline, command.query_async(&mut open.connection)).await;
            let failure = match flatten(answer) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            if !failure.is_of_connection() {
                return Err(failure);
            }
            self.close(open.number);
            if tries == 2 || matches!(failure, RedisFailure::TimedOut) {
                return Err(failure);
            }
        }
    }

    /// Returns the current connection, or opens one if there is none that this runtime drives.
    async fn open(&self, deadline: Instant) -> Result<OpenConnection, RedisFailure> {
        let runtime = runtime::Handle::current().id();
        let usable = || self.current().as_ref().filter(|open| open.runtime == runtime).cloned();
        if let Some(open) = usable() {
            return Ok(open);
        }
        let mut opened = timeout_at(deadline, self.opening.lock()).await?;
        if let Some(open) = usable() {
            return Ok(open);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            // The deadline covers connecting and answering together.
            .set_response_timeout(None);
        let opening = self.client.get_multiplexed_async_connection_with_config(&config);
        let connection = timeout_at(deadline, opening).await??;
        *opened += 1;
        let open = OpenConnection { connection, number: *opened, runtime };
        *self.current() = Some(open.clone());
        Ok(open)
    }

    /// Makes the next command open a connection, unless another command has done so already.
    fn close(&self, number: u64) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|open| open.number == number) {
            *current = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<OpenConnection>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T: FromRedisValue>(&self, answer: Result<Value, RedisFailure>) -> Result<T, StoreError> {
        let value = self.explain(answer)?;
        redis::from_redis_value(value).map_err(|_| {
            let what = format!("the Redis store at {} answered something else than was asked", self.name);
            StoreError::new(StoreErrorKind::Unavailable, what)
        })
    }

    fn explain<T>(&self, answer: Result<T, RedisFailure>) -> Result<T, StoreError> {
        answer.map_err(|failure| failure.into_store_error(&self.name))
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
