//! An access token of a session's login for another API, as a provider.

use std::fmt;
use std::sync::{Arc, Weak};

use super::Session;
use super::account_store::max_lease_wait;
use super::shared::{Parts, SessionShared, Upkeep};
use crate::authenticator::Authenticator;
use crate::error::{Error, ErrorKind};
use crate::provider::{Renewal, TokenProvider};
use crate::send::Challenge;
use crate::token::{AccessParameters, AccessToken, Tokens};

/// Another access token of a [`Session`]'s login, for another API: what `#[refresh_token]`, a
/// [`RequestAuth`](crate::RequestAuth) or a call by hand takes its token from. Returned by
/// [`Session::audience`] and [`Session::access_for`].
///
/// The refresh token is the session's, so at most one of all these access tokens is got at a time,
/// and what the server sends in its place is in the store before the new token is used. With a
/// store, the access token is kept there too, and other processes use it. A logout of the session
/// ends it, and so does a new login, after which another one is got. What an API wants beyond the
/// token (RFC 6750 §3.1, RFC 9470), the session [logs in](Authenticator::step_up) for, unless it is
/// a scope and the parameters name scopes.
///
/// A clone costs two reference counts.
#[derive(Clone)]
pub struct ChildSession {
    /// Kept so that the session lives as long as this.
    parent: Session,
    child: Session,
    scopes: ChildScopes,
}

/// What scopes an access token of a child has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChildScopes {
    /// Those of the login, as far as the server gives them for this API.
    OfLogin,
    /// Those that the user has named.
    Named,
}

impl Session {
    /// Returns a provider of access tokens of this login for another API, at servers with a
    /// parameter `audience`. See [`access_for`](Self::access_for).
    pub fn audience(&self, audience: impl Into<String>) -> ChildSession {
        self.access_for(AccessParameters::for_audience(audience))
    }

    /// Returns a provider of access tokens of this login for other parameters: an audience, a
    /// resource (RFC 8707), fewer scopes (RFC 6749 §6). They are got by the session's refresh
    /// token, when one is first needed. Equal parameters have the same token, whenever this is
    /// called; it is kept as long as the session.
    ///
    /// ```
    /// # fn doc(session: jwt_refresh::Session) {
    /// use jwt_refresh::AccessParameters;
    ///
    /// let orders = session.audience("https://orders.example");
    /// let files = AccessParameters::for_resource("https://files.example/").and_scope("read");
    /// let files = session.access_for(files);
    /// # }
    /// ```
    pub fn access_for(&self, parameters: AccessParameters) -> ChildSession {
        let parent = &self.0;
        let scopes = if parameters.scopes().next().is_some() { ChildScopes::Named } else { ChildScopes::OfLogin };
        let child = parent.child(parameters, |parameters| {
            // A login of the session, and the refresh after it.
            let timeout = max_lease_wait(parent.policy()).saturating_mul(2);
            let login = OtherLogin { parent: Arc::downgrade(parent), parameters: parameters.clone() };
            SessionShared::new(Parts {
                authenticator: Arc::new(login),
                policy: parent.policy().clone().login_timeout(timeout),
                clock: parent.cell.clock.clone(),
                store: None,
                upkeep: Upkeep::OnDemand,
                renew_on: None,
                #[cfg(feature = "reqwest")]
                requests: None,
            })
        });
        ChildSession { parent: self.clone(), child: Self(child), scopes }
    }
}

impl ChildSession {
    /// Returns a fresh access token, as [`Session::token`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Session::token`], and [`Configuration`](ErrorKind::Configuration) if the server
    /// gives the login no such token, the login has no refresh token, or the
    /// [authenticator](Authenticator::refresh_for) cannot ask for it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, only the wait ends. A renewal that it began goes on.
    pub async fn token(&self) -> Result<AccessToken, Error> {
        self.child.token().await
    }

    /// Returns the session whose login this is.
    pub fn session(&self) -> &Session {
        &self.parent
    }
}

impl TokenProvider for ChildSession {
    type Token = AccessToken;

    #[inline]
    fn ready(&self) -> Option<AccessToken> {
        self.child.ready()
    }

    #[inline]
    fn is_ready(&self) -> bool {
        self.child.is_ready()
    }

    fn fresh(&self) -> Renewal<AccessToken> {
        self.child.fresh()
    }

    fn rejected(&self, token: &AccessToken) -> Renewal<AccessToken> {
        self.child.rejected(token)
    }

    #[inline]
    fn served(&self, token: &AccessToken) {
        self.child.served(token);
    }

    /// Lets the session log in for what the token lacks, and waits for a token of that login. A
    /// child for scopes that the user has named gets no others.
    fn step_up(&self, token: &AccessToken, challenge: &Challenge) -> Option<Renewal<AccessToken>> {
        if self.scopes == ChildScopes::Named && challenge.parameter("error") == Some("insufficient_scope") {
            return None;
        }
        let renewal = self.parent.started().step_up(self.login_of(token), challenge)?;
        let child = self.child.clone();
        Some(Box::pin(async move {
            renewal.await?;
            child.fresh().await
        }))
    }
}

impl ChildSession {
    /// Returns the generation of the session's token that a step-up must have outdone to bring more
    /// than this token of the child has. One that the child holds is of the current login, because
    /// a new login takes the tokens of the children away before its own can be seen. Any other may
    /// be of an earlier one.
    fn login_of(&self, token: &AccessToken) -> u64 {
        let current = self.parent.0.cell.lock().generation();
        let held = self.child.0.cell.lock().token();
        if held.is_some_and(|held| held.generation() == token.generation()) { current } else { 0 }
    }
}

impl fmt::Debug for ChildSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parent, child, scopes } = self;
        f.debug_struct("ChildSession").field("parent", parent).field("child", child).field("scopes", scopes).finish()
    }
}

/// Gets an access token by the login of another session.
struct OtherLogin {
    parent: Weak<SessionShared>,
    parameters: AccessParameters,
}

impl Authenticator for OtherLogin {
    async fn login(&self) -> Result<Tokens, Error> {
        let ended = || Error::new(ErrorKind::Aborted, "the session of the login has ended");
        let parent = Session(self.parent.upgrade().ok_or_else(ended)?);
        let issued = Arc::clone(parent.started()).other_access(&self.parameters).await?;
        let tokens = Tokens::of(issued.token.clone());
        let left = parent.0.cell.clock.moment().until(issued.life.expires);
        Ok(if issued.life.is_endless() { tokens } else { tokens.expires_in(left) })
    }

    fn server_id(&self) -> Option<String> {
        self.parent.upgrade()?.authenticator.server_id()
    }
}
