//! What the members of a fleet ask for and hold, and what is derived from it when a pass begins.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::portion::Portion;

/// What must be known of an account. A tag is a number that the caller chose.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool::fleet) struct AccountNeed<'a> {
    /// How many units can be held of it by all members together.
    pub(in crate::pool::fleet) units: u32,
    pub(in crate::pool::fleet) tags: &'a [u32],
    /// Whether calls can be made with it: it has a token and is not in quarantine.
    pub(in crate::pool::fleet) serves: bool,
}

/// What must be known of a member. The counts should be smoothed over the pauses of callers: what
/// nobody asks for moves away.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool::fleet) struct MemberNeed<'a> {
    /// How many callers wait or hold leases, by the tag that they asked for (`None`: any account).
    pub(in crate::pool::fleet) demand: &'a [(Option<u32>, u32)],
    /// Accounts that callers' keys belong to, with how many callers.
    pub(in crate::pool::fleet) wanted: &'a [(u32, u32)],
    /// What the member holds now.
    pub(in crate::pool::fleet) holds: &'a [Holding],
    /// For how many milliseconds callers have waited without a share that could serve them (those
    /// with keys included); 0 if none does. Only a member that waits takes a turn.
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

/// Part of an account, with its member; for each account they are ordered by member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AssignedShare {
    pub(super) member: usize,
    pub(super) units: u32,
    pub(super) held: u32,
}

/// What is held, by account: never more than the account has.
pub(super) fn held_shares(accounts: &[AccountNeed<'_>], members: &[MemberNeed<'_>]) -> Vec<Vec<AssignedShare>> {
    let mut shares = vec![Vec::<AssignedShare>::new(); accounts.len()];
    for (member, need) in members.iter().enumerate() {
        for holding in need.holds {
            let Some(account) = accounts.get(holding.account as usize) else { continue };
            let shares = &mut shares[holding.account as usize];
            let left = account.units - shares.iter().map(|share| share.units).sum::<u32>();
            let units = holding.units.min(left);
            match shares.last_mut() {
                Some(last) if last.member == member => last.units += units,
                _ if units > 0 => shares.push(AssignedShare { member, units, held: holding.held }),
                _ => {}
            }
        }
    }
    shares
}

/// The member that has most of an account.
pub(super) fn main_holder(shares: &[AssignedShare]) -> Option<usize> {
    shares.iter().max_by_key(|share| (share.units, Reverse(share.member))).map(|share| share.member)
}

/// What a member asks for with one selector: a tag, or any account.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemberDemand {
    pub(super) member: usize,
    pub(super) selector: usize,
    pub(super) weight: u64,
    /// How many demands of the same member come first.
    pub(super) rank: usize,
}

/// What is known when a round begins.
#[derive(Debug)]
pub(super) struct Needs<'a> {
    pub(super) accounts: &'a [AccountNeed<'a>],
    pub(super) members: &'a [MemberNeed<'a>],
    pub(super) slice: u32,
    /// By rank, then by how long their members have starved.
    pub(super) demands: Vec<MemberDemand>,
    pub(super) demands_of: Vec<Vec<usize>>,
    /// By selector: the accounts that serve it, those first that are missed least where they are.
    pub(super) accounts_of: Vec<Vec<usize>>,
    /// By account: the selectors that it serves.
    pub(super) selectors_of: Vec<Vec<usize>>,
    /// By account: the members whose callers' keys belong to it, with how many callers.
    pub(super) wanted: BTreeMap<usize, Vec<(usize, u64)>>,
}

