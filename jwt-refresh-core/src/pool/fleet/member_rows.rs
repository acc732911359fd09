//! What the coordinator knows of a member: what it has, and what it needs.

use std::collections::{BTreeMap, BTreeSet};

use super::assignment::{AccountNeed, AccountSelector, Holding, MemberNeed, Turns};
use super::messages::{MemberReport, ShareRow};
use super::starving::{Starving, millis};

/// A member, as the coordinator knows it.
#[derive(Default)]
pub(super) struct MemberRows {
    pub(super) until: u64,
    pub(super) report: MemberReport,
    pub(super) rows: BTreeMap<String, ShareRow>,
    /// The accounts whose rows were changed and are not written yet.
    pub(super) changed: BTreeSet<String>,
    /// Whether all rows are to be written anew.
    pub(super) is_fresh: bool,
    /// When `until` was last another, in microseconds since boot.
    pub(super) heard: u64,
    /// Whether Redis has lost until when it may use its shares.
    pub(super) is_forgotten: bool,
    /// The last question of its that was answered.
    pub(super) answered: Option<u64>,
    /// The units that it gets once those that have them have given them back. Without this the next
    /// round might think of somebody else, and the one after that again.
    pub(super) promised: BTreeMap<String, u32>,
    /// The accounts that it has by turn, with what the callers ask for.
    turns: BTreeSet<(String, AskedBy)>,
    /// By tag, and by the account that callers' keys belong to.
    starving: (Starving<Option<String>>, Starving<String>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum AskedBy {
    Key,
    Tag(Option<String>),
}

impl MemberRows {
    /// Whether it asks what it holds, and was not answered yet.
    pub(super) fn asks(&self) -> bool {
        self.report.asks.is_some() && self.report.asks != self.answered
    }

    /// Plans to tell it all that it holds.
    pub(super) fn answer(&mut self) {
        self.answered = self.report.asks;
        self.changed = self.rows.keys().cloned().collect();
        self.is_fresh = true;
    }

    /// Returns what the member needs, in the numbers of the assignment. `now` is a time on the
    /// clock of grants.
    pub(super) fn need(
        &mut self,
        (names, tags): (&[&String], &[&String]),
        accounts: &[AccountNeed],
        now: u64,
    ) -> MemberNeed {
        let holds = self.holds(names, now);
        let is_served = |tag: Option<u32>| {
            let mut held = holds.iter().map(|held| &accounts[held.account as usize]).filter(|account| account.serves);
            held.any(|account| tag.is_none_or(|tag| account.tags.contains(&tag)))
        };
        let look = |tag: &Option<String>| {
            let tag = match tag {
                Some(tag) => Some(number(tags, tag)?),
                None => None,
            };
            Some((tag, is_served(tag)))
        };
        let look_at_key = |account: &String| {
            let account = number(names, account)?;
            Some((account, holds.iter().any(|held| held.account == account)))
        };
        let (by_tag, by_key) = &mut self.starving;
        let demand = by_tag.take(&self.report.demand, now, look);
        let wanted = by_key.take(&self.report.wanted, now, look_at_key);
        let mut need = MemberNeed { demand, wanted, holds, turns: self.turns(names, tags) };
        self.count_promised(&mut need, names);
        need
    }

    /// What it has, in the order of accounts.
    fn holds(&self, names: &[&String], now: u64) -> Vec<Holding> {
        let holding = |(account, row): (&String, &ShareRow)| {
            let held = millis(now.saturating_sub(row.grant));
            Some(Holding { account: number(names, account)?, units: row.units, held })
        };
        self.rows.iter().filter(|(_, row)| row.units > 0).filter_map(holding).collect()
    }

    /// Counts what it was promised as held.
    fn count_promised(&self, need: &mut MemberNeed, names: &[&String]) {
        let mut new = Vec::new();
        for (account, &units) in &self.promised {
            let Some(account) = number(names, account) else { continue };
            match need.holds.binary_search_by_key(&account, |held| held.account) {
                Ok(at) => need.holds[at].units += units,
                Err(_) => new.push(Holding { account, units, held: 0 }),
            }
        }
        need.holds.append(&mut new);
        need.holds.sort_by_key(|held| held.account);
    }

    fn turns(&self, names: &[&String], tags: &[&String]) -> Turns {
        let turn = |(account, by): &(String, AskedBy)| {
            let account = number(names, account)?;
            let selector = match by {
                AskedBy::Key => AccountSelector::Key(account),
                AskedBy::Tag(None) => AccountSelector::Any,
                AskedBy::Tag(Some(tag)) => AccountSelector::Tag(number(tags, tag)?),
            };
            Some((selector, account))
        };
        self.turns.iter().filter_map(turn).collect()
    }

    /// Notes which of its accounts it has by turn from now on.
    pub(super) fn set_turns(&mut self, turns: &Turns, names: &[&String], tags: &[&String]) {
        let turn = |&(selector, account): &(AccountSelector, u32)| {
            let by = match selector {
                AccountSelector::Key(_) => AskedBy::Key,
                AccountSelector::Any => AskedBy::Tag(None),
                AccountSelector::Tag(tag) => AskedBy::Tag(Some(tags[tag as usize].clone())),
            };
            (names[account as usize].clone(), by)
        };
        self.turns = turns.iter().map(turn).collect();
    }
}

/// Returns the number of a name in their order.
pub(super) fn number(names: &[&String], name: &String) -> Option<u32> {
    names.binary_search(&name).ok().and_then(|at| u32::try_from(at).ok())
}
