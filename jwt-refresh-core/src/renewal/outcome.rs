//! The outcome of a renewal, also of one that was cut off.

use super::credential::RefreshCredential;
use super::issued::IssuedTokens;
use super::plan::Plan;
use crate::error::{Error, ErrorKind};

/// The outcome of a renewal.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// New tokens.
    Renewed(IssuedTokens),
    /// New tokens that the store does not have yet.
    Unsaved(IssuedTokens),
    /// Tokens that another process has got and put into the store.
    Found(IssuedTokens),
    /// An error, what is left to refresh with, and whether a live token may still be served.
    Failed { error: Error, credential: RefreshCredential, serving: Serving },
    /// Another process has logged the account out.
    LoggedOut,
}

impl Outcome {
    /// Returns a failure after which a live token may still be served.
    pub(crate) fn failed(error: Error, credential: RefreshCredential) -> Self {
        Self::Failed { error, credential, serving: Serving::LiveToken }
    }

    /// Returns the outcome of a renewal whose task was cut off before it ended, so that it is
    /// unknown how far it got. `credential` is what it started from.
    pub(crate) fn cut_off(plan: Plan, credential: RefreshCredential) -> Self {
        let what = "the renewal was cut off by a panic or the end of its runtime";
        let left = match plan {
            Plan::Renew | Plan::Other => credential.in_doubt(),
            // A login sends no refresh token.
            Plan::LogIn | Plan::StepUp => credential,
        };
        Self::failed(Error::new(ErrorKind::Aborted, what), left)
    }

    /// Returns the tokens, if there are any.
    pub(crate) fn issued(&self) -> Option<&IssuedTokens> {
        match self {
            Self::Renewed(issued) | Self::Unsaved(issued) | Self::Found(issued) => Some(issued),
            Self::Failed { .. } | Self::LoggedOut => None,
        }
    }

    /// Returns what the account can be refreshed with from now on.
    pub(crate) fn into_credential(self) -> RefreshCredential {
        match self {
            Self::Renewed(issued) | Self::Unsaved(issued) | Self::Found(issued) => issued.credential,
            Self::Failed { credential, .. } => credential,
            Self::LoggedOut => RefreshCredential::None,
        }
    }

    /// Returns what the new tokens can be refreshed with, or `None` if this renewal, which began
    /// with `before`, got none.
    pub(crate) fn new_credential(&self, before: &RefreshCredential) -> Option<RefreshCredential> {
        match self {
            Self::Renewed(issued) | Self::Unsaved(issued) => Some(issued.credential.clone()),
            // An answer whose access token cannot be used may have brought a refresh token. One in
            // doubt is another process's, which was found in the store.
            Self::Failed { credential, .. } if credential.is_valid() && credential.token() != before.token() => {
                Some(credential.clone())
            }
            Self::Found(_) | Self::Failed { .. } | Self::LoggedOut => None,
        }
    }
}

/// Which token may be served after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serving {
    /// The token from before, until it expires.
    LiveToken,
    /// No token.
    Nothing,
}

/// Holds what a task has to complete. If the task is cut off first (the authenticator panics, or
/// the runtime is shut down), the guard completes it when it is dropped, so that no caller waits
/// forever.
pub(crate) struct CutOffGuard<T, F: FnOnce(T)> {
    pending: Option<(T, F)>,
}

impl<T, F: FnOnce(T)> CutOffGuard<T, F> {
    /// Returns a guard that calls `cut_off` if it is dropped. `cut_off` completes `pending` with
    /// [`Outcome::cut_off`].
    pub(crate) fn new(pending: T, cut_off: F) -> Self {
        Self { pending: Some((pending, cut_off)) }
    }

    /// Returns what is pending.
    pub(crate) fn pending(&self) -> Option<&T> {
        self.pending.as_ref().map(|(pending, _)| pending)
    }

    /// Disarms the guard. Returns what is pending, for the caller to complete.
    pub(crate) fn disarm(mut self) -> Option<T> {
        self.pending.take().map(|(pending, _)| pending)
    }
}

impl<T, F: FnOnce(T)> Drop for CutOffGuard<T, F> {
    fn drop(&mut self) {
        if let Some((pending, cut_off)) = self.pending.take() {
            cut_off(pending);
        }
    }
}
