//! A trial of an authenticator: one login and one refresh, told to a person.

use std::fmt;
use std::sync::Arc;

use crate::authenticator::{Asked, Authenticator, judged, refresh_only, within_timeout};
use crate::clock::{Clock, Moment, in_words};
use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::provider::Renewal;
use crate::renewal::{Lifetime, RequestTimes, expiry};
use crate::token::{RefreshToken, Tokens};

/// What came of one login and one refresh, for a person who tries a description of a server.
///
/// `Display` tells which fields the answers have, how long the tokens live, whether a refresh
/// replaces the refresh token, and what a session with the default [`Policy`] would do at expiry.
/// It contains no token and no other value of an answer.
///
/// ```
/// # use jwt_refresh::{Error, HttpAuthenticator, LoginTrial};
/// # async fn doc(api: HttpAuthenticator) -> Result<(), Error> {
/// let trial = LoginTrial::run(api).await?;
/// println!("{trial}");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct LoginTrial {
    login: IssuedFacts,
    refresh: RefreshTrial,
}

#[derive(Debug)]
enum RefreshTrial {
    NoRefreshToken,
    /// The authenticator has no refresh: it would have sent the password again.
    WouldLogIn,
    Failed(Error),
    Renewed(Box<IssuedFacts>, Rotation),
}

/// What an answer says.
#[derive(Debug)]
struct IssuedFacts {
    token: &'static str,
    /// Where the length of its life was read.
    stated: Vec<String>,
    begins: Moment,
    expires: Option<Lifetime>,
    is_dead: bool,
    refresh_token: String,
    shape: Option<String>,
}

/// What a refresh does to the refresh token.
#[derive(Clone, Copy, Debug)]
enum Rotation {
    Replaced,
    Kept,
}

impl LoginTrial {
    /// Logs in once, and refreshes once if the login brought a refresh token. Each may take 30 s. A
    /// refresh that would be a login is not tried, so the password is sent once.
    ///
    /// # Errors
    ///
    /// Those of the login. A refresh that fails is part of the result; see
    /// [`refresh_error`](Self::refresh_error).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the tokens of the server are lost. Nothing else depends on them.
    pub async fn run(authenticator: impl Authenticator) -> Result<Self, Error> {
        let authenticator = Arc::new(authenticator);
        let policy = Policy::default();
        let login = Arc::clone(&authenticator);
        let login = send("login", Asked::Login, &policy, Box::pin(async move { login.login().await }));
        let (tokens, times) = login.await?;
        let login = IssuedFacts::of(&policy, &tokens, times);
        let refresh = match tokens.refresh().cloned() {
            None => RefreshTrial::NoRefreshToken,
            Some(token) => match refresh(authenticator, &policy, token).await {
                Ok((observed, rotation)) => RefreshTrial::Renewed(Box::new(observed), rotation),
                Err(error) if error.is_by_login() && error.kind() == ErrorKind::LoginUnavailable => {
                    RefreshTrial::WouldLogIn
                }
                Err(error) => RefreshTrial::Failed(error),
            },
        };
        Ok(Self { login, refresh })
    }

    /// Returns why the refresh failed, if it did.
    pub fn refresh_error(&self) -> Option<&Error> {
        match &self.refresh {
            RefreshTrial::Failed(error) => Some(error),
            _ => None,
        }
    }
}

async fn refresh(
    authenticator: Arc<impl Authenticator>,
    policy: &Policy,
    token: RefreshToken,
) -> Result<(IssuedFacts, Rotation), Error> {
    let sent = token.clone();
    let request = Box::pin(async move { refresh_only(authenticator.refresh(&sent)).await });
    let (tokens, times) = send("refresh", Asked::Refresh, policy, request).await?;
    let rotation = if tokens.refresh().is_some_and(|new| *new != token) { Rotation::Replaced } else { Rotation::Kept };
    Ok((IssuedFacts::of(policy, &tokens, times), rotation))
}

