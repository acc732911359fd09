//! All that the model knows of a walk, under one lock. What happens is noted here, and checked as
//! it happens.

use std::collections::VecDeque;
use std::fmt::Display;
use std::time::{Duration, Instant};

use jwt_refresh::store::StoreFailure;
use jwt_refresh::{AccessToken, Error, Event};

use crate::answer::Answer;
use crate::exchange::{Action, End, Exchange, Meaning};
use crate::history::{History, Promise};
use crate::issuer::Issuer;
use crate::plan::Setup;

/// What the account can refresh with, as far as the model can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    None,
    Valid(String),
    InDoubt(String),
    /// A process was killed, a store failed, or two things happened at once.
    Unknown,
}

/// What a user asks of a session beside a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Login,
    Logout,
    Adopt,
}

/// A call of `login`, `logout` or `adopt`.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) wish: Wish,
    pub(crate) session: usize,
    pub(crate) begun: usize,
    /// The line at which it ended, and whether it succeeded.
    pub(crate) ended: Option<(usize, bool)>,
    /// Whether the account had calls or exchanges under way when it began.
    overlaps: bool,
}

/// A call of `token` or `rejected`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) session: usize,
    pub(crate) begun: usize,
    /// When it was made.
    pub(crate) asked: Duration,
    /// The newest token that the session had served by then.
    pub(crate) newest: u64,
    /// The token that was rejected.
    pub(crate) rejected: Option<u64>,
}

/// What the server has said of the password that a session sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Password {
    #[default]
    NeverRefused,
    /// It was refused, and somebody has logged in or brought tokens since.
    RefusedOnce,
    Refused,
}

/// One session, from when it is built until its process is killed.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionLog {
    pub(crate) killed: bool,
    pub(crate) open_calls: usize,
    pub(crate) newest: u64,
    /// How many calls of its store go on.
    pub(crate) store_calls: usize,
    /// The newest token that had been issued when time passed in the middle of something that it
    /// did.
    pub(crate) on_the_way: u64,
    /// The newest token that it had served when the wall clock was last stepped back.
    served_before_step: u64,
    /// The line at which it was seen to be logged out.
    pub(crate) logged_out: Option<usize>,
    /// It has said so itself. Until then it knows from its store only.
    pub(crate) knows_logout: bool,
    /// The last logout that an event has told of.
    pub(crate) told_logout: Option<usize>,
    pub(crate) password: Password,
    /// How often it had nothing left to get a token with.
    pub(crate) dead_ends: u32,
    pub(crate) dead_end_at: Option<usize>,
    /// The line at which it last got tokens.
    pub(crate) revived_at: usize,
    /// Events that say that a person has to log in.
    pub(crate) alarms: u32,
}

impl SessionLog {
    /// Somebody has logged in or brought tokens, so the password may be sent again.
    fn has_news(&mut self) {
        if self.password == Password::Refused {
            self.password = Password::RefusedOnce;
        }
    }
}

/// The model.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) setup: Setup,
    /// How long the walk has gone on, on a clock that nobody steps.
    pub(crate) now: Duration,
    pub(crate) history: History,
    pub(crate) issuer: Issuer,
    /// What becomes of the next requests; after these the server is well.
    pub(crate) script: VecDeque<(Action, Answer)>,
    /// How many of the next exchanges do not reach the server.
    pub(crate) unreachable: u32,
    /// How many requests were held, and how many calls of a store have hung.
    pub(crate) stuck: usize,
    /// Counts the times that held requests were let go.
    pub(crate) releases: u64,
    /// How many requests, and calls for a lease, are held.
    pub(crate) held: usize,
    /// Counts the times that all of these were cut off.
    pub(crate) hang_ups: u64,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) sessions: Vec<SessionLog>,
    pub(crate) operations: Vec<Operation>,
    /// The newest token that had been issued when the wall clock was last stepped back.
    issued_before_step: u64,
    pub(crate) credential: Credential,
    /// The store has failed.
    pub(crate) store_trouble: bool,
    /// What was in the store was lost, or not asked for: sessions cannot know what others did.
    pub(crate) amnesia: bool,
    /// Leases were given to several at once.
    pub(crate) loose_leases: bool,
}

