//! The server's own books: which tokens it issued, and which of them are good.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::exchange::Action;
use crate::hints::Hints;

/// What the answer to a refresh says of the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// There is a new one, and the old one is spent. One that is sent again ends the login.
    New,
    /// It is the old one.
    Same,
    /// Nothing: the old one stays.
    Unsaid,
}

/// An access token.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Counts the access tokens in the order in which they were issued.
    pub(crate) number: u64,
    family: u32,
    ends: Duration,
    /// Until when a client that reads the answer right serves it, if the answer says so.
    pub(crate) told: Option<Duration>,
    /// Whether it was said how long it lives, and not when it ends.
    is_exact: bool,
    /// The session that asked for it; `None` for one that a person got.
    pub(crate) by: Option<usize>,
    revoked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Good,
    Spent,
    Revoked,
}

#[derive(Debug)]
struct Refresh {
    family: u32,
    standing: Standing,
}

/// What a login or refresh brought.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) access: String,
    /// The refresh token in the answer.
    pub(crate) refresh: Option<String>,
}

/// The server's books. Times are how long the walk has gone on, on a clock that nobody steps.
#[derive(Debug)]
pub(crate) struct Issuer {
    rotation: Rotation,
    pub(crate) life: Duration,
    /// When the walk began.
    pub(crate) epoch: SystemTime,
    /// By how many seconds the server's clock is ahead.
    pub(crate) ahead: i64,
    pub(crate) knows_password: bool,
    pub(crate) reuses: u32,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    families: u32,
}

impl Issuer {
    pub(crate) fn new(rotation: Rotation, life: Duration, ahead: i64) -> Self {
        Self {
            rotation,
            life,
            epoch: SystemTime::now(),
            ahead,
            knows_password: true,
            reuses: 0,
            access: HashMap::new(),
            refresh: HashMap::new(),
            families: 0,
        }
    }

    /// Returns what the server's clock shows.
    pub(crate) fn clock(&self, now: Duration) -> SystemTime {
        let shown = self.epoch + now;
        let ahead = Duration::from_secs(self.ahead.unsigned_abs());
        if self.ahead < 0 { shown - ahead } else { shown + ahead }
    }

    /// Does what a request asks for. Returns `None` if what it sent is no good.
    pub(crate) fn carry_out(&mut self, action: Action, sent: &str, now: Duration, hints: Hints) -> Option<Issued> {
        match action {
            Action::Login => self.knows_password.then(|| self.log_in(now, hints)),
            Action::Refresh => self.refresh(sent, now, hints),
        }
    }

    /// Logs in, whatever the password.
    pub(crate) fn log_in(&mut self, now: Duration, hints: Hints) -> Issued {
        self.families += 1;
        let (access, refresh) = (self.issue(self.families, now, hints), self.issue_refresh(self.families));
        Issued { access, refresh: Some(refresh) }
    }

    fn refresh(&mut self, token: &str, now: Duration, hints: Hints) -> Option<Issued> {
        let known = self.refresh.get_mut(token)?;
        let family = known.family;
        match known.standing {
            Standing::Revoked => return None,
            Standing::Spent => {
                self.reuses += 1;
                self.revoke_family(family);
                return None;
            }
            Standing::Good => {}
        }
        let refresh = match self.rotation {
            Rotation::New => {
                known.standing = Standing::Spent;
                Some(self.issue_refresh(family))
            }
            Rotation::Same => Some(token.to_owned()),
            Rotation::Unsaid => None,
        };
        Some(Issued { access: self.issue(family, now, hints), refresh })
    }

    fn issue(&mut self, family: u32, now: Duration, hints: Hints) -> String {
        let number = self.issued() + 1;
        let token = hints.access_token(&format!("A{number}"), self.clock(now), self.life);
        let access = Access {
            number,
            family,
            ends: now + self.life,
            told: hints.told(self.life).map(|told| now + told),
            is_exact: hints.told(Duration::ZERO) == Some(Duration::ZERO),
            by: None,
            revoked: false,
        };
        self.access.insert(token.clone(), access);
        token
    }

    fn issue_refresh(&mut self, family: u32) -> String {
        let token = format!("R{}", self.refresh.len() + 1);
        self.refresh.insert(token.clone(), Refresh { family, standing: Standing::Good });
        token
    }

    /// Refuses this refresh token from now on.
    pub(crate) fn refuse(&mut self, token: &str) {
        if let Some(known) = self.refresh.get_mut(token) {
            known.standing = Standing::Revoked;
        }
    }

    /// Ends the login that the refresh token belongs to.
    pub(crate) fn revoke(&mut self, token: &str) {
        if let Some(family) = self.refresh.get(token).map(|known| known.family) {
            self.revoke_family(family);
        }
    }

    fn revoke_family(&mut self, family: u32) {
        for token in self.refresh.values_mut().filter(|token| token.family == family) {
            token.standing = Standing::Revoked;
        }
        for token in self.access.values_mut().filter(|token| token.family == family) {
            token.revoked = true;
        }
    }

    pub(crate) fn revoke_access(&mut self) {
        self.access.values_mut().for_each(|token| token.revoked = true);
    }

    pub(crate) fn revoke_refresh(&mut self) {
        self.refresh.values_mut().for_each(|token| token.standing = Standing::Revoked);
    }

    /// Notes that it was this session that asked for the access token.
    pub(crate) fn asked_by(&mut self, token: &str, session: usize) {
        if let Some(token) = self.access.get_mut(token) {
            token.by = Some(session);
        }
    }

    /// Notes that time has passed between request and answer. If the answer says when the token
    /// ends, it can be wrong by as much: `Date` may be that of the request, or of the answer.
    pub(crate) fn came_late(&mut self, token: &str) {
        if let Some(token) = self.access.get_mut(token).filter(|token| !token.is_exact) {
            token.told = None;
        }
    }

    /// Returns how many access tokens were issued.
    pub(crate) fn issued(&self) -> u64 {
        self.access.len() as u64
    }

    pub(crate) fn access(&self, token: &str) -> Option<&Access> {
        self.access.get(token)
    }

    /// Returns whether the API takes this access token now.
    pub(crate) fn accepts(&self, token: &str, now: Duration) -> bool {
        self.access(token).is_some_and(|token| !token.revoked && now < token.ends)
    }
}
