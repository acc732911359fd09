//! What the members of a fleet ask for and hold, and what is derived from it when a pass begins.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::division::Portion;

/// What must be known of an account. A tag is a number that the caller chose.
#[derive(Clone, Debug)]
pub(in crate::pool::fleet) struct AccountNeed {
    /// How many units can be held of it by all members together.
    pub(in crate::pool::fleet) units: u32,
    pub(in crate::pool::fleet) tags: Vec<u32>,
    /// Whether calls can be made with it: it has a token and is not in quarantine.
    pub(in crate::pool::fleet) serves: bool,
}

/// What must be known of a member. The counts should be smoothed over the pauses of callers: what
/// nobody asks for moves away.
#[derive(Clone, Debug, Default)]
pub(in crate::pool::fleet) struct MemberNeed {
    /// Callers that wait or hold leases, by the tag that they asked for (`None`: any account).
    pub(in crate::pool::fleet) demand: Vec<(Option<u32>, CallersNeed)>,
    /// Callers whose keys belong to one account, by account.
    pub(in crate::pool::fleet) wanted: Vec<(u32, CallersNeed)>,
    /// What the member holds now, each account once.
    pub(in crate::pool::fleet) holds: Vec<Holding>,
    pub(in crate::pool::fleet) turns: Turns,
}

/// How much is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pool::fleet) struct CallersNeed {
    /// By how many callers.
    pub(in crate::pool::fleet) count: u32,
    /// For how many milliseconds they have waited without a share that could serve them; 0 if there
    /// is one. Only those that wait take turns.
    pub(in crate::pool::fleet) starved: u32,
}

/// What a member holds of an account.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool::fleet) struct Holding {
    pub(in crate::pool::fleet) account: u32,
    pub(in crate::pool::fleet) units: u32,
    /// Milliseconds since it was granted.
    pub(in crate::pool::fleet) held: u32,
}

/// An account that a member has got for callers that starved, after what these had asked for. Only
/// others that starve take it away, even if they can use nothing else.
pub(in crate::pool::fleet) type Turn = (AccountSelector, u32);
pub(in crate::pool::fleet) type Turns = BTreeSet<Turn>;

/// What is held of each account, never more than it has: members, in their order, with how many
/// units.
pub(super) type AssignedShares = Vec<Vec<(usize, u32)>>;

pub(super) fn held_shares(accounts: &[AccountNeed], members: &[MemberNeed]) -> AssignedShares {
    let mut shares: AssignedShares = vec![Vec::new(); accounts.len()];
    for (member, need) in members.iter().enumerate() {
        for holding in &need.holds {
            let Some(account) = accounts.get(holding.account as usize) else { continue };
            let shares = &mut shares[holding.account as usize];
            let left = account.units - shares.iter().map(|&(_, units)| units).sum::<u32>();
            if left > 0 && holding.units > 0 {
                shares.push((member, holding.units.min(left)));
            }
        }
    }
    shares
}

/// Which accounts serve: one, to which callers' keys belong, those with a tag, or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::pool::fleet) enum AccountSelector {
    Key(u32),
    Tag(u32),
    Any,
}

/// What a member asks for with one selector.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemberDemand {
    pub(super) member: usize,
    pub(super) selector: usize,
    pub(super) weight: u64,
    /// For how many milliseconds it has not been served.
    pub(super) starved: u32,
    /// Those of lower rank find homes first.
    pub(super) rank: usize,
}

/// What is known when a pass begins.
#[derive(Debug)]
pub(super) struct Needs<'a> {
    pub(super) accounts: &'a [AccountNeed],
    pub(super) members: &'a [MemberNeed],
    pub(super) slice: u32,
    pub(super) shares: &'a AssignedShares,
    turns: &'a [Turns],
    /// By rank, then by how long they have starved, then by weight.
    pub(super) demands: Vec<MemberDemand>,
    pub(super) demands_of: Vec<Vec<usize>>,
    pub(super) selectors: Vec<AccountSelector>,
    /// By selector: the accounts that serve it, those first that are missed least where they are.
    pub(super) accounts_of: Vec<Vec<usize>>,
    /// By account: the selectors that it serves.
    pub(super) selectors_of: Vec<Vec<usize>>,
    /// By member: the accounts it holds.
    held_by: Vec<Vec<usize>>,
}

impl<'a> Needs<'a> {
    pub(super) fn new(
        accounts: &'a [AccountNeed],
        members: &'a [MemberNeed],
        slice: u32,
        (shares, turns): (&'a AssignedShares, &'a [Turns]),
    ) -> Self {
        let selectors: BTreeSet<AccountSelector> =
            members.iter().flat_map(asked).map(|(selector, _)| selector).collect();
        let mut needs = Self {
            accounts,
            members,
            slice,
            shares,
            turns,
            demands: Vec::new(),
            demands_of: vec![Vec::new(); members.len()],
            accounts_of: vec![Vec::new(); selectors.len()],
            selectors: selectors.into_iter().collect(),
            selectors_of: vec![Vec::new(); accounts.len()],
            held_by: vec![Vec::new(); members.len()],
        };
        needs.select();
        needs.demand();
        for (account, shares) in shares.iter().enumerate() {
            for &(member, _) in shares {
                needs.held_by[member].push(account);
            }
        }
        needs
    }

