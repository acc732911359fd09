//! Access tokens with other parameters than the session's own, which its refresh token brings.

use std::sync::Arc;

use super::{Phase, RenewalPermit, SessionState, logged_out};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::renewal::{IssuedTokens, Outcome, Plan, RefreshCredential, had_nothing_to_send};
use crate::session::events::Event;
use crate::session::other_request::OtherRequest;
use crate::session::pending::{Notification, PendingRenewal, RenewalResult};
use crate::session::running::Running;
use crate::session::unsaved::TokenSource;

/// What a caller has to do that wants an access token with other parameters.
#[derive(Debug)]
pub(in crate::session) enum NextOther {
    /// Launch this refresh, and wait for it.
    Launch(RenewalPermit),
    /// Wait until this renewal has ended, and look again.
    After(PendingRenewal),
    /// Get the session tokens of its own first, and look again.
    First,
    Fail(Error),
}

impl SessionState {
    /// Returns what a caller has to do that wants the token of `request`.
    pub(in crate::session) fn begin_other(&mut self, request: &Arc<OtherRequest>, now: Moment) -> NextOther {
        match &self.phase {
            Phase::LoggedOut => return NextOther::Fail(logged_out()),
            Phase::Renewing { pending, .. } => return NextOther::After(pending.clone()),
            Phase::ReauthenticationRequired(error) => return NextOther::Fail(error.clone()),
            Phase::BackingOff { until, error, .. } if now.boot < *until => return NextOther::Fail(error.clone()),
            Phase::BackingOff { .. } | Phase::Idle => {}
        }
        if self.unsaved.is_some() {
            let what = "the refresh token of the login is not saved yet";
            return NextOther::Fail(Error::new(ErrorKind::Store, what));
        }
        if self.held.is_none() {
            return NextOther::First;
        }
        // One that is in doubt may be so because another process was seen sending it, and the store
        // has the next by the time that it is this one's turn.
        if self.credential == RefreshCredential::None {
            return NextOther::Fail(no_refresh_token());
        }
        match self.begin(Plan::Other) {
            Ok(permit) => {
                self.running.gets_other(Arc::clone(request));
                NextOther::Launch(permit)
            }
            Err(pending) => NextOther::After(pending),
        }
    }

    /// Returns for what a renewal gets an access token, if it is not the session's own.
    pub(in crate::session) fn other_request(&self, epoch: u64) -> Option<Arc<OtherRequest>> {
        self.running.other(epoch).cloned()
    }

    /// Ends a refresh for an access token with other parameters. Of its outcome the session takes
    /// the refresh token.
    pub(super) fn other_ended(&mut self, ended: Running<Phase>, outcome: Outcome) -> Notification {
        self.phase = ended.previous_phase;
        let (error, event) = match outcome {
            Outcome::Unsaved(issued) => {
                self.take_credential(&issued);
                if let Some(held) = &self.held {
                    let (token, life) = (held.token.clone(), held.life);
                    self.keep_unsaved(IssuedTokens { token, life, ..issued }, TokenSource::Renewal);
                }
                (None, Some(Event::Renewed))
            }
            Outcome::Renewed(issued) => {
                self.take_credential(&issued);
                (None, Some(Event::Renewed))
            }
            // The store had the token.
            Outcome::Found(_) => (None, Some(Event::Adopted)),
            Outcome::Failed { error, credential, .. } => {
                // What came to be in doubt meanwhile stays so.
                if self.credential != credential.clone().in_doubt() {
                    self.credential = credential;
                }
                let event = (!had_nothing_to_send(&error)).then(|| Event::Failed(error.clone()));
                (Some(error), event)
            }
            Outcome::LoggedOut => {
                self.log_out();
                (Some(logged_out()), Some(Event::LoggedOut))
            }
        };
        let what = "the renewal was for another access token of the login";
        let error = error.unwrap_or_else(|| Error::new(ErrorKind::Aborted, what));
        // Those who wait for the session's own token look again.
        Notification { sender: ended.sender, result: RenewalResult::OfOther(error), event }
    }

    /// Takes the refresh token that came with an access token for other parameters.
    pub(super) fn take_credential(&mut self, issued: &IssuedTokens) {
        self.note_login_end(issued);
        self.credential = issued.credential.clone();
        self.sequence = issued.sequence;
    }
}

fn no_refresh_token() -> Error {
    let what = "the login has brought no refresh token, with which other access tokens are got";
    Error::new(ErrorKind::Configuration, what)
        .advising("ask for one, as by the scope `offline_access`, or log in for each")
}
