//! What is said to the server in a renewal: a refresh, a login, or one after the other, whichever is soundest. A session says
//! it for its one account, a pool for each of its many.

use std::sync::Arc;
use std::time::Duration;

use super::action::Action;
use super::credential::RefreshCredential;
use super::issued::IssuedTokens;
use super::lifetime::RequestTimes;
use super::outcome::Outcome;
use super::plan::Plan;
use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::provider::Renewal;
use crate::token::{RefreshToken, Tokens};

/// Whoever gets new tokens for an account.
pub(crate) trait RenewalContext: Sync {
    fn authenticator(&self) -> &Arc<dyn DynAuthenticator>;
    fn policy(&self) -> &Policy;
    fn clock(&self) -> &Clock;

    /// The server answered a login or a refresh, well or not.
    fn answered(&self, action: Action, error: Option<&Error>);

    /// What another one got for the account meanwhile, where there may be another one.
    fn rotated_elsewhere(&self, sequence: u64) -> impl Future<Output = Option<Outcome>> + Send;
}

/// Gets new tokens, the `sequence`th of the account.
pub(crate) async fn exchange(
    context: &impl RenewalContext,
    plan: Plan,
    credential: RefreshCredential,
    sequence: u64,
) -> Outcome {
    Renewer(context).exchange(plan, credential, sequence).await
}

struct Renewer<'a, C>(&'a C);

impl<C: RenewalContext> Renewer<'_, C> {
    async fn exchange(&self, plan: Plan, credential: RefreshCredential, sequence: u64) -> Outcome {
        match (plan, credential) {
            (Plan::LogIn, credential) => self.log_in(credential, sequence).await,
            (Plan::Renew, RefreshCredential::None) => self.log_in(RefreshCredential::None, sequence).await,
            (Plan::Renew, RefreshCredential::Valid(token)) => self.refresh(token, sequence).await,
            (Plan::Renew, RefreshCredential::InDoubt(token)) => self.recover(token, sequence).await,
        }
    }

    /// Logs in; `credential` is what remains if that fails.
    async fn log_in(&self, credential: RefreshCredential, sequence: u64) -> Outcome {
        match self.login(&credential, sequence).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::failed(final_of(error), credential),
        }
    }

    async fn refresh(&self, token: RefreshToken, sequence: u64) -> Outcome {
        let error = match self.send_refresh(&token).await {
            Ok((tokens, times)) => return self.issued(tokens, times, token, sequence),
            Err(error) => error,
        };
        // The server was sent the password and not this token. To send it the same password again may lock the account.
        if error.is_by_login() {
            return Outcome::failed(final_of(error), RefreshCredential::None);
        }
        if error.kind() != ErrorKind::Denied {
            let credential = if error.outcome_unknown() {
                RefreshCredential::InDoubt(token)
            } else {
                RefreshCredential::Valid(token)
            };
            return Outcome::failed(error, credential);
        }
        if let Some(outcome) = self.0.rotated_elsewhere(sequence).await {
            return outcome;
        }
        match self.login(&RefreshCredential::None, sequence).await {
            Ok(outcome) => outcome,
            Err(login) => neither(error, login),
        }
    }

    /// With a refresh token of which nobody knows whether it is spent: a login is sound; only where none can be had is the
    /// token tried again, since then there is nothing left to lose by it.
    async fn recover(&self, token: RefreshToken, sequence: u64) -> Outcome {
        let credential = RefreshCredential::InDoubt(token.clone());
        let login = match self.login(&credential, sequence).await {
            Ok(outcome) => return outcome,
            Err(error) if matches!(error.kind(), ErrorKind::LoginUnavailable | ErrorKind::Denied) => error,
            Err(error) => return Outcome::failed(error, credential),
        };
        match self.send_refresh(&token).await {
            Ok((tokens, times)) => self.issued(tokens, times, token, sequence),
            Err(error) if error.kind() == ErrorKind::Denied && login.kind() == ErrorKind::LoginUnavailable => {
                let what =
                    "a refresh whose answer never came has spent the refresh token, and there is no way to log in";
                Outcome::failed(error.into_final(what), RefreshCredential::None)
            }
            Err(error) if error.kind() == ErrorKind::Denied => neither(error, login),
            Err(error) => Outcome::failed(error, credential),
        }
    }

    /// `credential` is what remains if the answer is of no use.
    async fn login(&self, credential: &RefreshCredential, sequence: u64) -> Result<Outcome, Error> {
        let login = Arc::clone(self.0.authenticator()).login();
        let (tokens, times) = self.send(Action::Login, login, self.0.policy().login_timeout).await?;
        Ok(match IssuedTokens::issued(self.0.policy(), tokens, times, None, sequence) {
            Ok(issued) => Outcome::Renewed(issued),
            Err((error, refresh)) => {
                Outcome::failed(error, refresh.map_or_else(|| credential.clone(), RefreshCredential::Valid))
            }
        })
    }

    /// What the answer to a refresh with `sent` comes to.
    fn issued(&self, tokens: Tokens, times: RequestTimes, sent: RefreshToken, sequence: u64) -> Outcome {
        match IssuedTokens::issued(self.0.policy(), tokens, times, Some(sent), sequence) {
            Ok(issued) => Outcome::Renewed(issued),
            Err((error, refresh)) => Outcome::failed(error, RefreshCredential::of(refresh)),
        }
    }

    async fn send_refresh(&self, token: &RefreshToken) -> Result<(Tokens, RequestTimes), Error> {
        let refresh = Arc::clone(self.0.authenticator()).refresh(token.clone());
        self.send(Action::Refresh, refresh, self.0.policy().refresh_timeout).await
    }

    async fn send(
        &self,
        action: Action,
        request: Renewal<Tokens>,
        timeout: Duration,
    ) -> Result<(Tokens, RequestTimes), Error> {
        let sent = self.0.clock().moment();
        let answer = tokio::time::timeout(timeout, request).await.unwrap_or_else(|_| {
            let what = format!("the {} was not answered within {} s", action.name(), timeout.as_secs_f32());
            Err(Error::new(ErrorKind::Unanswered, what))
        });
        let times = RequestTimes { sent, answered: self.0.clock().moment() };
        self.0.answered(action, answer.as_ref().err());
        match &answer {
            Ok(_) => tracing::debug!(target: "jwt_refresh", action = action.name(), "answered"),
            Err(error) => {
                tracing::warn!(target: "jwt_refresh", action = action.name(), kind = ?error.kind(), %error, "failed");
            }
        }
        answer.map(|tokens| (tokens, times))
    }
}

/// What a failed login means: no is no until a person does something about it, all else may pass.
fn final_of(login: Error) -> Error {
    match login.kind() {
        ErrorKind::Denied => login.into_final("the login was denied"),
        ErrorKind::LoginUnavailable => login.into_final("there is nothing to refresh with, and no way to log in"),
        _ => login,
    }
}

/// The refresh token is dead, and the login failed too: the login's failure is the one that can be mended, where there is a
/// login.
fn neither(refresh: Error, login: Error) -> Outcome {
    let error = match login.kind() {
        ErrorKind::LoginUnavailable => {
            refresh.into_final("the refresh token is no longer accepted, and there is no way to log in")
        }
        _ => final_of(login),
    };
    Outcome::failed(error, RefreshCredential::None)
}
