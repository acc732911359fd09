//! What a session promises, asked at each thing that it does.

use std::time::Duration;

use jwt_refresh::{ErrorKind, Event};

use crate::exchange::{Action, Exchange, Meaning};
use crate::history::Promise;
use crate::issuer::Access;
use crate::plan::TIMEOUT;
use crate::state::{Call, Credential, Operation, Password, State, Wish};

impl State {
    /// Before an exchange begins.
    pub(crate) fn check_exchange(&mut self, session: usize, action: Action, sent: Option<&str>) {
        if let Some(other) = self.under_way_beside(session) {
            let what = format!("s{session} begins one while one of s{other} goes on");
            self.broken(Promise::OneExchangeAtATime, what);
        }
        if let Some(token) = sent
            && let Some(why) = self.sent_in_vain(session, token)
        {
            self.broken(Promise::NoRefreshTokenTwice, format!("s{session} sends {token} again: {why}"));
        }
        if action == Action::Refresh || self.wishes(session, Wish::Login) {
            return;
        }
        if self.sessions[session].password == Password::Refused {
            self.broken(Promise::NoRefusedPasswordTwice, format!("s{session} sends it again by itself"));
        }
        if let Credential::Valid(token) = &self.credential {
            let what = format!("s{session} logs in although {token} is sound");
            self.broken(Promise::NoLoginWithoutReason, what);
        }
    }

    /// Returns the session whose exchange goes on already. One that has overrun its time may be
    /// overtaken.
    fn under_way_beside(&self, session: usize) -> Option<usize> {
        let shared = self.setup.shares_store() && !self.loose_leases && !self.amnesia;
        let counts = |exchange: &&Exchange| {
            exchange.is_open() && (exchange.session == session || shared) && exchange.since.elapsed() < TIMEOUT
        };
        self.exchanges.iter().find(counts).map(|exchange| exchange.session)
    }

    /// Returns why the token must not be sent again, if it must not.
    fn sent_in_vain(&self, session: usize, token: &str) -> Option<String> {
        let last = self.exchanges.iter().rev().find(|exchange| exchange.sent.as_deref() == Some(token))?;
        if last.kept() {
            return None;
        }
        let own = last.session == session;
        let cannot_know = !own && (self.amnesia || !self.setup.shares_store());
        if cannot_know {
            return None;
        }
        let is_cut_off = self.store_trouble || self.sessions[last.session].killed || self.was_overtaken(last);
        let in_doubt = match last.known() {
            None => !own && self.loose_leases,
            Some(Meaning::InDoubt) => true,
            // Another may know no more than that it was sent.
            Some(_) => !own && is_cut_off,
        };
        if in_doubt && self.may_try(session, last.begun) {
            return None;
        }
        Some(format!("s{} did at line {}, and then: {:?}", last.session, last.begun, last.known()))
    }

    /// Returns whether its session got other tokens or was logged out meanwhile, so that it wrote
    /// nothing of what came of it.
    fn was_overtaken(&self, exchange: &Exchange) -> bool {
        self.operations.iter().any(|one| {
            let ended = one.ended.is_none_or(|(line, _)| line > exchange.begun);
            one.session == exchange.session && one.wish != Wish::Login && ended
        })
    }

    /// Returns whether a refresh token that was in doubt at `line` may be tried: a login cannot be
    /// had, or the server was seen to leave refresh tokens as they are.
    fn may_try(&self, session: usize, line: usize) -> bool {
        let was_refused = |exchange: &Exchange| {
            exchange.session == session
                && exchange.action == Action::Login
                && exchange.begun > line
                && exchange.known() == Some(Meaning::Misconfigured)
        };
        let was_left = |exchange: &Exchange| {
            exchange.action == Action::Refresh
                && exchange.kept()
                && matches!(exchange.known(), Some(Meaning::Tokens(_)))
        };
        let cannot_log_in = !self.setup.can_login || self.sessions[session].password != Password::NeverRefused;
        cannot_log_in || self.exchanges.iter().any(|exchange| was_refused(exchange) || was_left(exchange))
    }

    fn wishes(&self, session: usize, wish: Wish) -> bool {
        let mut operations = self.operations.iter();
        operations.any(|one| one.session == session && one.wish == wish && one.ended.is_none())
    }

    /// Returns whether somebody logged in, or is about to, since a logout began at `line`.
    pub(crate) fn came_back_since(&self, line: usize) -> bool {
        let mut operations = self.operations.iter();
        operations
            .any(|one| one.wish != Wish::Logout && one.ended.is_none_or(|(ended, succeeded)| succeeded && ended > line))
    }

