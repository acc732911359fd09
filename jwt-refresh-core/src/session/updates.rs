//! The tokens of a session, one after the other, for connections that outlive one.

use std::fmt;
use std::sync::Weak;

use tokio::sync::watch;

use super::shared::SessionShared;
use crate::token::AccessToken;

/// The access tokens of a session: the current one, and from then on each new one. Returned by
/// [`Session::updates`](crate::Session::updates), which has examples.
///
/// While this exists the session renews its token before it expires, even if there is no caller, as
/// with [`keep_fresh`](crate::SessionBuilder::keep_fresh). It does not keep the session alive.
pub struct Updates {
    session: Weak<SessionShared>,
    changes: watch::Receiver<()>,
    /// The generation of the last token that was returned.
    last: u64,
}

impl Updates {
    pub(super) fn new(session: Weak<SessionShared>, changes: watch::Receiver<()>) -> Self {
        Self { session, changes, last: 0 }
    }

    /// Waits for a live token that this has not returned yet. Its
    /// [`expires_at`](AccessToken::expires_at) is when a connection that has it may end. Returns
    /// `None` when the last handle of the session is dropped.
    ///
    /// If several tokens have come since the last call, only the newest is returned. While none can
    /// be had, as after a logout, this waits; [`Session::events`](crate::Session::events) say why.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no token is lost.
    pub async fn next(&mut self) -> Option<AccessToken> {
        loop {
            let token = self.session.upgrade()?.cell.servable_token();
            if let Some(token) = token.filter(|token| token.generation() > self.last) {
                self.last = token.generation();
                return Some(token);
            }
            self.changes.changed().await.ok()?;
        }
    }
}

impl fmt::Debug for Updates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Updates").field("last", &self.last).finish_non_exhaustive()
    }
}
