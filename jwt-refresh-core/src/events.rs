//! Events for a program that watches a session or a pool, and the channel that they are sent on.

use std::fmt;

use tokio::sync::broadcast;

use crate::sync::Mutex;

/// How many events may be unread before a receiver loses the oldest.
pub(crate) const BACKLOG: usize = 64;

/// The events of a session or a pool from when this was created. Returned by
/// [`Session::events`](crate::Session::events) and [`Pool::events`](crate::pool::Pool::events).
pub struct Events<E>(broadcast::Receiver<E>);

impl<E: Clone> Events<E> {
    /// Waits for the next event. Returns `None` when the session or pool has ended, or the pool was
    /// closed. If more than 64
    /// events are unread, the oldest are lost.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no event is lost.
    pub async fn next(&mut self) -> Option<E> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl<E> fmt::Debug for Events<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl<E: Clone> Events<E> {
    /// Returns a receiver that gets no event.
    pub(crate) fn ended() -> Self {
        Self(broadcast::Sender::new(1).subscribe())
    }
}

/// Sends events to all receivers. The buffer is made when there is a first receiver, because it is
/// larger than all the rest of a session.
pub(crate) struct EventChannel<E>(Mutex<Option<broadcast::Sender<E>>>);

impl<E: Clone> EventChannel<E> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Sends an event. This calls the wakers of receivers, which may be code of the user's.
    pub(crate) fn send(&self, event: E) {
        let sender = self.0.lock().clone();
        if let Some(sender) = sender {
            // Sending fails if there is no receiver any more, which is no error here.
            let _ = sender.send(event);
        }
    }

    /// Returns a receiver for what is sent from now on.
    pub(crate) fn receiver(&self) -> Events<E> {
        Events(self.0.lock().get_or_insert_with(|| broadcast::Sender::new(BACKLOG)).subscribe())
    }

    /// Ends the receivers, once they have read what was sent.
    pub(crate) fn close(&self) {
        let sender = self.0.lock().take();
        drop(sender);
    }
}
