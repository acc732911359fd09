//! What is said to the server in a renewal: a refresh, a login, or one after the other, whichever is soundest. A session says
//! it for its one account, a pool for each of its many.

use std::sync::Arc;
use std::time::Duration;

use super::holding::{Grant, Holding};
use super::lifetime::Exchange;
use super::state::{Landing, Plan};
use crate::authenticator::AnyAuthenticator;
use crate::provider::Renewal;
use crate::{Clock, Error, ErrorKind, Policy, RefreshToken, Tokens};

/// Whoever gets new tokens for an account.
pub(crate) trait Party: Sync {
    fn authenticator(&self) -> &Arc<dyn AnyAuthenticator>;
    fn policy(&self) -> &Policy;
    fn clock(&self) -> &Clock;

    /// The server answered a login or a refresh, well or not.
    fn answered(&self, action: &'static str, error: Option<&Error>);

    /// What another one got for the account meanwhile, where there may be another one.
    fn rotated_elsewhere(&self, issue: u64) -> impl Future<Output = Option<Landing>> + Send;
}

/// Gets new tokens, the `issue`th of the account.
pub(crate) async fn exchange(party: &impl Party, plan: Plan, grant: Grant, issue: u64) -> Landing {
    Exchanger(party).exchange(plan, grant, issue).await
}

struct Exchanger<'a, P>(&'a P);

impl<P: Party> Exchanger<'_, P> {
    async fn exchange(&self, plan: Plan, grant: Grant, issue: u64) -> Landing {
        match (plan, grant) {
            (Plan::LogIn, grant) => self.log_in(grant, issue).await,
            (Plan::Renew, Grant::None) => self.log_in(Grant::None, issue).await,
            (Plan::Renew, Grant::Sound(token)) => self.refresh(token, issue).await,
            (Plan::Renew, Grant::Doubtful(token)) => self.recover(token, issue).await,
        }
    }

    /// Logs in; `grant` is what remains if that fails.
    async fn log_in(&self, grant: Grant, issue: u64) -> Landing {
        match self.login(&grant, issue).await {
            Ok(landing) => landing,
            Err(error) => Landing::failed(final_of(error), grant),
        }
    }

    async fn refresh(&self, token: RefreshToken, issue: u64) -> Landing {
        let error = match self.send_refresh(&token).await {
            Ok((tokens, exchange)) => return self.issued(tokens, exchange, &Grant::Sound(token), issue),
            Err(error) => error,
        };
        // The server was sent the password and not this token. To send it the same password again may lock the account.
        if error.is_by_login() {
            return Landing::failed(final_of(error), Grant::None);
        }
        if error.kind() != ErrorKind::Denied {
            let grant = if error.outcome_unknown() { Grant::Doubtful(token) } else { Grant::Sound(token) };
            return Landing::failed(error, grant);
        }
        if let Some(landing) = self.0.rotated_elsewhere(issue).await {
            return landing;
        }
        match self.login(&Grant::None, issue).await {
            Ok(landing) => landing,
            Err(login) => neither(error, login),
        }
    }

    /// With a refresh token of which nobody knows whether it is spent: a login is sound; only where none can be had is the
    /// token tried again, since then there is nothing left to lose by it.
    async fn recover(&self, token: RefreshToken, issue: u64) -> Landing {
        let grant = Grant::Doubtful(token.clone());
        let login = match self.login(&grant, issue).await {
            Ok(landing) => return landing,
            Err(error) if matches!(error.kind(), ErrorKind::LoginUnavailable | ErrorKind::Denied) => error,
            Err(error) => return Landing::failed(error, grant),
        };
        match self.send_refresh(&token).await {
            Ok((tokens, exchange)) => self.issued(tokens, exchange, &Grant::Sound(token), issue),
            Err(error) if error.kind() == ErrorKind::Denied && login.kind() == ErrorKind::LoginUnavailable => {
                let what =
                    "a refresh whose answer never came has spent the refresh token, and there is no way to log in";
                Landing::failed(error.into_final(what), Grant::None)
            }
            Err(error) if error.kind() == ErrorKind::Denied => neither(error, login),
            Err(error) => Landing::failed(error, grant),
        }
    }

    /// `grant` is what remains if the answer is of no use.
    async fn login(&self, grant: &Grant, issue: u64) -> Result<Landing, Error> {
        let login = Arc::clone(self.0.authenticator()).login();
        let (tokens, exchange) = self.send("login", login, self.0.policy().login_timeout).await?;
        Ok(match Holding::issued(self.0.policy(), tokens, exchange, None, issue) {
            Ok(holding) => Landing::Renewed(holding),
            Err((error, refresh)) => Landing::failed(error, refresh.map_or_else(|| grant.clone(), Grant::Sound)),
        })
    }

    fn issued(&self, tokens: Tokens, exchange: Exchange, old: &Grant, issue: u64) -> Landing {
        let old = if let Grant::Sound(token) = old { Some(token.clone()) } else { None };
        match Holding::issued(self.0.policy(), tokens, exchange, old, issue) {
            Ok(holding) => Landing::Renewed(holding),
            Err((error, refresh)) => Landing::failed(error, Grant::of(refresh)),
        }
    }

    async fn send_refresh(&self, token: &RefreshToken) -> Result<(Tokens, Exchange), Error> {
        let refresh = Arc::clone(self.0.authenticator()).refresh(token.clone());
        self.send("refresh", refresh, self.0.policy().refresh_timeout).await
    }

    async fn send(
        &self,
        action: &'static str,
        request: Renewal<Tokens>,
        timeout: Duration,
    ) -> Result<(Tokens, Exchange), Error> {
        let asked = self.0.clock().moment();
        let answer = tokio::time::timeout(timeout, request).await.unwrap_or_else(|_| {
            let what = format!("the {action} was not answered within {} s", timeout.as_secs_f32());
            Err(Error::new(ErrorKind::Unanswered, what))
        });
        let exchange = Exchange { asked, answered: self.0.clock().moment() };
        self.0.answered(action, answer.as_ref().err());
        match &answer {
            Ok(_) => tracing::debug!(target: "jwt_refresh", action, "answered"),
            Err(error) => tracing::warn!(target: "jwt_refresh", action, kind = ?error.kind(), %error, "failed"),
        }
        answer.map(|tokens| (tokens, exchange))
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
fn neither(refresh: Error, login: Error) -> Landing {
    let error = match login.kind() {
        ErrorKind::LoginUnavailable => {
            refresh.into_final("the refresh token is no longer accepted, and there is no way to log in")
        }
        _ => final_of(login),
    };
    Landing::failed(error, Grant::None)
}