impl<'a> Needs<'a> {
    pub(super) fn new(
        accounts: &'a [AccountNeed<'a>],
        members: &'a [MemberNeed<'a>],
        slice: u32,
        shares: &[Vec<AssignedShare>],
    ) -> Self {
        let mut numbers = BTreeMap::new();
        for &(tag, count) in members.iter().flat_map(|member| member.demand) {
            let number = numbers.len();
            if count > 0 {
                numbers.entry(tag).or_insert(number);
            }
        }
        let mut accounts_of = vec![Vec::new(); numbers.len()];
        let mut selectors_of = vec![Vec::new(); accounts.len()];
        let by_use = by_use(accounts, members, shares);
        for &account in by_use.iter().filter(|&&account| accounts[account].serves) {
            let tags = accounts[account].tags.iter().copied().map(Some);
            let mut selectors: Vec<usize> = tags.chain([None]).filter_map(|tag| numbers.get(&tag).copied()).collect();
            selectors.sort_unstable();
            selectors.dedup();
            for &selector in &selectors {
                accounts_of[selector].push(account);
            }
            selectors_of[account] = selectors;
        }
        let demands = demands(members, &numbers, &accounts_of);
        let mut demands_of = vec![Vec::new(); members.len()];
        for (index, demand) in demands.iter().enumerate() {
            demands_of[demand.member].push(index);
        }
        let mut wanted = BTreeMap::<usize, BTreeMap<usize, u64>>::new();
        for (member, need) in members.iter().enumerate() {
            for &(account, count) in need.wanted {
                let account = account as usize;
                if count > 0 && accounts.get(account).is_some_and(|account| account.serves && account.units > 0) {
                    *wanted.entry(account).or_default().entry(member).or_default() += u64::from(count);
                }
            }
        }
        let wanted = wanted.into_iter().map(|(account, by)| (account, by.into_iter().collect())).collect();
        Self { accounts, members, slice, demands, demands_of, accounts_of, selectors_of, wanted }
    }

    pub(super) fn serves(&self, account: usize, demand: usize) -> bool {
        self.selectors_of[account].contains(&self.demands[demand].selector)
    }

    pub(super) fn wants(&self, member: usize, account: usize) -> bool {
        self.wanted.get(&account).is_some_and(|by| by.iter().any(|&(wanting, _)| wanting == member))
    }

    pub(super) fn capacity(&self, account: usize) -> usize {
        self.accounts[account].units as usize
    }
}

/// The accounts, those first that nobody holds, then those of members that have most for their
/// demand.
pub(super) fn by_use(
    accounts: &[AccountNeed<'_>],
    members: &[MemberNeed<'_>],
    shares: &[Vec<AssignedShare>],
) -> Vec<usize> {
    let mut use_of = vec![u64::MAX; accounts.len()];
    let mut counts = vec![0_u64; members.len()];
    for (account, shares) in shares.iter().enumerate() {
        if let Some(share) = shares.iter().max_by_key(|share| (share.units, Reverse(share.member))) {
            counts[share.member] += 1;
            let weight: u64 = members[share.member].demand.iter().map(|&(_, count)| u64::from(count)).sum();
            let portion = Portion { count: counts[share.member], weight };
            use_of[account] = if weight == 0 { u64::MAX - 1 } else { portion.last() };
        }
    }
    let mut order: Vec<usize> = (0..accounts.len()).filter(|&account| accounts[account].units > 0).collect();
    order.sort_by_key(|&account| Reverse(use_of[account]));
    order
}

pub(super) fn demands(
    members: &[MemberNeed<'_>],
    numbers: &BTreeMap<Option<u32>, usize>,
    accounts_of: &[Vec<usize>],
) -> Vec<MemberDemand> {
    let mut demands = Vec::new();
    for (member, need) in members.iter().enumerate() {
        let mut weights = BTreeMap::<_, u64>::new();
        for &(tag, count) in need.demand.iter().filter(|&&(_, count)| count > 0) {
            // The tag that fewest accounts have comes first.
            let selector = numbers[&tag];
            *weights.entry((accounts_of[selector].len(), selector)).or_default() += u64::from(count);
        }
        let servable = weights.into_iter().filter(|&((accounts, _), _)| accounts > 0);
        demands.extend(servable.enumerate().map(|(rank, ((_, selector), weight))| MemberDemand {
            member,
            selector,
            weight,
            rank,
        }));
    }
    demands.sort_by_key(|demand| (demand.rank, Reverse(members[demand.member].starved)));
    demands
}
