//! Several ways to log in, of which the first that works is kept.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::Authenticator;
use super::dynamic::DynAuthenticator;
use super::refusal::{Asked, judged};
use crate::error::{Error, ErrorKind};
use crate::provider::Renewal;
use crate::token::{RefreshToken, Tokens};

/// Authenticators of one server, of which the first that can log in is used, and then always that
/// one: for example a secret that is mounted into a container, else an environment variable, else
/// the keyring of a developer.
///
/// One that cannot read its secret, has no login, or is refused, is followed by the next. A failure
/// that may pass (the server cannot be reached, or is out of order) is that of the chain, so that
/// an outage does not choose another account. If none can log in, the error says why of each. It is
/// a denial if one was denied: then no password is sent again by itself.
///
/// A refresh token that a store kept is sent by the first that can read its secrets, so all of them
/// should be of the same server and, if it tells clients apart, of the same client.
///
/// ```
/// # fn main() -> Result<(), jwt_refresh_core::Error> {
/// # #[cfg(feature = "reqwest")] {
/// use jwt_refresh_core::{Chain, ClientAuth, HttpAuthenticator, SecretSource, Session};
///
/// let with = |secret| {
///     let client = ClientAuth::basic("catalog", secret);
///     HttpAuthenticator::client_credentials("https://id.example/token", client).build()
/// };
/// let chain = Chain::new(with(SecretSource::file("/run/secrets/catalog"))?)
///     .or(with(SecretSource::env("CATALOG_SECRET"))?);
/// let session = Session::new(chain);
/// # }
/// # Ok(()) }
/// ```
pub struct Chain {
    members: Vec<Arc<dyn DynAuthenticator>>,
    /// The member that got tokens.
    chosen: OnceLock<usize>,
}

impl Chain {
    /// Returns a chain of one authenticator.
    pub fn new(first: impl Authenticator) -> Self {
        Self { members: vec![Arc::new(first)], chosen: OnceLock::new() }
    }

    /// Adds an authenticator that is tried after the others.
    pub fn or(mut self, next: impl Authenticator) -> Self {
        self.members.push(Arc::new(next));
        self
    }

    fn chosen(&self) -> Option<&Arc<dyn DynAuthenticator>> {
        self.members.get(*self.chosen.get()?)
    }

    /// Asks the chosen member, or one after the other until one has tokens or fails in a way that
    /// `goes_on` does not pass to the next.
    async fn first(
        &self,
        asked: Asked,
        ask: impl Fn(Arc<dyn DynAuthenticator>) -> Renewal<Tokens>,
        goes_on: impl Fn(&Error) -> bool,
    ) -> Result<Tokens, Error> {
        if let Some(chosen) = self.chosen() {
            return ask(Arc::clone(chosen)).await;
        }
        let mut errors = Vec::new();
        for (number, member) in self.members.iter().enumerate() {
            let answer = ask(Arc::clone(member)).await.map_err(|error| {
                let asked = if error.is_by_login() { Asked::Login } else { asked };
                judged(error, asked)
            });
            match answer {
                Ok(tokens) => {
                    // At most one exchange of an account is under way.
                    let _ = self.chosen.set(number);
                    return Ok(tokens);
                }
                Err(error) if goes_on(&error) => errors.push(error),
                Err(error) => return Err(error),
            }
        }
        Err(summary(errors))
    }
}

impl Authenticator for Chain {
    /// Returns the name of the server, if all have the same.
    fn server_id(&self) -> Option<String> {
        let first = self.members.first()?.server_id()?;
        self.members.iter().all(|member| member.server_id().as_ref() == Some(&first)).then_some(first)
    }

    async fn login(&self) -> Result<Tokens, Error> {
        self.first(Asked::Login, |member| member.login(), cannot_log_in).await
    }

    /// Refreshes by the chosen one, or if there is none yet, by the first that can. A refresh token
    /// that was refused is sent by no other one.
    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        let goes_on = |error: &Error| match error.kind() {
            ErrorKind::SecretUnavailable | ErrorKind::LoginUnavailable => true,
            _ => error.is_by_login() && cannot_log_in(error),
        };
        self.first(Asked::Refresh, |member| member.refresh(token.clone()), goes_on).await
    }

    async fn probe(&self) -> Option<Result<(), Error>> {
        let member = self.chosen().or(self.members.first())?;
        Arc::clone(member).probe().await
    }

    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        let Some(member) = self.chosen().or(self.members.first()) else { return Ok(()) };
        Arc::clone(member).revoke(token.clone()).await
    }
}

/// Returns whether a login failed in a way that leaves the next one to try.
fn cannot_log_in(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Denied | ErrorKind::Configuration | ErrorKind::SecretUnavailable | ErrorKind::LoginUnavailable
    )
}

/// Returns the most serious of the errors, which also says what the others were.
fn summary(mut errors: Vec<Error>) -> Error {
    let severity = |error: &Error| match error.kind() {
        ErrorKind::Denied => 0,
        ErrorKind::Configuration => 1,
        ErrorKind::SecretUnavailable => 2,
        _ => 3,
    };
    let count = errors.len();
    let worst = errors.iter().enumerate().min_by_key(|(_, error)| severity(error)).map(|(place, _)| place);
    let Some(worst) = worst.map(|place| errors.remove(place)) else { return Error::login_unavailable() };
    if errors.is_empty() {
        return worst;
    }
    let others: Vec<String> = errors.iter().map(|error| error.report().to_string()).collect();
    let none =
        format!("none of the {count} authenticators can log in, and the others failed so: {}", others.join("; "));
    let detail = worst.detail().map(|detail| format!("{detail}; {none}"));
    worst.detailed(detail.unwrap_or(none))
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("members", &self.members.len()).field("chosen", &self.chosen.get()).finish()
    }
}
