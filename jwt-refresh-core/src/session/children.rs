//! The access tokens of a session's login that are for other parameters than its own. Each is kept
//! by a session without a store and without a refresh token, whose login asks this one for it.

use std::sync::Arc;

use super::other_request::OtherRequest;
use super::record::Record;
use super::shared::{Child, SessionShared};
use super::state::NextOther;
use crate::error::{Error, ErrorKind};
use crate::renewal::{IssuedTokens, Plan, RefreshCredential, had_nothing_to_send};
use crate::token::{AccessParameters, AccessToken};

#[cfg(test)]
mod tests;

/// What becomes of the token of a child.
enum ChildChange {
    None,
    Forget,
    Take(IssuedTokens),
}

impl SessionShared {
    /// Returns the session that keeps the access token for `parameters`, which `make` makes the
    /// first time.
    pub(super) fn child(
        &self,
        parameters: AccessParameters,
        make: impl FnOnce(&AccessParameters) -> Arc<Self>,
    ) -> Arc<Self> {
        let mut children = self.children.lock();
        let children = children.get_or_insert_default();
        if let Some(child) = children.iter().find(|child| child.parameters == parameters) {
            return Arc::clone(&child.session);
        }
        let session = make(&parameters);
        children.push(Child { parameters, session: Arc::clone(&session), sequence: 0 });
        session
    }

    /// Lets the children forget their tokens, because they are of a login that has ended.
    pub(super) fn forget_children(&self) {
        self.change_children(|_| ChildChange::Forget);
    }

    /// Lets the children take the tokens of a record that is newer than theirs. One that the record
    /// has no token for forgets its own: another process has logged in since.
    pub(super) fn follow_children(&self, record: &Record) {
        self.change_children(|child| {
            let held = child.session.cell.lock().token();
            let is_held = |token: &str| held.as_ref().is_some_and(|held| held.expose() == token);
            match record.other(&child.parameters) {
                _ if record.sequence <= child.sequence => ChildChange::None,
                Some(stored) if is_held(stored.token.expose()) => ChildChange::None,
                Some(stored) => self.issued_as(record, &stored).map_or(ChildChange::None, ChildChange::Take),
                None => ChildChange::Forget,
            }
        });
    }

    /// Changes what the children have that were given a token of this login.
    fn change_children(&self, change: impl Fn(&Child) -> ChildChange) {
        let mut children = self.children.lock();
        for child in children.iter_mut().flat_map(|all| all.iter_mut()).filter(|child| child.sequence > 0) {
            match change(child) {
                ChildChange::None => {}
                ChildChange::Forget => {
                    child.sequence = 0;
                    child.session.cell.forget_token();
                }
                ChildChange::Take(issued) => {
                    child.sequence = issued.sequence;
                    let credential = RefreshCredential::None;
                    child.session.cell.adopt(|sequence, _| (IssuedTokens { credential, sequence, ..issued }, ()));
                }
            }
        }
    }

    /// Gets an access token for `parameters`, another than the child has: from the store, or by the
    /// refresh token. If there is none that may be sent, renews the session first, once.
    pub(super) async fn other_access(self: Arc<Self>, parameters: &AccessParameters) -> Result<IssuedTokens, Error> {
        let last = self.last_token(parameters);
        let request = Arc::new(OtherRequest::new(parameters.clone(), last));
        let mut is_renewed = false;
        loop {
            let runtime = self.runtime()?;
            let before = self.cell.lock().generation();
            match self.cell.begin_other(&request) {
                NextOther::Fail(error) => return Err(error),
                NextOther::After(pending) => drop(pending.result().await),
                NextOther::First => drop(self.fresh().await?),
                NextOther::Launch(permit) => {
                    let result = self.launch(permit, &runtime).result().await;
                    match request.take_answer() {
                        Some(Ok(issued)) => return Ok(issued),
                        // What a renewal of the session makes of that is for all its tokens.
                        Some(Err(error)) if !is_renewed && lacks_refresh_token(&error) => {
                            // Another who asked may have had it renewed meanwhile.
                            if self.cell.lock().generation() == before {
                                self.renew_now(Plan::Renew).await?;
                            }
                            is_renewed = true;
                        }
                        Some(Err(error)) => return Err(refused(error)),
                        None => result.success().map(drop)?,
                    }
                }
            }
        }
    }

    /// Returns the token that a child has and can no longer use. One that it can, it has taken from
    /// the store after it began to ask, and that is then an answer.
    fn last_token(&self, parameters: &AccessParameters) -> Option<AccessToken> {
        let mut children = self.children.lock();
        let child = children.iter_mut().flat_map(|all| all.iter()).find(|child| child.parameters == *parameters)?;
        let now = self.cell.clock.moment();
        let state = child.session.cell.lock();
        state.token().filter(|_| state.token_until(now, |life| life.ahead).is_none())
    }

    /// Notes that a child is given the token of `sequence`.
    pub(super) fn note_child(&self, parameters: &AccessParameters, sequence: u64) {
        let mut children = self.children.lock();
        let child = children.iter_mut().flat_map(|all| all.iter_mut()).find(|child| child.parameters == *parameters);
        if let Some(child) = child {
            child.sequence = child.sequence.max(sequence);
        }
    }
}

/// Returns whether the login has no refresh token that the server takes: it was refused, or none
/// may be sent.
fn lacks_refresh_token(error: &Error) -> bool {
    error.code() == Some("invalid_grant") || had_nothing_to_send(error)
}

/// Returns the error of a server that gives the login no such access token. It says nothing against
/// the login.
fn refused(error: Error) -> Error {
    if error.kind() != ErrorKind::Denied {
        return error;
    }
    let what = "the server gives the login no access token for these parameters".to_owned();
    error
        .restated(ErrorKind::Configuration, what)
        .advising("ask for what the login was granted: audience, resource, scope")
}
