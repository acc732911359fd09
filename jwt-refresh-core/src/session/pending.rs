//! Waiting for a renewal that is under way, and what those who wait for it are told.

use tokio::sync::watch;

use crate::error::{Error, ErrorKind};
use crate::token::AccessToken;

/// What came of a renewal, for those who wait for it.
#[derive(Clone, Debug)]
pub(super) enum RenewalResult {
    Renewed(AccessToken),
    /// It failed; the token from before may still live.
    Failed(Error, Option<AccessToken>),
    /// It says nothing about the next one: it was overtaken, or a login failed where there is
    /// something to refresh with.
    Inconclusive(Error),
}

impl RenewalResult {
    /// The result for a caller that needs a token, whichever. `None` if it has to look again.
    pub(super) fn token(self) -> Option<Result<AccessToken, Error>> {
        match self {
            Self::Renewed(token) | Self::Failed(_, Some(token)) => Some(Ok(token)),
            Self::Failed(error, None) => Some(Err(error)),
            Self::Inconclusive(_) => None,
        }
    }

    /// The result for a caller that wants to know whether the renewal itself succeeded.
    pub(super) fn success(self) -> Result<AccessToken, Error> {
        match self {
            Self::Renewed(token) => Ok(token),
            Self::Failed(error, _) | Self::Inconclusive(error) => Err(error),
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
            // Every renewal is completed, if only by the drop of its guard.
            _ => RenewalResult::Failed(Error::new(ErrorKind::Aborted, "the renewal was lost"), None),
        }
    }
}

/// All callers that wait for one renewal.
#[derive(Debug)]
pub(super) struct ResultSender(watch::Sender<Option<RenewalResult>>);

impl ResultSender {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(super) fn subscribe(&self) -> PendingRenewal {
        PendingRenewal(self.0.subscribe())
    }
}

/// What the callers that wait for a renewal are to be told, once the lock is released and the check
/// sees the new state.
#[must_use = "callers wait for it"]
pub(super) struct Notification {
    pub(super) sender: ResultSender,
    pub(super) result: RenewalResult,
}

impl Notification {
    pub(super) fn send(self) {
        self.sender.0.send_replace(Some(self.result));
    }
}
