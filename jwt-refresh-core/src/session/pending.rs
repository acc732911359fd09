//! The wait for a renewal that is under way, and the result that its callers get.

use tokio::sync::watch;

use super::events::Event;
use crate::error::{Error, ErrorKind};
use crate::token::AccessToken;

/// The result of a renewal, for the callers that wait for it.
#[derive(Clone, Debug)]
pub(super) enum RenewalResult {
    Renewed(AccessToken),
    /// The renewal failed. The token is the one from before, if it may still be served.
    Failed(Error, Option<AccessToken>),
    /// The result does not settle the next renewal: this one was overtaken by a logout or by other
    /// tokens, or it was a login of the user's whose failure left everything as it was.
    Inconclusive(Error),
    /// It was for another access token of the login. The error is for the caller who asked for
    /// that; all others look again.
    OfOther(Error),
}

impl RenewalResult {
    /// Returns the result for a caller that needs a token, wherever it comes from. Returns `None`
    /// if the caller has to look at the state again.
    pub(super) fn token(self) -> Option<Result<AccessToken, Error>> {
        match self {
            Self::Renewed(token) | Self::Failed(_, Some(token)) => Some(Ok(token)),
            Self::Failed(error, None) => Some(Err(error)),
            Self::Inconclusive(_) | Self::OfOther(_) => None,
        }
    }

    /// Returns the result for a caller that wants to know whether the renewal itself succeeded.
    pub(super) fn success(self) -> Result<AccessToken, Error> {
        match self {
            Self::Renewed(token) => Ok(token),
            Self::Failed(error, _) | Self::Inconclusive(error) | Self::OfOther(error) => Err(error),
        }
    }
}

/// A renewal under way, for a caller that waits for it.
#[derive(Clone, Debug)]
pub(super) struct PendingRenewal(watch::Receiver<Option<RenewalResult>>);

impl PendingRenewal {
    /// Waits until the renewal has ended.
    pub(super) async fn result(mut self) -> RenewalResult {
        match self.0.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            // Every renewal is completed, at the latest when its guard is dropped, so this is not
            // reached.
            _ => RenewalResult::Failed(Error::new(ErrorKind::Aborted, "the renewal was lost"), None),
        }
    }
}

/// Sends the result of one renewal to all callers that wait for it. Clones send to the same
/// callers.
#[derive(Clone, Debug)]
pub(super) struct ResultSender(watch::Sender<Option<RenewalResult>>);

impl ResultSender {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Returns a handle to wait for the result.
    pub(super) fn subscribe(&self) -> PendingRenewal {
        PendingRenewal(self.0.subscribe())
    }
}

/// The result that the callers of a renewal have to be sent, after the lock is released and the
/// fast path sees the new state.
#[must_use = "callers wait for it"]
pub(super) struct Notification {
    pub(super) sender: ResultSender,
    pub(super) result: RenewalResult,
    /// What happened to the session, if its state has changed.
    pub(super) event: Option<Event>,
}

impl Notification {
    pub(super) fn send(self) {
        self.sender.0.send_replace(Some(self.result));
    }
}
