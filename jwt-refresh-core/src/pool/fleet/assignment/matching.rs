//! Which demand has which account.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::held::HeldAccounts;
use super::needs::Needs;

/// A matching of demands with accounts.
#[derive(Debug)]
pub(super) struct Matching {
    /// By account: the demands that have it.
    pub(super) users: Vec<Vec<usize>>,
    /// By demand: the account it has.
    pub(super) home: Vec<Option<usize>>,
    /// By selector: whether its accounts are all in use, and the demands that use them have nowhere
    /// else to go.
    pub(super) crowded: Vec<bool>,
    /// Demands without an account, whose members hold one that serves them for another demand.
    pub(super) guests: BTreeSet<usize>,
    /// By selector: the accounts before this one are full.
    pub(super) full: Vec<usize>,
}

impl Matching {
    /// Matches as many demands as can be, each with one account of which `capacity` demands can
    /// have part.
    pub(super) fn of(
        held: &HeldAccounts<'_>,
        competes: impl Fn(usize) -> bool,
        capacity: impl Fn(usize) -> usize,
    ) -> Self {
        let needs = held.needs;
        let mut matching = Self {
            users: vec![Vec::new(); needs.accounts.len()],
            home: vec![None; needs.demands.len()],
            crowded: vec![false; needs.accounts_of.len()],
            guests: BTreeSet::new(),
            full: vec![0; needs.accounts_of.len()],
        };
        let mut start = 0;
        for same_rank in needs.demands.chunk_by(|one, other| one.rank == other.rank) {
            let ranked: Range<usize> = start..start + same_rank.len();
            start = ranked.end;
            let mut keeping: Vec<usize> = ranked.clone().filter(|&demand| competes(demand)).collect();
            // Those that have least to choose from come first.
            keeping.sort_by_key(|&demand| {
                let member = needs.demands[demand].member;
                (held.held_by[member].len(), member)
            });
            for demand in keeping {
                if let Some(account) = held.kept(demand, |account| matching.users[account].len() < capacity(account)) {
                    matching.place(demand, account);
                }
            }
            for demand in ranked.filter(|&demand| competes(demand)) {
                if matching.home[demand].is_some() {
                    continue;
                }
                if let Err(in_the_way) = matching.augment(held, demand, &capacity) {
                    let siblings = &needs.demands_of[needs.demands[demand].member];
                    let mut homes = siblings.iter().filter_map(|&sibling| matching.home[sibling]);
                    if homes.any(|home| needs.serves(home, demand)) {
                        matching.guests.insert(demand);
                    } else {
                        for selector in in_the_way {
                            matching.crowded[selector] = true;
                        }
                    }
                }
            }
        }
        matching
    }

    pub(super) fn place(&mut self, demand: usize, account: usize) {
        self.users[account].push(demand);
        if let Some(former) = self.home[demand].replace(account) {
            self.users[former].retain(|&user| user != demand);
        }
    }

    /// An account with room, the emptiest.
    fn room(&mut self, needs: &Needs<'_>, selector: usize, capacity: &impl Fn(usize) -> usize) -> Option<usize> {
        let accounts = &needs.accounts_of[selector];
        let has_room = |account: usize| self.users[account].len() < capacity(account);
        let full = &mut self.full[selector];
        *full += accounts[*full..].iter().take_while(|&&account| !has_room(account)).count();
        let first = *accounts.get(*full)?;
        if self.users[first].is_empty() {
            return Some(first);
        }
        let rest = accounts[*full..].iter().copied().filter(|&account| has_room(account));
        rest.min_by_key(|&account| self.users[account].len())
    }

    /// Finds an account for `demand`, if need be by moving others (an augmenting path). What stands
    /// in the way otherwise are the selectors returned: those of all demands that could make room.
    fn augment(
        &mut self,
        held: &HeldAccounts<'_>,
        demand: usize,
        capacity: &impl Fn(usize) -> usize,
    ) -> Result<(), Vec<usize>> {
        let needs = held.needs;
        let selector_of = |demand: usize| needs.demands[demand].selector;
        let start = selector_of(demand);
        let mut queue = vec![start];
        // By selector: a demand with it that can make room, for one with another selector.
        let mut moves = HashMap::from([(start, (demand, start))]);
        let mut next = 0;
        while let Some(&selector) = queue.get(next) {
            next += 1;
            if self.crowded[selector] {
                continue;
            }
            if let Some(free) = self.room(needs, selector, capacity) {
                let kept = held.kept(moves[&selector].0, |account| self.users[account].len() < capacity(account));
                let (mut free, mut at) = (kept.unwrap_or(free), selector);
                while at != start {
                    let (user, came_from) = moves[&at];
                    let left = self.home[user];
                    self.place(user, free);
                    (free, at) = (left.unwrap_or(free), came_from);
                }
                self.place(demand, free);
                return Ok(());
            }
            for &user in needs.accounts_of[selector].iter().flat_map(|&account| &self.users[account]) {
                moves.entry(selector_of(user)).or_insert_with(|| {
                    queue.push(selector_of(user));
                    (user, selector)
                });
            }
        }
        Err(queue)
    }
}
