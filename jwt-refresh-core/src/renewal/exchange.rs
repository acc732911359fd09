//! The requests of one renewal to the server: a refresh, a login, or one after the other, whichever
//! is safest. A session sends them for its one account, a pool for each of its accounts.

use std::sync::Arc;
use std::time::Duration;

use super::action::Action;
use super::credential::RefreshCredential;
use super::issued::IssuedTokens;
use super::lifetime::RequestTimes;
use super::outcome::Outcome;
use super::plan::Plan;
use crate::authenticator::{Asked, DynAuthenticator, judged, outcome_unknown, within_timeout};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::provider::Renewal;
use crate::token::{AccessParameters, RefreshToken, Tokens};

/// How many failures in a row it takes until a refresh token that is harmless to send again is in
/// doubt all the same. Some servers fail with 500 at a refresh token that has expired, and only a
/// login ends that.
const FAILURES_UNTIL_LOGIN: u32 = 3;

/// The session or pool that a renewal runs for.
pub(crate) trait RenewalContext: Sync {
    fn authenticator(&self) -> &Arc<dyn DynAuthenticator>;
    fn policy(&self) -> &Policy;
    fn clock(&self) -> &Clock;

    /// Called before each request, which is not sent if this returns an error: the renewal was
    /// overtaken.
    fn sending(&self, action: Action) -> Result<(), Error> {
        let _ = action;
        Ok(())
    }

    /// Returns how many renewals of the account have failed since the last success.
    fn failures(&self) -> u32;

    /// Returns why the server has refused the login, if it has and the same credentials must not be
    /// sent again until the user says so. A pool has its own pauses for that.
    fn refused_login(&self) -> Option<Error> {
        None
    }

    /// Returns the name of the account, if it has one: for the log.
    fn account(&self) -> Option<&str> {
        None
    }

    /// Returns what the access token is asked for with, if it is not the account's own.
    fn parameters(&self) -> Option<AccessParameters> {
        None
    }

    /// Called after each login and each refresh, with the error if it failed.
    fn answered(&self, action: Action, error: Option<&Error>);

    /// Called when the server has denied the refresh token. Returns what another process has done
    /// for the account meanwhile: got the tokens of `sequence` or later ones, or logged out.
    /// Returns `None` if there is nothing, or no other process.
    fn rotated_elsewhere(&self, sequence: u64) -> impl Future<Output = Option<Outcome>> + Send;

    /// Called when that has brought nothing. Returns another refresh token of the account, to be
    /// sent before there is a login.
    fn other_credential(&self, denied: &RefreshToken) -> impl Future<Output = Option<RefreshToken>> + Send {
        let _ = denied;
        async { None }
    }
}

/// Renews the tokens of an account. `sequence` is the number that the new ones get. Each request is
/// bounded by the policy's time-out for it.
pub(crate) async fn exchange(
    context: &impl RenewalContext,
    plan: Plan,
    credential: RefreshCredential,
    sequence: u64,
) -> Outcome {
    let server_reuses = credential.is_reusable();
    Renewer { context, server_reuses }.exchange(plan, credential, sequence).await
}

const NO_LOGIN: &str = "there is no way to log in";

const NOTHING_TO_SEND: &str = "there is no refresh token that may be sent";

/// Returns whether a refresh for other parameters was not sent, because the account has no refresh
/// token, or one that may be spent.
pub(crate) fn had_nothing_to_send(error: &Error) -> bool {
    error.what() == NOTHING_TO_SEND
}

/// Sends the requests of one renewal.
struct Renewer<'a, C> {
    context: &'a C,
    /// Whether the server was seen not to replace refresh tokens.
    server_reuses: bool,
}

