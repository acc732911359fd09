//! Subscriptions to channels: one connection for all channels of a store or a pool, kept open by a
//! task that runs as long as there is a subscription.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSubSink;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::connection::Connection;
use crate::store::{StoreError, StoreErrorKind};
use crate::sync::{Mutex, MutexGuard};

/// How often the connection is checked with a ping, whether its node is still one of the cluster,
/// and channels without a subscription are left.
const ROUND: Duration = Duration::from_secs(5);
/// The pauses between attempts to connect: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Hands out subscriptions to channels. Dropping it ends the connection.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    connection: Arc<Connection>,
    channels: Arc<Channels>,
}

/// The channels that have subscriptions, shared with the task that receives their messages.
#[derive(Debug, Default)]
struct Channels {
    table: Mutex<ChannelTable>,
    /// Notified when a channel is added that Redis does not know of yet.
    added: Notify,
}

#[derive(Debug, Default)]
struct ChannelTable {
    /// Counts the events of each channel. Subscriptions only look at whether the count changed.
    events: BTreeMap<String, watch::Sender<u64>>,
    task: Option<AbortHandle>,
}

/// Is notified whenever something happens on a channel, or may have happened: messages are lost
/// while there is no connection, so the moment at which a channel is subscribed to counts as an
/// event, and so does the moment at which the connection breaks.
#[derive(Clone, Debug)]
pub(crate) struct Subscription(watch::Receiver<u64>);

impl Subscription {
    /// Waits until something has happened since the last call, or since the subscription was made.
    pub(crate) async fn notified(&mut self) {
        if self.0.changed().await.is_err() {
            // The `Subscriptions` are gone, and nothing will happen any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Subscriptions {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, channels: Arc::default() }
    }

    /// Subscribes to `channel`. Must be called inside a runtime.
    pub(crate) fn subscribe(&self, channel: String) -> Subscription {
        let mut table = self.channels.table();
        let receiver = match table.events.get(&channel) {
            Some(events) => events.subscribe(),
            None => table.events.entry(channel).or_default().subscribe(),
        };
        // The task removes itself from the table before it ends. If it is finished and still there,
        // the runtime that it ran on has ended.
        if table.task.as_ref().is_none_or(AbortHandle::is_finished) {
            let task = tokio::spawn(keep_listening(self.connection.clone(), self.channels.clone()));
            table.task = Some(task.abort_handle());
        }
        self.channels.added.notify_one();
        Subscription(receiver)
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        let mut table = self.channels.table();
        table.events.clear();
        if let Some(task) = table.task.take() {
            task.abort();
        }
    }
}

impl Channels {
    fn table(&self) -> MutexGuard<'_, ChannelTable> {
        self.table.lock()
    }

    fn notify(&self, channel: &str) {
        if let Some(events) = self.table().events.get(channel) {
            events.send_modify(|events| *events += 1);
        }
    }

    fn notify_all(&self) {
        for events in self.table().events.values() {
            events.send_modify(|events| *events += 1);
        }
    }

    fn missing(&self, subscribed: &BTreeSet<String>) -> Vec<String> {
        self.table().events.keys().filter(|channel| !subscribed.contains(*channel)).cloned().collect()
    }

    /// Removes the channels without a subscription, and returns whether that leaves none. If so,
    /// the calling task must end: the next subscription starts another.
    fn remove_idle(&self) -> bool {
        let mut table = self.table();
        table.events.retain(|_, events| events.receiver_count() > 0);
        if !table.events.is_empty() {
            return false;
        }
        table.task = None;
        true
    }

    fn has(&self, channel: &str) -> bool {
        self.table().events.contains_key(channel)
    }
}

/// Receives messages until there is no subscription any more, over a new connection whenever one
/// breaks.
async fn keep_listening(connection: Arc<Connection>, channels: Arc<Channels>) {
    let mut pause = PAUSE.0;
    loop {
        let begun = Instant::now();
        let Err(error) = listen(&connection, &channels).await else { return };
        channels.notify_all();
        if begun.elapsed() > ROUND {
            pause = PAUSE.0;
        }
        tracing::debug!(store = connection.name(), %error, "not told of changes; looking for them instead");
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(PAUSE.1);
        if channels.remove_idle() {
            return;
        }
    }
}

/// Receives messages over one connection until there is no subscription any more.
async fn listen(connection: &Connection, channels: &Channels) -> Result<(), StoreError> {
    let (opened, node) = connection.open_pubsub().await?;
    let (mut sink, mut messages) = opened.split();
    let mut subscribed = BTreeSet::new();
    let mut round = Instant::now() + ROUND;
    loop {
        subscribe(connection, channels, &mut sink, &mut subscribed).await?;
        tokio::select! {
            // In this order, so that no flood of messages delays the round.
            biased;
            () = channels.added.notified() => {}
            () = sleep_until(round) => {
                if channels.remove_idle() {
                    return Ok(());
                }
                unsubscribe(connection, channels, &mut sink, &mut subscribed).await?;
                connection.bound(sink.ping::<redis::Value>()).await?;
                if connection.has_lost(&node).await {
                    return Err(closed(connection));
                }
                round = Instant::now() + ROUND;
            }
            message = messages.next() => match message {
                Some(message) => channels.notify(message.get_channel_name()),
                None => return Err(closed(connection)),
            },
        }
    }
}

async fn subscribe(
    connection: &Connection,
    channels: &Channels,
    sink: &mut PubSubSink,
    subscribed: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    for channel in channels.missing(subscribed) {
        connection.bound(sink.subscribe(&channel)).await?;
        // A message before this moment may have been missed; none after it will be.
        channels.notify(&channel);
        subscribed.insert(channel);
    }
    Ok(())
}

async fn unsubscribe(
    connection: &Connection,
    channels: &Channels,
    sink: &mut PubSubSink,
    subscribed: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    let idle: Vec<_> = subscribed.iter().filter(|channel| !channels.has(channel)).cloned().collect();
    for channel in idle {
        connection.bound(sink.unsubscribe(&channel)).await?;
        subscribed.remove(&channel);
    }
    Ok(())
}

fn closed(connection: &Connection) -> StoreError {
    let what = format!("the Redis store at {} sends no more messages over the connection", connection.name());
    StoreError::new(StoreErrorKind::Unavailable, what)
}
