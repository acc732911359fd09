//! Authenticators that do what a test tells them, without a server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwt_refresh::pool::{Account, Pool, PoolBuilder};
use jwt_refresh::{Authenticator, Error, ErrorKind, ManualClock, RefreshToken, Tokens};
use tokio::sync::watch;

use crate::support::HOUR;

/// What an authenticator does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Answers with tokens that live for so long.
    Lives(Duration),
    /// Never answers.
    Hangs,
    /// Answers only once it does something else.
    Waits,
    Unavailable(Option<Duration>),
    Unreachable,
    Denies,
}

/// One account of a server that is told what to do. Clones are the same account.
#[derive(Clone)]
pub(crate) struct Scripted {
    name: String,
    endpoint: Option<String>,
    does: watch::Sender<Does>,
    log: Log,
}

/// What accounts were asked, in that order: `login ada`, `refresh ada`, `revoke ada`, and `… ended`
/// when the authenticator answered or was given up.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(crate) fn begun(&self) -> Vec<String> {
        let log = self.0.lock().unwrap();
        log.iter().filter(|line| !line.ends_with("ended")).cloned().collect()
    }

    /// How many requests were under way at once, at most.
    pub(crate) fn most_at_once(&self) -> usize {
        let (mut running, mut most) = (0_usize, 0);
        for line in self.0.lock().unwrap().iter() {
            running = if line.ends_with("ended") { running.saturating_sub(1) } else { running + 1 };
            most = most.max(running);
        }
        most
    }

    /// How many requests are under way.
    pub(crate) fn running(&self) -> usize {
        let log = self.0.lock().unwrap();
        let ended = log.iter().filter(|line| line.ends_with("ended")).count();
        log.len() - 2 * ended
    }
}

impl From<Vec<String>> for Log {
    fn from(lines: Vec<String>) -> Self {
        Self(Arc::new(Mutex::new(lines)))
    }
}

impl Scripted {
    pub(crate) fn new(name: impl Into<String>, does: Does, log: &Log) -> Self {
        Self { name: name.into(), endpoint: None, does: watch::Sender::new(does), log: log.clone() }
    }

    /// Gives the account an endpoint that other accounts may have, too.
    pub(crate) fn at(self, endpoint: &str) -> Self {
        Self { endpoint: Some(endpoint.to_owned()), ..self }
    }

    pub(crate) fn account(&self) -> Account {
        Account::new(self.name.clone(), self.clone())
    }

    /// From now on does something else, also what waits already.
    pub(crate) fn set(&self, does: Does) {
        self.does.send_replace(does);
    }

    async fn answer(&self, action: &str) -> Result<Tokens, Error> {
        struct Ended<'a>(&'a Scripted, &'a str);
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                self.0.log.push(format!("{} {} ended", self.1, self.0.name));
            }
        }
        self.log.push(format!("{action} {}", self.name));
        let _ended = Ended(self, action);
        let does = *self.does.subscribe().wait_for(|does| *does != Does::Waits).await.map_err(Error::other)?;
        match does {
            Does::Lives(time) => Ok(Tokens::new("access")?.refresh_token("refresh").expires_in(time)),
            Does::Hangs | Does::Waits => std::future::pending().await,
            Does::Unavailable(wait) => {
                let error = Error::new(ErrorKind::Unavailable, "the endpoint is out of order");
                Err(wait.into_iter().fold(error, Error::retry_in))
            }
            Does::Unreachable => Err(Error::new(ErrorKind::Unreachable, "the endpoint cannot be reached")),
            Does::Denies => Err(Error::denied("the password is wrong")),
        }
    }
}

impl Authenticator for Scripted {
    async fn login(&self) -> Result<Tokens, Error> {
        self.answer("login").await
    }

    async fn refresh(&self, _: &RefreshToken) -> Result<Tokens, Error> {
        self.answer("refresh").await
    }

    async fn revoke(&self, _: &RefreshToken) -> Result<(), Error> {
        self.answer("revoke").await.map(drop)
    }

    fn server_id(&self) -> Option<String> {
        self.endpoint.clone()
    }
}

/// Accounts that do what the test tells them, of one pool.
pub(crate) struct Accounts {
    pub(crate) clock: ManualClock,
    pub(crate) log: Log,
    pub(crate) all: Vec<Scripted>,
}

impl Accounts {
    /// The accounts `a0`, `a1`, …, whose tokens live for an hour.
    pub(crate) fn new(count: usize) -> Self {
        let log = Log::default();
        let all = (0..count).map(|number| Scripted::new(format!("a{number}"), Does::Lives(HOUR), &log)).collect();
        Self { clock: ManualClock::new(), log, all }
    }

    pub(crate) fn pool(&self) -> Pool {
        self.pool_with(|pool| pool)
    }

    pub(crate) fn pool_of(&self, limit: impl Fn(Account) -> Account) -> Pool {
        let accounts = self.all.iter().map(|account| limit(account.account()));
        Pool::builder().clock(&self.clock).accounts(accounts).build().unwrap()
    }

    pub(crate) fn pool_with(&self, set_up: impl FnOnce(PoolBuilder) -> PoolBuilder) -> Pool {
        let accounts = self.all.iter().map(Scripted::account);
        set_up(Pool::builder().clock(&self.clock)).accounts(accounts).build().unwrap()
    }
}