impl<C: RenewalContext> Renewer<'_, C> {
    async fn exchange(&self, plan: Plan, credential: RefreshCredential, sequence: u64) -> Outcome {
        match (plan, credential) {
            (Plan::LogIn, credential) => self.log_in(credential, sequence).await,
            (Plan::StepUp, credential) => {
                let login = self.send_login(&credential, sequence).await;
                login.unwrap_or_else(|error| Outcome::failed(error, credential))
            }
            (Plan::Other, credential) => self.refresh_other(credential, sequence).await,
            (Plan::Renew, RefreshCredential::None) => {
                let login = self.log_in_unasked(&RefreshCredential::None, sequence).await;
                login.unwrap_or_else(|error| Outcome::failed(login_failure(error), RefreshCredential::None))
            }
            (Plan::Renew, RefreshCredential::Valid(token) | RefreshCredential::Reusable(token)) => {
                self.refresh(token, sequence).await
            }
            (Plan::Renew, RefreshCredential::InDoubt(token)) => self.recover(token, sequence).await,
        }
    }

    /// Logs in. If that fails, `credential` is what remains.
    async fn log_in(&self, credential: RefreshCredential, sequence: u64) -> Outcome {
        match self.send_login(&credential, sequence).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::failed(login_failure(error), credential),
        }
    }

    async fn refresh(&self, token: RefreshToken, sequence: u64) -> Outcome {
        let error = match self.send_refresh(&token).await {
            Ok((tokens, times)) => return self.refreshed(tokens, times, token, sequence),
            Err(error) => error,
        };
        // This refresh was a login: the server was sent the password and not the refresh token.
        // Sending it the same password again may lock the account.
        if error.is_by_login() {
            return Outcome::failed(login_failure(error), RefreshCredential::None);
        }
        if error.kind() != ErrorKind::Denied {
            let credential = self.after_failed_refresh(token, &error);
            return Outcome::failed(error, credential);
        }
        if let Some(outcome) = self.context.rotated_elsewhere(sequence).await {
            return outcome;
        }
        if let Some(other) = self.context.other_credential(&token).await {
            return Box::pin(self.refresh(other, sequence)).await;
        }
        match self.log_in_unasked(&RefreshCredential::None, sequence).await {
            Ok(outcome) => outcome,
            Err(login) => refresh_and_login_failure(error, login),
        }
    }

    /// Refreshes for an access token with other parameters. A refusal is not held against the
    /// refresh token: it may be one of the parameters, and if it is not, the next renewal of the
    /// session's own token finds that out.
    async fn refresh_other(&self, credential: RefreshCredential, sequence: u64) -> Outcome {
        let token = credential.token().filter(|_| credential.is_valid()).cloned();
        let (Some(token), Some(parameters)) = (token, self.context.parameters()) else {
            let error = Error::new(ErrorKind::Aborted, NOTHING_TO_SEND);
            return Outcome::failed(error, credential);
        };
        let refresh = Arc::clone(self.context.authenticator()).refresh_for(token.clone(), parameters);
        match self.send(Action::Refresh, refresh, self.context.policy().refresh_timeout).await {
            Ok((tokens, times)) => self.refreshed(tokens, times, token, sequence),
            Err(error) if error.kind() == ErrorKind::Denied => Outcome::failed(error, credential),
            Err(error) => {
                let credential = self.after_failed_refresh(token, &error);
                Outcome::failed(error, credential)
            }
        }
    }

    /// Returns what remains of a refresh token that was sent without bringing tokens.
    fn after_failed_refresh(&self, token: RefreshToken, error: &Error) -> RefreshCredential {
        let credential = RefreshCredential::Valid(token);
        match (outcome_unknown(error), self.server_reuses) {
            (false, false) => credential,
            (false, true) => credential.reusable(),
            (true, true) if self.context.failures() + 1 < FAILURES_UNTIL_LOGIN => credential.reusable(),
            (true, _) => credential.in_doubt(),
        }
    }

    /// Renews with a refresh token that may have been spent. A login is safe, so it is tried first.
    /// Only if there is no login, or it was refused, is the token sent again, because then nothing
    /// can be lost by that.
    async fn recover(&self, token: RefreshToken, sequence: u64) -> Outcome {
        let credential = RefreshCredential::InDoubt(token.clone());
        let login = match self.log_in_unasked(&credential, sequence).await {
            Ok(outcome) => return outcome,
            Err(error) if is_out_of_question(&error) => error,
            Err(error) => return Outcome::failed(error, credential),
        };
        match self.send_refresh(&token).await {
            Ok((tokens, times)) => self.refreshed(tokens, times, token, sequence),
            Err(error) if error.kind() == ErrorKind::Denied && login.kind() == ErrorKind::LoginUnavailable => {
                let what = "a refresh whose answer never came has spent the refresh token";
                let why = login.why_no_login().unwrap_or(NO_LOGIN);
                Outcome::failed(error.into_final(what).detailed(why).lacking_login(), RefreshCredential::None)
            }
            Err(error) if error.kind() == ErrorKind::Denied => refresh_and_login_failure(error, login),
            Err(error) => Outcome::failed(error, credential),
        }
    }

    /// Sends a login that the user has not asked for, unless the server has refused it already.
    async fn log_in_unasked(&self, credential: &RefreshCredential, sequence: u64) -> Result<Outcome, Error> {
        match self.context.refused_login() {
            Some(error) => Err(error),
            None => self.send_login(credential, sequence).await,
        }
    }

    /// Sends a login. `credential` is what remains if the answer cannot be used.
    async fn send_login(&self, credential: &RefreshCredential, sequence: u64) -> Result<Outcome, Error> {
        let login = Arc::clone(self.context.authenticator()).login();
        let (tokens, times) = self.send(Action::Login, login, self.context.policy().login_timeout).await?;
        Ok(match IssuedTokens::issued(self.context.policy(), tokens, times, None, sequence) {
            Ok(issued) if self.server_reuses => {
                Outcome::Renewed(IssuedTokens { credential: issued.credential.clone().reusable(), ..issued })
            }
            Ok(issued) => Outcome::Renewed(issued),
            Err((error, RefreshCredential::None)) => Outcome::failed(error, credential.clone()),
            Err((error, issued)) => Outcome::failed(error, issued),
        })
    }

    /// Returns the outcome of a refresh with the token `sent`.
    fn refreshed(&self, tokens: Tokens, times: RequestTimes, sent: RefreshToken, sequence: u64) -> Outcome {
        match IssuedTokens::issued(self.context.policy(), tokens, times, Some(sent), sequence) {
            Ok(issued) => Outcome::Renewed(issued),
            Err((error, credential)) => Outcome::failed(error, credential),
        }
    }

    async fn send_refresh(&self, token: &RefreshToken) -> Result<(Tokens, RequestTimes), Error> {
        let refresh = Arc::clone(self.context.authenticator()).refresh(token.clone());
        self.send(Action::Refresh, refresh, self.context.policy().refresh_timeout).await
    }

    async fn send(
        &self,
        action: Action,
        request: Renewal<Tokens>,
        timeout: Duration,
    ) -> Result<(Tokens, RequestTimes), Error> {
        self.context.sending(action)?;
        let sent = self.context.clock().moment();
        let answer = within_timeout(action.name(), timeout, request).await;
        let answer = answer.map_err(|error| {
            let asked = if error.is_by_login() { Asked::Login } else { action.asked() };
            judged(error, asked)
        });
        let times = RequestTimes { sent, answered: self.context.clock().moment() };
        self.context.answered(action, answer.as_ref().err());
        match &answer {
            Ok(_) => tracing::debug!(target: "jwt_refresh", action = action.name(), "answered"),
            Err(error) => {
                let account = self.context.account();
                tracing::warn!(target: "jwt_refresh", account, action = action.name(), kind = ?error.kind(), %error, "failed");
            }
        }
        answer.map(|tokens| (tokens, times))
    }
}