    /// Before a token is taken for served.
    pub(crate) fn check_served(&mut self, call: &Call, access: &Access) {
        let Call { session, begun, asked, newest, rejected } = *call;
        let number = access.number;
        // A token that has expired by its hints when it comes goes to those who wait for it.
        let was_on_the_way = number <= self.sessions[session].on_the_way;
        let has_ended = |told: &Duration| asked >= *told && !was_on_the_way;
        if let Some(told) = access.told.filter(|told| has_ended(told) && !self.is_known_by_old_clock(session, number)) {
            let what = format!("s{session} serves A{number} until {told:?} to one who asked at {asked:?}");
            self.broken(Promise::NoExpiredToken, what);
        }
        // Of two adoptions at once, in two sessions, the one that is written last stays.
        let is_adopted = access.by.is_none() && self.setup.shares_store();
        let is_excused = self.amnesia || is_adopted;
        if number < newest && !is_excused && !self.adopted_since(begun) {
            self.broken(Promise::NoOlderToken, format!("s{session} serves A{number} after A{newest}"));
        }
        if rejected == Some(number) {
            self.broken(Promise::NoRejectedToken, format!("s{session} answers a 401 to A{number} with A{number}"));
        }
        // A session that has just been built serves captured tokens until it has read its store.
        let is_starting = self.setup.captured && number == 1 && !self.sessions[session].knows_logout;
        if let Some(line) = self.sessions[session].logged_out.filter(|&line| begun > line)
            && !self.came_back_since(line)
            && !is_starting
        {
            let what = format!("s{session} serves A{number}, and was logged out at line {line}");
            self.broken(Promise::NothingAfterLogout, what);
        }
    }

    /// Returns whether older tokens may have come by a user's wish since `line`.
    fn adopted_since(&self, line: usize) -> bool {
        let mut operations = self.operations.iter();
        operations.any(|one| one.wish == Wish::Adopt && one.ended.is_none_or(|(ended, _)| ended > line))
    }

    /// After a call that got no token.
    pub(crate) fn check_failure(&mut self, call: &Call, kind: ErrorKind) {
        let log = &self.sessions[call.session];
        if kind == ErrorKind::ReauthenticationRequired {
            let is_dead = log.dead_end_at.is_some_and(|at| at >= log.revived_at || log.revived_at >= call.begun);
            if !is_dead {
                let what = format!("s{} asks for a login that it does not need", call.session);
                self.broken(Promise::NoFalseAlarm, what);
            }
        }
        // A store that shows an older entry may show an older logout. To a session whose adoption
        // could not be written, each logout that it had not seen before is later.
        let is_unwritten = |one: &Operation| one.session == call.session && matches!(one.ended, Some((_, false)));
        let is_lost = self.operations.iter().any(|one| one.wish == Wish::Adopt && is_unwritten(one));
        let may_be_older = (self.amnesia || is_lost) && self.operations.iter().any(|one| one.wish == Wish::Logout);
        if kind == ErrorKind::LoggedOut && !self.logged_out_before(call.session, call.begun) && !may_be_older {
            let what = format!("s{} is logged out, and nobody said so", call.session);
            self.broken(Promise::NoLogoutWithoutReason, what);
        }
    }

    /// Returns whether somebody logged out since the session's last login that had ended at `line`.
    fn logged_out_before(&self, session: usize, line: usize) -> bool {
        let own = self.operations.iter().filter(|one| one.session == session && one.wish != Wish::Logout);
        let back = own.filter(|one| one.ended.is_some_and(|(ended, succeeded)| succeeded && ended < line));
        let back = back.map(|one| one.begun).max().unwrap_or(0);
        let mut logouts = self.operations.iter().filter(|one| one.wish == Wish::Logout);
        logouts.any(|logout| {
            let concerns = logout.session == session || self.setup.shares_store();
            // One that could not be written is written later.
            concerns && logout.ended.is_none_or(|(ended, succeeded)| ended > back || !succeeded)
        })
    }

    pub(crate) fn check_event(&mut self, session: usize, event: &Event) {
        match event {
            Event::Renewed | Event::Adopted => {
                if let Some(line) = self.sessions[session].told_logout
                    && !self.came_back_since(line)
                {
                    let what = format!("s{session} tells of tokens after the logout at line {line}");
                    self.broken(Promise::EventsInOrder, what);
                }
            }
            Event::LoggedOut => self.check_logged_out(session),
            Event::ReauthenticationRequired(_) => {
                let log = &mut self.sessions[session];
                log.alarms += 1;
                if log.alarms > log.dead_ends {
                    let what = format!("s{session} tells that it needs a login, and has what it needs");
                    self.broken(Promise::NoFalseAlarm, what);
                }
            }
            _ => {}
        }
    }

    /// Finds the logout that an event tells of: the session's own if it has one that was not told
    /// of, else the first that was not.
    fn check_logged_out(&mut self, session: usize) {
        let told = self.sessions[session].told_logout;
        let logouts = self.operations.iter().filter(|one| one.wish == Wish::Logout);
        let logouts: Vec<_> = logouts.map(|one| (one.begun, one.session)).collect();
        let untold = |&&(line, _): &&(usize, usize)| told.is_none_or(|told| line > told);
        let own = logouts.iter().filter(untold).rfind(|&&(_, of)| of == session);
        let others = || logouts.iter().find(untold).or(logouts.last());
        if let Some(&(line, _)) = own.or_else(others) {
            self.sessions[session].told_logout = Some(line);
            return;
        }
        let what = format!("s{session} tells of a logout, and nobody logged out");
        self.broken(Promise::NoLogoutWithoutReason, what);
    }
}
