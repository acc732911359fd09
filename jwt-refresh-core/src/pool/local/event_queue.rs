//! The events of a pool from when they happen, under the lock, until they are sent, outside of it.
//!
//! To send an event calls the wakers of its receivers. They may be code of the user's, which blocks
//! or uses the pool. One thread at a time sends, so that events come in the order of what happened;
//! it also sends what other threads add meanwhile.

use std::collections::VecDeque;

use crate::events::BACKLOG;
use crate::pool::event::PoolEvent;

#[derive(Debug, Default)]
pub(super) struct EventQueue {
    /// `None` until somebody listens.
    events: Option<VecDeque<PoolEvent>>,
    is_sending: bool,
}

impl EventQueue {
    /// Gathers events from now on.
    pub(super) fn listen(&mut self) {
        self.events.get_or_insert_default();
    }

    /// Returns whether somebody listens, or has.
    pub(super) fn has_listener(&self) -> bool {
        self.events.is_some()
    }

    /// Adds an event. If too many are not sent yet, the oldest is lost, as a receiver loses it that
    /// does not read.
    pub(super) fn push(&mut self, event: PoolEvent) {
        let Some(events) = &mut self.events else { return };
        if events.len() == BACKLOG {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// Takes the events that the caller is to send, unless another thread sends them. When they are
    /// sent, the caller has to ask for the [next](Self::next).
    pub(super) fn begin(&mut self) -> Option<VecDeque<PoolEvent>> {
        if self.is_sending { None } else { self.next() }
    }

    /// Takes the events that were added since the last were taken.
    pub(super) fn next(&mut self) -> Option<VecDeque<PoolEvent>> {
        let events = self.events.as_mut().filter(|events| !events.is_empty()).map(std::mem::take);
        self.is_sending = events.is_some();
        events
    }
}
