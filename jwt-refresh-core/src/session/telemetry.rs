//! The counters of a session, and the channel that its events are sent on.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::sync::watch;

use super::events::Event;
use crate::error::{Error, ErrorKind};
use crate::events::{EventChannel, Events};
use crate::renewal::{Action, count_answer, count_wait};
use crate::sync::Mutex;

/// How many refreshes in a row are refused before a warning says so.
const REFUSALS_TO_WARN_AT: u32 = 3;

pub(super) struct Telemetry {
    logins: AtomicU64,
    refreshes: AtomicU64,
    failures: AtomicU64,
    refused_refreshes: AtomicU64,
    /// How many refreshes were refused since the last one that succeeded.
    refused_in_a_row: AtomicU32,
    waits: AtomicU64,
    last_error: Mutex<Option<Error>>,
    /// Made when there is a first receiver, of either.
    channels: OnceLock<Box<EventChannels>>,
}

/// Where a session's program can wait for what happens.
struct EventChannels {
    events: EventChannel<Event>,
    /// Sent on when there is a new token.
    token_changes: watch::Sender<()>,
}

/// The values of the counters.
pub(super) struct Counts {
    pub(super) logins: u64,
    pub(super) refreshes: u64,
    pub(super) failures: u64,
    pub(super) refused_refreshes: u64,
    pub(super) waits: u64,
    pub(super) last_error: Option<Error>,
}

impl Telemetry {
    pub(super) fn new() -> Self {
        Self {
            logins: AtomicU64::new(0),
            refreshes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            refused_refreshes: AtomicU64::new(0),
            refused_in_a_row: AtomicU32::new(0),
            waits: AtomicU64::new(0),
            last_error: Mutex::new(None),
            channels: OnceLock::new(),
        }
    }

    /// Counts a caller that has to wait for a renewal.
    pub(super) fn waited(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
        count_wait();
    }

    /// Counts a login or refresh: as a failure if there is an `error`.
    pub(super) fn answered(&self, action: Action, error: Option<&Error>) {
        if let Some(error) = error {
            *self.last_error.lock() = Some(error.clone());
        }
        let counter = match action {
            _ if error.is_some() => &self.failures,
            Action::Login => &self.logins,
            Action::Refresh => &self.refreshes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        count_answer(action, error);
        match (action, error) {
            (Action::Refresh, None) => self.refused_in_a_row.store(0, Ordering::Relaxed),
            (Action::Refresh, Some(error)) if error.kind() == ErrorKind::Denied && !error.is_by_login() => {
                self.refused_refreshes.fetch_add(1, Ordering::Relaxed);
                self.refused_in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            (Action::Login, None) => self.warn_if_always_refused(),
            _ => {}
        }
    }

    /// Logs a warning, once, if the server refuses every refresh, and takes the logins after them.
    /// One refusal says nothing: a refresh token may have expired or been revoked.
    fn warn_if_always_refused(&self) {
        let (limit, past) = (REFUSALS_TO_WARN_AT, REFUSALS_TO_WARN_AT + 1);
        if self.refused_in_a_row.compare_exchange(limit, past, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let what = "the server refuses every refresh, so that each renewal is a login; \
                        check the refresh URL and how the refresh token is sent";
            tracing::warn!(target: "jwt_refresh", in_a_row = REFUSALS_TO_WARN_AT, "{what}");
        }
    }

    /// Sends an event to all receivers.
    pub(super) fn send_event(&self, event: Event) {
        if let Event::Failed(error) | Event::ReauthenticationRequired(error) = &event {
            *self.last_error.lock() = Some(error.clone());
        }
        let Some(channels) = self.channels.get() else { return };
        if matches!(event, Event::Renewed | Event::Adopted) {
            channels.token_changes.send_replace(());
        }
        channels.events.send(event);
    }

    pub(super) fn events(&self) -> Events<Event> {
        self.channels().events.receiver()
    }

    /// Tells all receivers that there is a new token.
    pub(super) fn token_changed(&self) {
        if let Some(channels) = self.channels.get() {
            channels.token_changes.send_replace(());
        }
    }

    pub(super) fn token_changes(&self) -> watch::Receiver<()> {
        self.channels().token_changes.subscribe()
    }

    /// Returns whether somebody waits for new tokens.
    pub(super) fn has_token_receivers(&self) -> bool {
        self.channels.get().is_some_and(|channels| channels.token_changes.receiver_count() > 0)
    }

    fn channels(&self) -> &EventChannels {
        self.channels.get_or_init(|| {
            Box::new(EventChannels { events: EventChannel::new(), token_changes: watch::Sender::new(()) })
        })
    }

    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            logins: read(&self.logins),
            refreshes: read(&self.refreshes),
            failures: read(&self.failures),
            refused_refreshes: read(&self.refused_refreshes),
            waits: read(&self.waits),
            last_error: self.last_error.lock().clone(),
        }
    }
}
