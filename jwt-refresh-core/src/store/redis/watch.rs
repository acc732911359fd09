//! Listening on channels: one connection for all of a store's channels, kept by a task that lives as long as somebody listens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSubSink;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::link::Link;
use crate::{StoreError, StoreErrorKind};

/// How often the connection is tried for life, and rid of channels that nobody listens on any more.
const ROUND: Duration = Duration::from_secs(5);
/// The pauses between attempts to connect: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Where one asks to be told of what happens on a channel.
#[derive(Debug)]
pub(crate) struct Hub {
    link: Arc<Link>,
    channels: Arc<Channels>,
}

#[derive(Debug, Default)]
struct Channels {
    state: Mutex<State>,
    /// Told when there is a channel that is not subscribed to yet.
    more: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Counts what happened on a channel. Listeners only ask whether it moved.
    beats: BTreeMap<String, watch::Sender<u64>>,
    task: Option<AbortHandle>,
}

/// Told whenever something happens on a channel, or may have: messages are lost while there is no connection, so the moment
/// when one is subscribed counts too, and the moment when it breaks.
#[derive(Clone, Debug)]
pub(crate) struct Listener(watch::Receiver<u64>);

impl Listener {
    /// Another that is told of what happens from now on.
    pub(crate) fn renewed(&self) -> Self {
        let mut receiver = self.0.clone();
        receiver.mark_unchanged();
        Self(receiver)
    }

    /// Whether something happened since the last call of [`heard`](Self::heard), or since the listener was made.
    pub(crate) fn has_heard(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }

    /// Waits until something happened since the last call, or since the listener was made.
    pub(crate) async fn heard(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is gone, and nothing will be told any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Hub {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self { link, channels: Arc::default() }
    }

    /// Listens on `channel`. Must be called inside a runtime.
    pub(crate) fn listen(&self, channel: String) -> Listener {
        let mut state = self.channels.state();
        let receiver = match state.beats.get(&channel) {
            Some(beats) => beats.subscribe(),
            None => state.beats.entry(channel).or_default().subscribe(),
        };
        // A task that ended without saying so lived on a runtime that ended.
        if state.task.as_ref().is_none_or(AbortHandle::is_finished) {
            let task = tokio::spawn(keep_listening(self.link.clone(), self.channels.clone()));
            state.task = Some(task.abort_handle());
        }
        self.channels.more.notify_one();
        Listener(receiver)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let mut state = self.channels.state();
        state.beats.clear();
        if let Some(task) = state.task.take() {
            task.abort();
        }
    }
}

impl Channels {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, channel: &str) {
        if let Some(beats) = self.state().beats.get(channel) {
            beats.send_modify(|beats| *beats += 1);
        }
    }

    fn tell_all(&self) {
        for beats in self.state().beats.values() {
            beats.send_modify(|beats| *beats += 1);
        }
    }

    fn missing(&self, subscribed: &BTreeSet<String>) -> Vec<String> {
        self.state().beats.keys().filter(|channel| !subscribed.contains(*channel)).cloned().collect()
    }

    /// Forgets the channels that nobody listens on, and whether that leaves none. If so the caller's task must end: the next
    /// listener starts another.
    fn forget_idle(&self) -> bool {
        let mut state = self.state();
        state.beats.retain(|_, beats| beats.receiver_count() > 0);
        if !state.beats.is_empty() {
            return false;
        }
        state.task = None;
        true
    }

    fn has(&self, channel: &str) -> bool {
        self.state().beats.contains_key(channel)
    }
}

async fn keep_listening(link: Arc<Link>, channels: Arc<Channels>) {
    let mut pause = PAUSE.0;
    loop {
        let begun = Instant::now();
        let Err(error) = listen(&link, &channels).await else { return };
        channels.tell_all();
        if begun.elapsed() > ROUND {
            pause = PAUSE.0;
        }
        tracing::debug!(store = link.name(), %error, "not told of changes; looking for them instead");
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(PAUSE.1);
        if channels.forget_idle() {
            return;
        }
    }
}

/// Listens over one connection until nobody listens to it any more.
async fn listen(link: &Link, channels: &Channels) -> Result<(), StoreError> {
    let (mut sink, mut messages) = link.listen().await?.split();
    let mut subscribed = BTreeSet::new();
    let mut round = Instant::now() + ROUND;
    loop {
        subscribe(link, channels, &mut sink, &mut subscribed).await?;
        tokio::select! {
            // In this order, so that no flood of messages keeps the round from its turn.
            biased;
            () = channels.more.notified() => {}
            () = sleep_until(round) => {
                if channels.forget_idle() {
                    return Ok(());
                }
                unsubscribe(link, channels, &mut sink, &mut subscribed).await?;
                link.bound(sink.ping::<redis::Value>()).await?;
                round = Instant::now() + ROUND;
            }
            message = messages.next() => match message {
                Some(message) => channels.tell(message.get_channel_name()),
                None => return Err(broken(link)),
            },
        }
    }
}

async fn subscribe(
    link: &Link,
    channels: &Channels,
    sink: &mut PubSubSink,
    subscribed: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    for channel in channels.missing(subscribed) {
        link.bound(sink.subscribe(&channel)).await?;
        // What happened before may have been missed, but nothing from now on will be.
        channels.tell(&channel);
        subscribed.insert(channel);
    }
    Ok(())
}

async fn unsubscribe(
    link: &Link,
    channels: &Channels,
    sink: &mut PubSubSink,
    subscribed: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    let idle: Vec<_> = subscribed.iter().filter(|channel| !channels.has(channel)).cloned().collect();
    for channel in idle {
        link.bound(sink.unsubscribe(&channel)).await?;
        subscribed.remove(&channel);
    }
    Ok(())
}

fn broken(link: &Link) -> StoreError {
    let what = format!("the Redis store at {} closed the connection", link.name());
    StoreError::new(StoreErrorKind::Unavailable, what)
}
