//! What happened in a walk, line by line, and which promises were broken in it.

use std::fmt::Display;
use std::time::Duration;

/// What a session promises, as it is shown when it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    OneExchangeAtATime,
    OneRequestAnExchange,
    NoRefreshTokenTwice,
    NoRefusedPasswordTwice,
    NoLoginWithoutReason,
    NoExpiredToken,
    NoOlderToken,
    NoRejectedToken,
    NothingAfterLogout,
    NoLogoutWithoutReason,
    EventsInOrder,
    NoFalseAlarm,
    NobodyWaitsForEver,
    AliveAtTheEnd,
}

/// The lines, and what was broken.
#[derive(Debug, Default)]
pub(crate) struct History {
    lines: Vec<String>,
    broken: Vec<Promise>,
}

impl History {
    /// Adds a line. Returns its number, which later lines exceed.
    pub(crate) fn note(&mut self, now: Duration, what: impl Display) -> usize {
        self.lines.push(format!("{:>4} {:>9.2} s  {what}", self.lines.len(), now.as_secs_f64()));
        self.lines.len() - 1
    }

    /// Adds that a promise was broken.
    pub(crate) fn broken(&mut self, now: Duration, promise: Promise, what: impl Display) {
        self.note(now, format_args!("BROKEN {promise:?}: {what}"));
        self.broken.push(promise);
    }

    /// The number of the next line.
    pub(crate) fn next(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn first_broken(&self) -> Option<Promise> {
        self.broken.first().copied()
    }

    pub(crate) fn show(&self) -> String {
        self.lines.join("\n")
    }
}