/// Returns whether a login that failed would fail again. Then nothing is lost if a refresh token in
/// doubt is sent.
fn is_out_of_question(login: &Error) -> bool {
    matches!(login.kind(), ErrorKind::LoginUnavailable | ErrorKind::Denied | ErrorKind::Configuration)
}

/// Returns the error of a failed login. A denial and a missing login are final, because a person
/// has to act on them, and so is a failure after their part of the login; any other may pass.
fn login_failure(login: Error) -> Error {
    match login.kind() {
        // An error about an answer says already what is wrong.
        ErrorKind::Denied if login.body().is_some() => login.clone().into_final(login.what()),
        ErrorKind::Denied => login.into_final("the login was denied"),
        ErrorKind::LoginUnavailable => {
            let what = login.why_no_login().unwrap_or("there is nothing to refresh with, and no way to log in");
            login.clone().into_final(what).lacking_login()
        }
        _ if login.is_of_person() => login.clone().into_final(login.what()),
        _ => login,
    }
}

/// Returns the outcome if the refresh token was denied and the login failed too. The login's
/// failure is reported, because that is the one that can be fixed, except where there is no way to
/// log in.
fn refresh_and_login_failure(refresh: Error, login: Error) -> Outcome {
    let error = match login.kind() {
        ErrorKind::LoginUnavailable => {
            let why = login.why_no_login().unwrap_or(NO_LOGIN);
            refresh.into_final("the refresh token is no longer accepted").detailed(why).lacking_login()
        }
        _ => login_failure(login),
    };
    Outcome::failed(error, RefreshCredential::None)
}