impl State {
    pub(crate) fn new(setup: Setup) -> Self {
        Self {
            now: Duration::ZERO,
            history: History::default(),
            issuer: Issuer::new(setup.rotation, setup.life, setup.ahead),
            setup,
            script: VecDeque::new(),
            unreachable: 0,
            stuck: 0,
            releases: 0,
            held: 0,
            hang_ups: 0,
            exchanges: Vec::new(),
            sessions: Vec::new(),
            operations: Vec::new(),
            issued_before_step: 0,
            credential: Credential::None,
            store_trouble: false,
            amnesia: false,
            loose_leases: false,
        }
    }

    pub(crate) fn note(&mut self, what: impl Display) -> usize {
        self.history.note(self.now, what)
    }

    pub(crate) fn broken(&mut self, promise: Promise, what: impl Display) {
        self.history.broken(self.now, promise, what);
    }

    /// Cuts off what is held.
    pub(crate) fn hang_up(&mut self) {
        if self.held > 0 {
            self.hang_ups += 1;
            self.note("    what is held is cut off");
        }
    }

    /// A store has failed.
    pub(crate) fn trouble(&mut self) {
        self.store_trouble = true;
        self.credential = Credential::Unknown;
        if self.setup.store_failure == StoreFailure::RefreshUnguarded {
            self.forget();
        }
    }

    /// What was in the store is lost, or not asked for.
    pub(crate) fn forget(&mut self) {
        self.amnesia = true;
        for session in self.sessions.iter_mut().filter(|session| !session.knows_logout) {
            session.logged_out = None;
        }
    }

    /// A session on an account that can refresh with `credential` unless its store says otherwise.
    pub(crate) fn build_session(&mut self, captured: Option<String>) -> usize {
        let session = self.sessions.len();
        let last =
            self.operations.iter().rev().find(|operation| operation.ended.is_none_or(|(_, succeeded)| succeeded));
        let logged_out = last.filter(|last| last.wish == Wish::Logout && self.setup.shares_store() && !self.amnesia);
        let logged_out = logged_out.and_then(|last| last.ended).map(|(line, _)| line);
        self.sessions.push(SessionLog { logged_out, ..SessionLog::default() });
        if !self.setup.shares_store() || session == 0 {
            self.credential = captured.map_or(Credential::None, Credential::Valid);
        }
        self.note(format_args!("s{session} is built"));
        session
    }

    /// Its process dies: whatever it was at is cut off.
    pub(crate) fn kill(&mut self, session: usize) {
        let line = self.note(format_args!("s{session} is killed"));
        self.sessions[session].killed = true;
        for operation in self.operations.iter_mut().filter(|operation| operation.session == session) {
            // It may have come to its end: what is made of it is what allows more.
            operation.ended.get_or_insert((line, operation.wish != Wish::Logout));
        }
        for id in 0..self.exchanges.len() {
            if self.exchanges[id].session == session {
                self.end_exchange(id, End::Dropped);
            }
        }
        self.credential = Credential::Unknown;
    }

    /// The wall clock is stepped back.
    pub(crate) fn step_back(&mut self) {
        self.issued_before_step = self.issuer.issued();
        for session in &mut self.sessions {
            session.served_before_step = session.newest;
        }
    }

    /// Returns whether all that the session can tell of a token is what was written down before the
    /// wall clock was stepped back, by which the token lives longer.
    pub(crate) fn is_known_by_old_clock(&self, session: usize, number: u64) -> bool {
        number <= self.issued_before_step && number > self.sessions[session].served_before_step
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        for session in 0..self.sessions.len() {
            let log = &self.sessions[session];
            let exchanges = self.exchanges.iter().any(|exchange| exchange.is_open() && exchange.session == session);
            let operations = self.operations.iter().any(|one| one.ended.is_none() && one.session == session);
            if exchanges || operations || log.open_calls > 0 || log.store_calls > 0 {
                self.sessions[session].on_the_way = self.issuer.issued();
            }
        }
        self.now += time;
    }

