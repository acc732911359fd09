//! What the holders of leases have said, and Redis has not been told yet.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::place::Keys;
use super::scripts::REPORT;
use crate::pool::lease::Report;
use crate::redis::Connection;
use crate::store::StoreError;

/// So many reports are sent at once.
const BATCH: usize = 100;
/// More are not kept for a Redis that is away: the oldest go.
const MOST: usize = 100_000;

/// One report, as the script takes it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    kind: &'static str,
    account: Arc<str>,
    /// Of the token; or what tells the message from others, if it must be heard once only.
    generation: u64,
    number: String,
}

impl Message {
    /// Whether this process must not ask for a lease before it is told.
    fn is_urgent(&self) -> bool {
        !matches!(self.kind, "release" | "extend" | "unused" | "succeeded")
    }

    pub(super) fn of(report: Report, account: &Arc<str>, generation: u64) -> Self {
        let micros = |time: Option<Duration>| time.map(|time| time.as_micros().to_string()).unwrap_or_default();
        let (kind, number) = match report {
            Report::Succeeded => ("succeeded", String::new()),
            // By how much the pause is cut: scripts have no chance of their own.
            Report::Rejected => ("rejected", (1.0 - 0.5 * fastrand::f64()).to_string()),
            Report::RateLimited(retry_after) => ("rate_limited", micros(retry_after)),
            Report::QuotaUsedUp(resets_in) => ("quota_used_up", micros(resets_in)),
        };
        Self { kind, account: Arc::clone(account), generation, number }
    }

    /// A lease that counted against the account's concurrency is given back.
    pub(super) fn release(account: &Arc<str>, held: i64) -> Self {
        Self { kind: "release", account: Arc::clone(account), generation: 0, number: held.to_string() }
    }

    /// Such a lease is still held.
    pub(super) fn extend(account: &Arc<str>, held: i64) -> Self {
        Self { kind: "extend", ..Self::release(account, held) }
    }

    /// A place that was waited for is not needed.
    pub(super) fn unused(account: &Arc<str>, from: f64) -> Self {
        let generation = fastrand::u64(..);
        Self { kind: "unused", account: Arc::clone(account), generation, number: from.to_string() }
    }
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    messages: Mutex<Vec<Message>>,
    /// Held while some are on their way.
    sending: tokio::sync::Mutex<()>,
    /// Urgent ones that Redis has not taken yet.
    urgent: AtomicUsize,
    /// Wakes the clerk.
    pub(super) bell: Notify,
}

impl Outbox {
    pub(super) fn push(&self, message: Message) {
        self.urgent.fetch_add(usize::from(message.is_urgent()), Ordering::Relaxed);
        let mut messages = self.lock();
        let forgotten = (messages.len() >= MOST).then(|| messages.remove(0));
        messages.push(message);
        drop(messages);
        self.settle(forgotten.as_slice());
        self.bell.notify_one();
    }

    /// Whether a question for a lease could be answered as if something had not been said that was.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Relaxed) > 0
    }

    /// Tells Redis all there is. What fails is kept for the next time. Not cancel-safe: dropped, it may forget some.
    pub(super) async fn flush(&self, link: &Connection, keys: &Keys) -> Result<(), StoreError> {
        let _sending = self.sending.lock().await;
        loop {
            let batch: Vec<Message> = {
                let mut messages = self.lock();
                let most = messages.len().min(BATCH);
                messages.drain(..most).collect()
            };
            if batch.is_empty() {
                return Ok(());
            }
            if let Err(error) = send(link, keys, &batch).await {
                self.lock().splice(..0, batch);
                return Err(error);
            }
            self.settle(&batch);
        }
    }

    /// Those are off the list, told or forgotten.
    fn settle(&self, messages: &[Message]) {
        let urgent = messages.iter().filter(|message| message.is_urgent()).count();
        self.urgent.fetch_sub(urgent, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Message>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send(link: &Connection, keys: &Keys, batch: &[Message]) -> Result<(), StoreError> {
    let generations: Vec<String> = batch.iter().map(|message| message.generation.to_string()).collect();
    let mut arguments: Vec<&[u8]> = vec![keys.base.as_bytes()];
    for (message, generation) in batch.iter().zip(&generations) {
        arguments.extend([
            message.kind.as_bytes(),
            message.account.as_bytes(),
            generation.as_bytes(),
            message.number.as_bytes(),
        ]);
    }
    link.run::<i64>(&REPORT, &[&keys.stats], &arguments).await.map(drop)
}
