//! What a session knows of an outage of its server, and how it finds out early that it is over. See
//! "How often is a server asked that fails?" in DESIGN.md.

use std::time::Duration;

use http::StatusCode;

use crate::clock::{Moment, Timestamp};
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::renewal::RefreshCredential;

/// How many logins may fail in an outage before their pauses have ended, because the server seemed
/// to be back.
const EARLY_LOGINS: u32 = 5;
/// If there was no attempt for so long, because there was no caller, an outage that was known of
/// may be over.
const CALLERS_AWAY: Duration = Duration::from_secs(30);

/// An outage of the server, or the time between two of them.
#[derive(Debug)]
pub(super) struct Outage {
    /// When the first request failed, since boot.
    since: Option<Timestamp>,
    /// Whether the server was seen not to answer at all, so that an answer says that it is back.
    was_down: bool,
    early_logins: u32,
}

/// A renewal before the pause after a failure has ended. It is begun only for callers who have no
/// token.
#[derive(Clone, Copy, Debug)]
pub(super) struct EarlyRenewal {
    /// Since boot, as the pause in which it is begun.
    pub(super) at: Timestamp,
    pub(super) condition: Condition,
}

/// On which condition a renewal may talk to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// None: its pause has ended, or it sends a refresh token to a server that did not take it.
    None,
    /// The server answers, and was seen not to answer if the renewal is a login: a password is not
    /// sent to find out whether the server is back.
    IsBack { was_down: bool },
}

/// What a renewal found out about its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The renewal goes on.
    Met,
    /// The server is down, and has perhaps asked to be left alone for a time.
    StillDown(Option<Duration>),
    /// Whether the outage is over cannot be found out.
    Unknown,
}

impl Condition {
    /// Returns what the answer of [`Authenticator::probe`](crate::Authenticator::probe) says.
    pub(super) fn finding(self, answer: Option<&Result<(), Error>>, credential: &RefreshCredential) -> Finding {
        let is_refresh = credential.is_valid();
        match (self, answer) {
            (Self::None, _) | (Self::IsBack { was_down: true }, Some(Ok(()))) => Finding::Met,
            (Self::IsBack { .. }, Some(Err(error))) => Finding::StillDown(error.retry_after()),
            (Self::IsBack { .. }, _) => {
                if is_refresh {
                    Finding::Met
                } else {
                    Finding::Unknown
                }
            }
        }
    }
}

impl Outage {
    pub(super) const fn new() -> Self {
        Self { since: None, was_down: false, early_logins: 0 }
    }

    /// Notes the failure `error` at `now`. `paused_until` is when the pause after the last one
    /// ended, since boot, if there was one.
    pub(super) fn note_failure(
        &mut self,
        error: &Error,
        paused_until: Option<Timestamp>,
        policy: &Policy,
        now: Moment,
    ) {
        let longest_attempt = policy.refresh_timeout + policy.login_timeout;
        let is_known = paused_until.is_some_and(|until| now.boot < until + longest_attempt + CALLERS_AWAY);
        if !is_known || self.since.is_none() {
            *self = Self { since: Some(now.boot), ..Self::new() };
        }
        self.was_down |= error.kind() == ErrorKind::Unreachable;
    }

    /// Notes a login that was early, and failed with `error`: that the server answered was no sign
    /// that it is back.
    pub(super) fn note_early_login(&mut self, error: &Error) {
        self.early_logins = self.early_logins.saturating_add(1);
        self.was_down = error.kind() == ErrorKind::Unreachable;
    }

    /// Notes that a probe has found the server down. Returns the next early renewal.
    pub(super) fn still_down(&mut self, retry_after: Option<Duration>, policy: &Policy, now: Moment) -> EarlyRenewal {
        self.was_down = true;
        let at = self.next(retry_after, policy, now);
        EarlyRenewal { at, condition: Condition::IsBack { was_down: true } }
    }

    /// Returns the next early renewal after `error`, if the server may be back before the pause has
    /// ended.
    pub(super) fn early_renewal(
        &self,
        error: &Error,
        credential: &RefreshCredential,
        policy: &Policy,
        now: Moment,
    ) -> Option<EarlyRenewal> {
        let is_refresh = credential.is_valid();
        if !is_outage(error) || (!is_refresh && self.early_logins >= EARLY_LOGINS) {
            return None;
        }
        if is_refresh && error.kind() != ErrorKind::Unreachable {
            return Some(EarlyRenewal { at: self.next(error.retry_after(), policy, now), condition: Condition::None });
        }
        let condition = Condition::IsBack { was_down: self.was_down };
        let at = if self.was_down {
            self.next(error.retry_after(), policy, now)
        } else {
            // Whether a probe tells anything has to be known before the server is back.
            now.boot + policy.first_probe().max(policy.asked_pause(error.retry_after()))
        };
        Some(EarlyRenewal { at, condition })
    }

    /// Returns when the server may be asked again, since boot.
    fn next(&self, retry_after: Option<Duration>, policy: &Policy, now: Moment) -> Timestamp {
        let so_far = self.since.map_or(Duration::ZERO, |since| now.boot.since(since));
        now.boot + policy.early_pause(so_far).max(policy.asked_pause(retry_after))
    }
}

/// Returns whether the failure is one that passes by itself, soon perhaps: the server or the store
/// could not be reached, or did not answer, or is out of order. One that is asked too often is not.
fn is_outage(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Unreachable | ErrorKind::Unanswered | ErrorKind::Store => true,
        ErrorKind::Unavailable => {
            error.status() != Some(StatusCode::TOO_MANY_REQUESTS) && error.code() != Some("slow_down")
        }
        _ => false,
    }
}