    /// Begins an exchange; `None` if the process is dead.
    pub(crate) fn begin_exchange(&mut self, session: usize, action: Action, sent: Option<String>) -> Option<usize> {
        if self.sessions[session].killed {
            return None;
        }
        let token = sent.as_deref().unwrap_or("the password");
        let begun = self.note(format_args!("s{session} sends {token}"));
        self.check_exchange(session, action, sent.as_deref());
        let (since, at) = (Instant::now(), self.now);
        let (brought, answers) = (None, Vec::new());
        self.exchanges.push(Exchange { session, action, sent, begun, since, at, brought, answers, end: None });
        Some(self.exchanges.len() - 1)
    }

    /// The server has answered a request of that exchange. `None`: no whole answer.
    pub(crate) fn answered(&mut self, id: usize, meaning: Option<Meaning>) {
        let session = self.exchanges[id].session;
        self.exchanges[id].answers.push(meaning);
        if self.exchanges[id].answers.len() > 1 {
            self.broken(Promise::OneRequestAnExchange, format_args!("s{session} sent it again by itself"));
        }
    }

    pub(crate) fn end_exchange(&mut self, id: usize, end: End) {
        if !self.exchanges[id].is_open() {
            return;
        }
        self.exchanges[id].end = Some(end);
        let exchange = self.exchanges[id].clone();
        let Some(known) = exchange.known() else { return };
        let (session, action) = (exchange.session, exchange.action);
        if let Some(access) = exchange.brought.as_deref().filter(|_| exchange.at != self.now) {
            self.issuer.came_late(access);
        }
        let line = self.note(format_args!("s{session} {action:?}: {known:?}"));
        match (action, &known) {
            (_, Meaning::Tokens(_)) => {
                let has_refreshed = |log: usize| action == Action::Refresh && log == session;
                let others = self.sessions.iter_mut().enumerate().filter(|(log, _)| !has_refreshed(*log));
                others.for_each(|(_, log)| log.has_news());
                self.sessions[session].revived_at = line;
            }
            (Action::Login, Meaning::Dead) => {
                self.sessions[session].password = Password::Refused;
                self.dead_end(session);
            }
            _ => {}
        }
        self.learn(&exchange, known);
        if action == Action::Refresh {
            // The refresh token was the other sessions' too.
            for log in 0..self.sessions.len() {
                let is_concerned = log == session || self.setup.shares_store();
                let cannot_log_in = !self.setup.can_login || self.sessions[log].password != Password::NeverRefused;
                if is_concerned && cannot_log_in {
                    self.dead_end(log);
                }
            }
        }
    }

    /// The session may have nothing left to get a token with.
    pub(crate) fn dead_end(&mut self, session: usize) {
        if matches!(self.credential, Credential::Valid(_)) {
            return;
        }
        let line = self.history.next();
        let log = &mut self.sessions[session];
        log.dead_ends += 1;
        log.dead_end_at = Some(line);
    }

    fn learn(&mut self, exchange: &Exchange, known: Meaning) {
        let overtaken = self.operations.iter().any(|operation| {
            let ended = operation.ended.is_none_or(|(line, _)| line > exchange.begun);
            operation.wish != Wish::Login && ended
        });
        self.credential = match (exchange.action, known) {
            _ if overtaken => Credential::Unknown,
            (_, Meaning::Tokens(Some(token))) => Credential::Valid(token),
            (Action::Login, Meaning::Tokens(None)) | (Action::Refresh, Meaning::Dead) => Credential::None,
            (Action::Refresh, Meaning::Tokens(None)) => {
                exchange.sent.clone().map_or(Credential::None, Credential::Valid)
            }
            (Action::Refresh, Meaning::InDoubt) => exchange.sent.clone().map_or(Credential::None, Credential::InDoubt),
            _ => return,
        };
        if self.store_trouble {
            self.credential = Credential::Unknown;
        }
    }

    pub(crate) fn begin_operation(&mut self, wish: Wish, session: usize) -> usize {
        let begun = self.note(format_args!("s{session}: {wish:?} begins"));
        let overlaps = self.setup.keep_fresh
            || self.exchanges.iter().any(Exchange::is_open)
            || self.sessions.iter().any(|session| session.open_calls > 0 && !session.killed)
            || self.operations.iter().any(|other| other.ended.is_none());
        if wish != Wish::Login {
            self.credential = Credential::Unknown;
        }
        if wish == Wish::Adopt {
            self.sessions.iter_mut().for_each(SessionLog::has_news);
        }
        self.operations.push(Operation { wish, session, begun, ended: None, overlaps });
        self.operations.len() - 1
    }

