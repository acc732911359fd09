//! Several ways to log in, of which the first that works is kept.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::Authenticator;
use super::dynamic::DynAuthenticator;
#[cfg(feature = "reqwest")]
use super::http_client::HttpClient;
use super::refusal::{Asked, judged};
use crate::error::{Error, ErrorKind};
use crate::provider::Renewal;
use crate::send::Challenge;
use crate::sync::Mutex;
use crate::token::{AccessParameters, RefreshToken, Tokens};

/// Authenticators of one server, of which the first that can log in is used, and then always that
/// one: for example a secret that is mounted into a container, else an environment variable, else
/// the keyring of a developer.
///
/// One that cannot read its secret, has no login, or is refused, is followed by the next. A failure
/// that may pass (the server cannot be reached, or is out of order) is that of the chain, so that
/// an outage does not choose another account. One that was denied is passed over until the chain
/// has tokens or all have failed, so an outage of the next does not send its password again. If
/// none can log in, the error says why of each. It is a denial if one was denied: then no password
/// is sent again by itself.
///
/// A refresh token that a store kept is sent by the first that can read its secrets, so all of them
/// should be of the same server and, if it tells clients apart, of the same client. If a secret is
/// missing for it and no other one gets tokens, the refresh token is kept for when there is one.
///
/// ```
/// # fn main() -> Result<(), jwt_refresh::Error> {
/// # #[cfg(feature = "reqwest")] {
/// use jwt_refresh::{Chain, ClientAuth, HttpAuthenticator, SecretSource, Session};
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
    members: Vec<Member>,
    /// The member that got tokens.
    chosen: OnceLock<usize>,
}

struct Member {
    authenticator: Arc<dyn DynAuthenticator>,
    /// Why the server refused its login, as long as the chain goes on with later members.
    denial: Mutex<Option<Error>>,
}

impl Member {
    fn new(authenticator: impl Authenticator) -> Self {
        Self { authenticator: Arc::new(authenticator), denial: Mutex::default() }
    }

    /// Returns the denial, if what is `asked` would send the same password again.
    fn denial(&self, asked: Asked) -> Option<Error> {
        let denial = self.denial.lock().clone();
        denial.filter(|error| asked == Asked::Login || error.is_by_login())
    }

    fn set_denial(&self, denial: Option<Error>) {
        *self.denial.lock() = denial;
    }

    /// Asks the authenticator, and remembers it if its login was denied.
    async fn ask(
        &self,
        asked: Asked,
        ask: impl Fn(Arc<dyn DynAuthenticator>) -> Renewal<Tokens>,
    ) -> Result<Tokens, Error> {
        ask(Arc::clone(&self.authenticator)).await.map_err(|error| {
            let asked = if error.is_by_login() { Asked::Login } else { asked };
            let error = judged(error, asked);
            if asked == Asked::Login && error.kind() == ErrorKind::Denied {
                self.set_denial(Some(error.clone()));
            }
            error
        })
    }
}

impl Chain {
    /// Returns a chain of one authenticator.
    pub fn new(first: impl Authenticator) -> Self {
        Self { members: vec![Member::new(first)], chosen: OnceLock::new() }
    }

    /// Adds an authenticator that is tried after the others.
    pub fn or(mut self, next: impl Authenticator) -> Self {
        self.members.push(Member::new(next));
        self
    }

    fn first_member(&self) -> Option<&Arc<dyn DynAuthenticator>> {
        self.members.first().map(|member| &member.authenticator)
    }

    fn chosen(&self) -> Option<&Arc<dyn DynAuthenticator>> {
        Some(&self.members.get(*self.chosen.get()?)?.authenticator)
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
            let error = match member.denial(asked) {
                Some(denial) => denial,
                None => match member.ask(asked, &ask).await {
                    Ok(tokens) => {
                        // At most one exchange of an account is under way.
                        let _ = self.chosen.set(number);
                        return Ok(tokens);
                    }
                    Err(error) => error,
                },
            };
            let is_last = !goes_on(&error);
            errors.push(error);
            if is_last {
                break;
            }
        }
        let error = unsent(asked, &errors).unwrap_or_else(|| summary(errors, goes_on));
        let is_of_login = asked == Asked::Login || error.is_by_login();
        if is_of_login && error.kind() == ErrorKind::Denied {
            // The denial is final, so the next login is one that the user asked for.
            self.members.iter().for_each(|member| member.set_denial(None));
        }
        Err(error)
    }
}

