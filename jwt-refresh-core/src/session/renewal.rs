//! The exchange of a session for new tokens: in a task of its own, so that no caller who is dropped takes it along, and with
//! a guard that lands it whatever happens: a rotated refresh token must never be lost, and nobody may wait for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tracing::Instrument;

use super::lifetime::Exchange;
use super::shared::Shared;
use super::state::{Grant, Landing, Plan, Ticket};
use crate::provider::Renewal;
use crate::{Error, ErrorKind, RefreshToken, Tokens};

tokio::task_local! {
    /// The sessions whose renewal the current task works for, outermost first.
    static WITHIN: Arc<[u64]>;
}

/// Whether the current task is part of a renewal of the session `id`, and would wait for itself.
pub(super) fn is_within(id: u64) -> bool {
    WITHIN.try_with(|within| within.contains(&id)).unwrap_or(false)
}

/// Runs the renewal that `ticket` stands for.
pub(super) fn launch(shared: Arc<Shared>, ticket: Ticket, runtime: &Handle) {
    let mut within = WITHIN.try_with(|within| within.to_vec()).unwrap_or_default();
    within.push(shared.id());
    let span = tracing::debug_span!("jwt_refresh.renew", session = shared.id());
    let (plan, grant) = (ticket.plan, ticket.grant.clone());
    let flight = Flight { shared, ticket: Some(ticket) };
    let work = async move {
        let landing = flight.shared.renew(plan, grant).await;
        flight.land(landing);
    };
    runtime.spawn(WITHIN.scope(within.into(), work).instrument(span));
}

/// A renewal in the air. Dropped before it has landed (the authenticator panicked, the runtime was shut down) it lands as a
/// failure whose outcome is unknown.
struct Flight {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
}

impl Flight {
    fn land(mut self, landing: Landing) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.land(ticket, landing);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let error = Error::new(ErrorKind::Aborted, "the renewal was cut off by a panic or the end of its runtime");
        let grant = in_doubt(ticket.grant.clone());
        self.shared.land(ticket, Landing::Failed { error, grant });
    }
}

fn in_doubt(grant: Grant) -> Grant {
    match grant {
        Grant::Sound(token) => Grant::Doubtful(token),
        other => other,
    }
}

impl Shared {
    async fn renew(&self, plan: Plan, grant: Grant) -> Landing {
        match (plan, grant) {
            (Plan::LogIn, grant) => self.log_in(grant).await,
            (Plan::Renew, Grant::None) => self.log_in(Grant::None).await,
            (Plan::Renew, Grant::Sound(token)) => self.refresh(token).await,
            (Plan::Renew, Grant::Doubtful(token)) => self.recover(token).await,
        }
    }

    /// Logs in; `grant` is what remains if that fails.
    async fn log_in(&self, grant: Grant) -> Landing {
        match self.login().await {
            Ok(landing) => landing,
            Err(error) => Landing::Failed { error: final_of(error), grant },
        }
    }

    async fn refresh(&self, token: RefreshToken) -> Landing {
        let error = match self.exchange_refresh(&token).await {
            Ok((tokens, exchange)) => return Landing::Renewed { tokens, exchange, keep: Some(token) },
            Err(error) => error,
        };
        if error.kind() != ErrorKind::Denied {
            let grant = if error.outcome_unknown() { Grant::Doubtful(token) } else { Grant::Sound(token) };
            return Landing::Failed { error, grant };
        }
        match self.login().await {
            Ok(landing) => landing,
            Err(login) if login.kind() == ErrorKind::LoginUnavailable => dead(error),
            Err(login) => Landing::Failed { error: final_of(login), grant: Grant::None },
        }
    }

    /// With a refresh token of which nobody knows whether it is spent: a login is sound; only where none can be had is the
    /// token tried again, since then there is nothing left to lose by it.
    async fn recover(&self, token: RefreshToken) -> Landing {
        match self.login().await {
            Ok(landing) => return landing,
            Err(error) if matches!(error.kind(), ErrorKind::LoginUnavailable | ErrorKind::Denied) => {}
            Err(error) => return Landing::Failed { error, grant: Grant::Doubtful(token) },
        }
        match self.exchange_refresh(&token).await {
            Ok((tokens, exchange)) => Landing::Renewed { tokens, exchange, keep: Some(token) },
            Err(error) if error.kind() == ErrorKind::Denied => dead(error),
            Err(error) => Landing::Failed { error, grant: Grant::Doubtful(token) },
        }
    }

    async fn login(&self) -> Result<Landing, Error> {
        let login = Arc::clone(&self.authenticator).login();
        let (tokens, exchange) = self.exchange("login", login, self.policy.login_timeout).await?;
        Ok(Landing::Renewed { tokens, exchange, keep: None })
    }

    async fn exchange_refresh(&self, token: &RefreshToken) -> Result<(Tokens, Exchange), Error> {
        let refresh = Arc::clone(&self.authenticator).refresh(token.clone());
        self.exchange("refresh", refresh, self.policy.refresh_timeout).await
    }

    async fn exchange(
        &self,
        action: &'static str,
        request: Renewal<Tokens>,
        timeout: Duration,
    ) -> Result<(Tokens, Exchange), Error> {
        let asked = self.clock.timestamp();
        let answer = tokio::time::timeout(timeout, request).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Unanswered,
                format!("the {action} was not answered within {} s", timeout.as_secs_f32()),
            ))
        });
        let exchange = Exchange { asked, answered: self.clock.timestamp() };
        match &answer {
            Ok(_) => tracing::debug!(target: "jwt_refresh", action, "renewed"),
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

fn dead(refresh: Error) -> Landing {
    let error = refresh.into_final("the refresh token is no longer accepted, and there is no way to log in");
    Landing::Failed { error, grant: Grant::None }
}