    /// `adopted` is the refresh token of tokens that were adopted.
    pub(crate) fn end_operation(&mut self, id: usize, result: Result<(), &Error>, adopted: Option<String>) {
        let Operation { wish, session, overlaps, .. } = self.operations[id];
        let line = match result {
            Ok(()) => self.note(format_args!("s{session}: {wish:?} ends well")),
            Err(error) => self.note(format_args!("s{session}: {wish:?} fails: {error}")),
        };
        // Tokens are adopted here even if the store cannot be told.
        self.operations[id].ended = Some((line, result.is_ok() || wish == Wish::Adopt));
        if wish == Wish::Adopt {
            self.sessions.iter_mut().for_each(SessionLog::has_news);
            self.sessions[session].revived_at = line;
        }
        let overlaps = overlaps || self.operations.len() > id + 1;
        if !overlaps && !self.store_trouble && wish != Wish::Login {
            self.credential = adopted.map_or(Credential::None, Credential::Valid);
        }
    }

    /// Its logout was polled.
    pub(crate) fn is_logged_out(&mut self, session: usize) {
        self.sessions[session].logged_out = Some(self.note(format_args!("s{session} is logged out")));
        self.sessions[session].knows_logout = true;
    }

    pub(crate) fn begin_call(&mut self, session: usize, rejected: Option<u64>) -> Call {
        let what = rejected
            .map_or_else(|| "is asked for a token".to_owned(), |number| format!("is told of a 401 to A{number}"));
        let begun = self.note(format_args!("s{session} {what}"));
        let log = &mut self.sessions[session];
        log.open_calls += 1;
        Call { session, begun, asked: self.now, newest: log.newest, rejected }
    }

    pub(crate) fn end_call(&mut self, call: &Call, result: Result<&AccessToken, &Error>) {
        let session = call.session;
        match result {
            Ok(token) => self.served(call, token.expose()),
            Err(error) => {
                self.note(format_args!("s{session} has no token: {:?}: {error}", error.kind()));
                self.check_failure(call, error.kind());
            }
        }
    }

    /// A call has ended, or was given up.
    pub(crate) fn close_call(&mut self, session: usize) {
        self.sessions[session].open_calls -= 1;
    }

    fn served(&mut self, call: &Call, token: &str) {
        let session = call.session;
        let Some(access) = self.issuer.access(token).cloned() else {
            return self.broken(Promise::NoOlderToken, format_args!("s{session} serves a token that nobody issued"));
        };
        self.note(format_args!("s{session} serves A{}", access.number));
        self.check_served(call, &access);
        let log = &mut self.sessions[session];
        log.newest = log.newest.max(access.number);
    }

    /// Calls the API with a token. Returns the token's number if the API rejects it.
    pub(crate) fn api(&mut self, token: &str) -> Option<u64> {
        let is_good = self.issuer.accepts(token, self.now);
        let number = self.issuer.access(token).map_or(0, |access| access.number);
        self.note(format_args!("the API answers {} to A{number}", if is_good { 200 } else { 401 }));
        (!is_good).then_some(number)
    }

    pub(crate) fn event(&mut self, session: usize, event: &Event) {
        match event {
            Event::Failed(error) => self.note(format_args!("    s{session} event: Failed({:?})", error.kind())),
            other => self.note(format_args!("    s{session} event: {}", name_of(other))),
        };
        if self.store_trouble && matches!(event, Event::Adopted) {
            // It may have heard of it late.
            self.sessions[session].has_news();
        }
        self.check_event(session, event);
    }
}

fn name_of(event: &Event) -> &'static str {
    match event {
        Event::Renewed => "Renewed",
        Event::Adopted => "Adopted",
        Event::ReauthenticationRequired(_) => "ReauthenticationRequired",
        Event::LoggedOut => "LoggedOut",
        _ => "another",
    }
}