async fn send(
    action: &str,
    asked: Asked,
    policy: &Policy,
    request: Renewal<Tokens>,
) -> Result<(Tokens, RequestTimes), Error> {
    let (clock, timeout) = (Clock::system(), policy.login_timeout.max(policy.refresh_timeout));
    let sent = clock.moment();
    let answer = within_timeout(action, timeout, request).await.map_err(|error| judged(error, asked));
    Ok((answer?, RequestTimes { sent, answered: clock.moment() }))
}

impl IssuedFacts {
    fn of(policy: &Policy, tokens: &Tokens, times: RequestTimes) -> Self {
        let jwt = tokens.access().jwt();
        let mut stated = Vec::new();
        stated.extend(tokens.lifetime().map(|lifetime| format!("{} as a lifetime", in_words(lifetime))));
        stated.extend(tokens.expiry().map(|_| "a time of expiry".to_owned()));
        stated.extend(jwt.as_ref().and_then(|jwt| jwt.claims().expires_at()).map(|_| "`exp` in the JWT".to_owned()));
        let expires = expiry(policy, tokens, times);
        let refresh_token = match (tokens.refresh(), tokens.refresh_lifetime()) {
            (None, _) => "none".to_owned(),
            (Some(_), None) => "there is one; the answer does not say how long it lives".to_owned(),
            (Some(_), Some(lifetime)) => format!("there is one, and it lives for {}", in_words(lifetime)),
        };
        Self {
            token: if jwt.is_some() { "a JWT" } else { "opaque" },
            stated,
            begins: times.sent,
            expires: expires.map(|expires| Lifetime::new(policy, times.sent, Some(expires), 0.0)),
            is_dead: expires.is_some_and(|expires| expires <= times.answered.wall),
            refresh_token,
            shape: tokens.shape(),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(shape) = &self.shape {
            writeln!(f, "  answer: {shape}")?;
        }
        write!(f, "  access token: {}; ", self.token)?;
        match &self.expires {
            None => writeln!(f, "nothing says how long it lives")?,
            Some(life) => {
                let lives = in_words(life.expires.wall.since(self.begins.wall));
                writeln!(f, "it lives for {lives} (the answer states {})", self.stated.join(" and "))?;
            }
        }
        if self.is_dead {
            writeln!(f, "  it has already expired: a session would not use it, so check the unit of the lifetime")?;
        }
        writeln!(f, "  refresh token: {}", self.refresh_token)
    }
}

impl fmt::Display for LoginTrial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "login: succeeded")?;
        self.login.write(f)?;
        let by = match &self.refresh {
            RefreshTrial::WouldLogIn => {
                writeln!(f, "refresh: not tried, because it would be a login")?;
                "by a login"
            }
            RefreshTrial::NoRefreshToken => {
                writeln!(f, "refresh: not tried, because the login brought no refresh token")?;
                "by a login"
            }
            RefreshTrial::Failed(error) => {
                writeln!(f, "refresh: failed: {error}")?;
                "by a login, as long as the refresh fails"
            }
            RefreshTrial::Renewed(renewed, rotation) => {
                writeln!(f, "refresh: succeeded")?;
                renewed.write(f)?;
                let rotation = match rotation {
                    Rotation::Replaced => "a refresh replaces the refresh token",
                    Rotation::Kept => "a refresh keeps the refresh token",
                };
                writeln!(f, "  rotation: {rotation}")?;
                "by a refresh, and by a login if the refresh token is refused"
            }
        };
        match &self.login.expires {
            None => write!(f, "at expiry: a session uses the token until an API answers 401, and then renews it {by}"),
            Some(life) => {
                let after = |moment: Moment| in_words(moment.wall.since(self.login.begins.wall));
                let (ahead, due) = (after(life.ahead), after(life.due));
                write!(
                    f,
                    "at expiry: a session renews the token {by}: in the background after about {ahead}, and callers wait \
                     for it after {due}"
                )
            }
        }
    }
}