    /// Finds out which account serves which selectors.
    fn select(&mut self) {
        for account in self.by_use() {
            let tags = self.accounts[account].tags.iter().map(|&tag| AccountSelector::Tag(tag));
            let selectors = tags.chain([AccountSelector::Any, AccountSelector::Key(number(account))]);
            let mut asked: Vec<usize> =
                selectors.filter_map(|selector| self.selectors.binary_search(&selector).ok()).collect();
            asked.sort_unstable();
            asked.dedup();
            for &selector in &asked {
                self.accounts_of[selector].push(account);
            }
            self.selectors_of[account] = asked;
        }
    }

    /// The accounts that serve, those first that nobody holds, then those of members that have most
    /// for their demand.
    fn by_use(&self) -> Vec<usize> {
        let weight = |need: &MemberNeed| asked(need).map(|(_, asked)| u64::from(asked.count)).sum();
        let portion = |need: &MemberNeed| Portion { count: 0, weight: weight(need) };
        let mut portions: Vec<Portion> = self.members.iter().map(portion).collect();
        let mut order = Vec::new();
        for (account, _) in self.accounts.iter().enumerate().filter(|(_, need)| need.serves && need.units > 0) {
            let missed = self.shares[account].first().map(|&(member, _)| {
                portions[member].count += 1;
                if portions[member].weight == 0 { u64::MAX } else { portions[member].last() }
            });
            order.push((missed.is_some(), Reverse(missed), account));
        }
        order.sort_unstable();
        order.into_iter().map(|(.., account)| account).collect()
    }

    /// Finds out what each member asks for: first what it has a turn of, then what fewest accounts
    /// serve. Keys join others last, unless the member is alone at an account of one unit: only a
    /// turn takes that from it.
    fn demand(&mut self) {
        for (member, need) in self.members.iter().enumerate() {
            let mut wishes = BTreeMap::<_, (u64, u32)>::new();
            for (selector, asked) in asked(need) {
                let joins = matches!(selector, AccountSelector::Key(account) if !self.is_alone_at(member, account));
                let Ok(selector) = self.selectors.binary_search(&selector) else { continue };
                let wish = wishes.entry((joins, self.accounts_of[selector].len(), selector)).or_default();
                *wish = (wish.0 + u64::from(asked.count), wish.1.max(asked.starved));
            }
            let servable = wishes.into_iter().filter(|&((_, accounts, _), _)| accounts > 0).enumerate();
            for (before, ((joins, _, selector), (weight, starved))) in servable {
                let rank = match self.is_key(selector) {
                    _ if self.has_turn(member, selector) => 0,
                    true if joins => usize::MAX,
                    true => 0,
                    false => before,
                };
                self.demands.push(MemberDemand { member, selector, weight, starved, rank });
            }
        }
        self.demands.sort_by_key(|demand| (demand.rank, Reverse((demand.starved, demand.weight))));
        for (index, demand) in self.demands.iter().enumerate() {
            self.demands_of[demand.member].push(index);
        }
    }

    /// Whether a member has an account by turn for what `selector` stands for.
    fn has_turn(&self, member: usize, selector: usize) -> bool {
        let selector = self.selectors[selector];
        let holds = |account: u32| {
            let shares = self.shares.get(account as usize);
            shares.is_some_and(|shares| shares.iter().any(|&(holder, _)| holder == member))
        };
        let turns = self.turns[member].range((selector, 0)..=(selector, u32::MAX));
        turns.into_iter().any(|&(_, account)| holds(account))
    }

    /// Whether a member holds an account of one unit, which none can share.
    fn is_alone_at(&self, member: usize, account: u32) -> bool {
        let account = account as usize;
        self.shares.get(account).is_some_and(|shares| *shares == [(member, 1)]) && self.accounts[account].units == 1
    }

    /// The accounts that the member of `demand` holds and may keep for it.
    pub(super) fn held_for(&self, demand: usize) -> impl Iterator<Item = usize> {
        let held = self.held_by[self.demands[demand].member].iter().copied();
        held.filter(move |&account| self.serves(account, demand))
    }

    /// For how many milliseconds the member of `demand` has held an account.
    pub(super) fn held(&self, demand: usize, account: usize) -> u32 {
        let mut holds = self.members[self.demands[demand].member].holds.iter();
        holds.find(|holding| holding.account as usize == account).map_or(0, |holding| holding.held)
    }

    /// Whether a selector stands for callers' keys.
    pub(super) fn is_key(&self, selector: usize) -> bool {
        matches!(self.selectors[selector], AccountSelector::Key(_))
    }

    pub(super) fn selector(&self, demand: usize) -> usize {
        self.demands[demand].selector
    }

    pub(super) fn serves(&self, account: usize, demand: usize) -> bool {
        self.selectors_of[account].contains(&self.demands[demand].selector)
    }

    pub(super) fn units(&self, account: usize) -> usize {
        self.accounts[account].units as usize
    }
}

/// Returns the number by which others know an account.
pub(super) fn number(account: usize) -> u32 {
    u32::try_from(account).unwrap_or(u32::MAX)
}

/// What a member asks for, and how much.
fn asked(member: &MemberNeed) -> impl Iterator<Item = (AccountSelector, CallersNeed)> {
    let demand =
        member.demand.iter().map(|&(tag, asked)| (tag.map_or(AccountSelector::Any, AccountSelector::Tag), asked));
    let wanted = member.wanted.iter().map(|&(account, asked)| (AccountSelector::Key(account), asked));
    demand.chain(wanted).filter(|(_, asked)| asked.count > 0)
}
