//! The accounts that come and go.

use std::sync::Arc;

use super::{NEVER, State, configuration};
use crate::Error;
use crate::pool::account::Account;
use crate::pool::member::Member;
use crate::pool::quarantine::{Cause, Quarantine};
use crate::pool::schedule::{Line, Place};
use crate::pool::terms::Terms;

impl State {
    /// Takes the account, unless it is refused: what its user gave it must not be dropped under the lock.
    pub(in crate::pool) fn add(&mut self, offered: &mut Option<Account>, now: i64) -> Result<(), Error> {
        let Some(account) = offered else { return Ok(()) };
        let name = account.identity.name();
        if self.table.find(name).is_some() {
            let what = format!("the pool has an account {name:?} already (remove that first, or rename one)");
            return Err(configuration(what));
        }
        // Before anything is changed: the terms may be refused.
        account.terms(Box::default())?;
        let mut tags: Vec<Line> = account.tags.iter().map(|tag| self.line_of(tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let terms = self.shared(account.terms(tags.into())?);

        let Some(account) = offered.take() else { return Ok(()) };
        let member = Member::new(account.identity, terms, self.level, now);
        self.lines.come(member.lines());
        let slot = self.table.insert(member);
        self.ward.keep(slot, None, None);
        self.tally.causes.change(None, Some(Cause::Joining));
        self.set_timer(slot, Some(now));
        Ok(())
    }

    /// What there was of that name, to be dropped when the lock is given back.
    pub(in crate::pool) fn remove(&mut self, name: &str) -> Option<Member> {
        let slot = self.table.find(name)?;
        self.place(slot, Place::Aside);
        self.set_timer(slot, None);
        // Nobody waits for it any more, as if it were in quarantine for ever.
        self.confine(slot, Some(Quarantine { cause: Cause::Denied, until: Some(NEVER), error: None }));
        self.ward.release(slot, Some(NEVER));
        self.tally.causes.change(Some(Cause::Denied), None);
        let member = self.table.remove(slot)?;
        self.lines.go(member.lines());
        if member.token.is_some() {
            self.tally.token_gone(member.edges.expires);
        }
        // What an exchange under way leaves it with is seen when that has landed.
        if !member.in_exchange {
            self.part(&member.identity, member.grant());
        }
        Some(member)
    }

    fn line_of(&mut self, tag: &str) -> Line {
        if let Some(line) = self.lines.of(tag) {
            return line;
        }
        let line = self.schedule.add_line();
        self.lines.name(line, tag);
        line
    }

    fn shared(&mut self, terms: Terms) -> Arc<Terms> {
        match &self.terms {
            Some(last) if **last == terms => Arc::clone(last),
            _ => Arc::clone(self.terms.insert(Arc::new(terms))),
        }
    }
}
