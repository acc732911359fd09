//! The connection that a store's commands share: opened when it is first needed, opened anew when it broke, and never waited
//! for longer than the time-out.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value};
use tokio::runtime;
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::{failure, silence};
use super::scripts::Script;
use crate::{StoreError, StoreErrorKind};

pub(crate) struct Link {
    client: Client,
    /// Host and port: what the store is called in errors.
    name: String,
    timeout: Duration,
    connect_timeout: Duration,
    open: Mutex<Option<Open>>,
    /// Held by whoever opens a connection, so that the others wait for that one. Counts them.
    opened: tokio::sync::Mutex<u64>,
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    /// Tells this connection from those before and after it.
    number: u64,
    /// A connection lives on the runtime that opened it, and stands still when that one does.
    runtime: runtime::Id,
}

impl Link {
    pub(crate) fn new(client: Client, timeout: Duration, connect_timeout: Duration) -> Self {
        let name = client.get_connection_info().addr().to_string();
        Self { client, name, timeout, connect_timeout, open: Mutex::default(), opened: tokio::sync::Mutex::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn timeout(&self) -> Duration {
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
        // It has not run here yet, or the server was restarted. EVAL makes the server remember it.
        if answer.as_ref().is_err_and(Failed::is_unknown_script) {
            answer = self.send(&call("EVAL", &script.code), deadline).await;
        }
        self.read(answer)
    }

    /// Runs a command.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let answer = self.send(command, self.deadline()).await;
        self.read(answer)
    }

    /// A connection for listening on channels, apart from the one for commands.
    pub(super) async fn listen(&self) -> Result<PubSub, StoreError> {
        let opened = timeout(self.connect_timeout, self.client.get_async_pubsub()).await;
        self.read_result(opened.map_err(|_| Failed::Silence).and_then(|opened| opened.map_err(Failed::Redis)))
    }

    /// Bounds what is done with a connection of [`listen`](Self::listen).
    pub(super) async fn bound<T>(&self, doing: impl Future<Output = Result<T, RedisError>>) -> Result<T, StoreError> {
        let done = timeout(self.timeout, doing).await;
        self.read_result(done.map_err(|_| Failed::Silence).and_then(|done| done.map_err(Failed::Redis)))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sends a command, once more if the connection turns out to be broken: an idle one whose server was restarted, mostly.
    /// So whatever is sent here must bear being done twice.
    async fn send(&self, command: &Cmd, deadline: Instant) -> Result<Value, Failed> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut open = self.open(deadline).await?;
            let answer = timeout_at(deadline, command.query_async::<Value>(&mut open.connection)).await;
            let failed = match answer {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => Failed::Redis(error),
                Err(_) => Failed::Silence,
            };
            if !failed.is_of_connection() {
                return Err(failed);
            }
            self.close(open.number);
            if tries == 2 || matches!(failed, Failed::Silence) {
                return Err(failed);
            }
        }
    }

    async fn open(&self, deadline: Instant) -> Result<Open, Failed> {
        let runtime = runtime::Handle::current().id();
        let usable = || self.slot().as_ref().filter(|open| open.runtime == runtime).cloned();
        if let Some(open) = usable() {
            return Ok(open);
        }
        let mut opened = timeout_at(deadline, self.opened.lock()).await.map_err(|_| Failed::Silence)?;
        if let Some(open) = usable() {
            return Ok(open);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            // The deadline covers connecting and answering together.
            .set_response_timeout(None);
        let opening = self.client.get_multiplexed_async_connection_with_config(&config);
        let connection = timeout_at(deadline, opening).await.map_err(|_| Failed::Silence)?.map_err(Failed::Redis)?;
        *opened += 1;
        let open = Open { connection, number: *opened, runtime };
        *self.slot() = Some(open.clone());
        Ok(open)
    }

    /// Sees to it that the next command opens a connection, unless one did already.
    fn close(&self, number: u64) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|open| open.number == number) {
            *slot = None;
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T: FromRedisValue>(&self, answer: Result<Value, Failed>) -> Result<T, StoreError> {
        let value = self.read_result(answer)?;
        redis::from_redis_value(value).map_err(|_| {
            let what = format!("the Redis store at {} answered something else than was asked", self.name);
            StoreError::new(StoreErrorKind::Unavailable, what)
        })
    }

    fn read_result<T>(&self, result: Result<T, Failed>) -> Result<T, StoreError> {
        result.map_err(|failed| match failed {
            Failed::Redis(error) => failure(&self.name, &error),
            Failed::Silence => silence(&self.name),
        })
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.name)
    }
}

/// Why there is no answer.
enum Failed {
    Redis(RedisError),
    Silence,
}

impl Failed {
    fn is_unknown_script(&self) -> bool {
        matches!(self, Self::Redis(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    }

    /// Whether another connection may fare better. After a fail-over, that includes one to the former primary, and one that
    /// stopped answering is as good as broken.
    fn is_of_connection(&self) -> bool {
        match self {
            Self::Redis(error) => {
                error.is_unrecoverable_error() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
            }
            Self::Silence => true,
        }
    }
}