impl Authenticator for Chain {
    /// Returns the name of the server, if all have the same.
    fn server_id(&self) -> Option<String> {
        let mut ids = self.members.iter().map(|member| member.authenticator.server_id());
        let first = ids.next()??;
        ids.all(|id| id.as_ref() == Some(&first)).then_some(first)
    }

    async fn login(&self) -> Result<Tokens, Error> {
        self.first(Asked::Login, |member| member.login(), cannot_log_in).await
    }

    /// Refreshes by the chosen one, or if there is none yet, by the first that can. A refresh token
    /// that was refused is sent by no other one.
    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        let goes_on = |error: &Error| cannot_be_sent(error) || (error.is_by_login() && cannot_log_in(error));
        self.first(Asked::Refresh, |member| member.refresh(token.clone()), goes_on).await
    }

    /// As [`refresh`](Self::refresh).
    async fn refresh_for(&self, token: &RefreshToken, parameters: &AccessParameters) -> Result<Tokens, Error> {
        let ask = |member: Arc<dyn DynAuthenticator>| member.refresh_for(token.clone(), parameters.clone());
        self.first(Asked::Refresh, ask, cannot_be_sent).await
    }

    async fn probe(&self) -> Option<Result<(), Error>> {
        let member = self.chosen().or(self.first_member())?;
        Arc::clone(member).probe().await
    }

    /// Returns a chain whose members all have this client, and of which none is chosen.
    #[cfg(feature = "reqwest")]
    fn with_client(&self, client: &HttpClient) -> Result<Self, Error> {
        let member = |member: &Member| {
            Ok(Member { authenticator: member.authenticator.with_client(client)?, denial: Mutex::default() })
        };
        let members = self.members.iter().map(member).collect::<Result<_, Error>>()?;
        Ok(Self { members, chosen: OnceLock::new() })
    }

    /// Returns a chain of those members that can step up, with the one chosen that was.
    fn step_up(&self, challenge: &Challenge) -> Result<Self, Error> {
        let (mut members, chosen) = (Vec::new(), OnceLock::new());
        for (number, member) in self.members.iter().enumerate() {
            let is_chosen = self.chosen.get() == Some(&number);
            match member.authenticator.step_up(challenge) {
                Ok(authenticator) => {
                    let _ = if is_chosen { chosen.set(members.len()) } else { Ok(()) };
                    members.push(Member { authenticator, denial: Mutex::default() });
                }
                Err(error) if is_chosen => return Err(error),
                Err(_) => {}
            }
        }
        if members.is_empty() { Err(Error::cannot_step_up()) } else { Ok(Self { members, chosen }) }
    }

    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        let Some(member) = self.chosen().or(self.first_member()) else { return Ok(()) };
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

/// Returns the error of a refresh for which a secret was missing, if no member sent the refresh
/// token. It is as good as before, and an error of a login would give it up.
fn unsent(asked: Asked, errors: &[Error]) -> Option<Error> {
    let is_unsent = |error: &&Error| error.kind() == ErrorKind::SecretUnavailable && !error.is_by_login();
    let last = errors.last().filter(|_| asked == Asked::Refresh)?;
    let was_sent = !last.is_by_login() && !cannot_be_sent(last);
    errors.iter().find(is_unsent).filter(|_| !was_sent).cloned()
}

/// Returns whether a request was not sent because the member has no way to send it.
fn cannot_be_sent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::SecretUnavailable | ErrorKind::LoginUnavailable)
}

/// Returns the error that the chain ended with, or if it went on to the end, the most serious one,
/// which also says what the others were.
fn summary(mut errors: Vec<Error>, goes_on: impl Fn(&Error) -> bool) -> Error {
    if errors.last().is_some_and(|last| !goes_on(last)) {
        return errors.remove(errors.len() - 1);
    }
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
