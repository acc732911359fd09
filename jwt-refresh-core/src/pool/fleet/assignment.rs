//! Who holds how much of which account: a pure function of what the members of a fleet hold and ask
//! for.
//!
//! What a member asks for with one tag is a *demand*. First, each demand is matched with an account
//! of its own (a maximum matching, begun with what is held, so that it moves as little as
//! possible). Where all find one, accounts stay whole: the rest goes to the demands that have least
//! for their weight, one account at a time, which is Webster's method of dividing seats. The
//! demands that do not find one, and those that compete with them, are *crowded*: they divide the
//! units of their accounts, and where there are fewer units than demands, they take turns. Accounts
//! that no demand can use are spread evenly.
//!
//! What is held moves only when a change of a fifth in each of two demands could not explain the
//! difference between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use self::crowd::Crowd;
use self::held::HeldAccounts;
use self::matching::Matching;
use self::needs::{AssignedShare, MemberDemand, Needs, held_shares, main_holder};
use self::portion::{Portion, seat_weight};
use self::whole::Whole;

pub(super) use self::needs::{AccountNeed, Holding, MemberNeed};

mod crowd;
mod held;
mod matching;
mod needs;
mod portion;
mod whole;

/// Divides `accounts` among `members`: for each member, the accounts it shall hold and how many
/// units of each, by account. A holding of which there are too few is left to its member for
/// `slice` milliseconds.
pub(super) fn assign(
    accounts: &[AccountNeed<'_>],
    members: &[MemberNeed<'_>],
    slice: u32, // ms
) -> Vec<Vec<(u32, u32)>> {
    // A pass may open a way for the next one: B takes from A what C could not take, then C takes
    // from B. Few need a third. Where several divisions are as good as each other, passes may go
    // round: then the first of those is taken, so that the next call finds it as it is.
    const MAX_PASSES: usize = 64;
    let mut passed = vec![held_shares(accounts, members)];
    let shares = loop {
        let shares = &passed[passed.len() - 1];
        let next = Pass::new(&Needs::new(accounts, members, slice, shares), shares).run();
        if let Some(known) = passed.iter().position(|known| is_same(known, &next)) {
            break passed.swap_remove(known);
        }
        if passed.len() == MAX_PASSES {
            break next;
        }
        passed.push(next);
    };
    let mut assigned = vec![Vec::new(); members.len()];
    for (account, shares) in (0..).zip(&shares) {
        for share in shares {
            assigned[share.member].push((account, share.units));
        }
    }
    assigned
}

/// Whether the same members have the same units, for however long.
fn is_same(one: &[Vec<AssignedShare>], other: &[Vec<AssignedShare>]) -> bool {
    let units = |shares: &AssignedShare| (shares.member, shares.units);
    one.iter().zip(other).all(|(one, other)| one.iter().map(units).eq(other.iter().map(units)))
}

/// One pass over all accounts.
struct Pass<'w> {
    needs: &'w Needs<'w>,
    shares: &'w [Vec<AssignedShare>],
    held: HeldAccounts<'w>,
    /// By account: the members that shall hold it, with their weight.
    users: Vec<Vec<(usize, u64)>>,
}

impl<'w> Pass<'w> {
    fn new(needs: &'w Needs<'w>, shares: &'w [Vec<AssignedShare>]) -> Self {
        Self { needs, shares, held: HeldAccounts::new(needs, shares), users: vec![Vec::new(); needs.accounts.len()] }
    }

    fn run(mut self) -> Vec<Vec<AssignedShare>> {
        let needs = self.needs;
        let mut whole = Matching::of(&self.held, |_| true, |account| usize::from(!self.held.pinned.contains(&account)));
        let full = std::mem::take(&mut whole.crowded);
        let is_crowded = |account: usize| needs.selectors_of[account].iter().any(|&selector| full[selector]);
        let crowded: Vec<bool> =
            needs.accounts_of.iter().map(|accounts| accounts.iter().all(|&account| is_crowded(account))).collect();
        let holders = Whole::new(&self.held, &whole, is_crowded).divide();
        for (account, holder) in holders.into_iter().enumerate() {
            self.users[account].extend(holder);
        }

        let capacity = |account| {
            let divisible = is_crowded(account) && !self.held.pinned.contains(&account);
            if divisible { needs.capacity(account) } else { 0 }
        };
        let competes = |demand: usize| crowded[needs.demands[demand].selector];
        let divided = Matching::of(&self.held, competes, capacity);
        let mut crowd = Crowd::new(&self.held, &divided, capacity);
        crowd.even_out(capacity);
        let starves = |demand: &usize| crowd.served[*demand] == 0;
        let starving = (0..needs.demands.len()).filter(|&demand| competes(demand)).filter(starves).collect();
        let weights = |(account, users): (usize, &Vec<usize>)| -> Vec<(usize, u64)> {
            users.iter().map(|&member| (member, crowd.weight(member, account, 0))).collect()
        };
        let users: Vec<_> = crowd.users.iter().enumerate().map(weights).collect();
        for (account, users) in users.into_iter().enumerate() {
            self.users[account].extend(users);
        }
        for &account in &self.held.pinned {
            let share = self.shares[account][0];
            self.users[account].push((share.member, seat_weight(1, 1)));
        }
        self.take_turns(starving, is_crowded);
        self.serve_keys();
        self.spread_unused();
        let users = std::mem::take(&mut self.users);
        users.iter().enumerate().map(|(account, users)| self.divide_units(account, users)).collect()
    }

    /// The holding of a member that uses the account which was held longest, if that was for a
    /// slice.
    fn longest_held(&self, account: usize) -> Option<&'w AssignedShare> {
        let users = &self.users[account];
        let expired = self.shares[account].iter().filter(|share| share.held >= self.needs.slice);
        let used = expired.filter(|share| users.iter().any(|&(member, _)| member == share.member));
        used.max_by_key(|share| (share.held, Reverse(share.member)))
    }

    /// Lets each of the `starving` demands, those first that starved longest, take the place that
    /// was held longest.
    fn take_turns(&mut self, mut starving: Vec<usize>, is_crowded: impl Fn(usize) -> bool) {
        let (needs, shares) = (self.needs, self.shares);
        starving.retain(|&demand| needs.members[needs.demands[demand].member].starved > 0);
        if starving.is_empty() {
            return;
        }
        starving.sort_by_key(|&demand| Reverse(needs.members[needs.demands[demand].member].starved));
        let contested = (0..needs.accounts.len()).filter(|&account| is_crowded(account));
        let mut expired: Vec<_> =
            contested.flat_map(|account| shares[account].iter().map(move |share| (share, account))).collect();
        expired.retain(|(share, account)| share.held >= needs.slice && self.uses(share.member, *account));
        expired.sort_by_key(|(share, _)| Reverse(share.held));
        for demand in starving {
            let MemberDemand { member, weight, .. } = needs.demands[demand];
            let serving =
                |(share, account): &(&AssignedShare, usize)| share.member != member && needs.serves(*account, demand);
            if let Some(found) = expired.iter().position(serving) {
                let (share, account) = expired.remove(found);
                self.replace(account, share.member, (member, weight));
            }
        }
    }

    fn uses(&self, member: usize, account: usize) -> bool {
        self.users[account].iter().any(|&(user, _)| user == member)
    }

    fn replace(&mut self, account: usize, former: usize, user: (usize, u64)) {
        self.users[account].retain(|&(member, _)| member != former);
        self.users[account].push(user);
    }

    /// Gives members their part of the accounts that their callers' keys belong to, where there is
    /// room, or else by turns.
    fn serve_keys(&mut self) {
        let needs = self.needs;
        for (&account, wanting) in &needs.wanted {
            let holds = |member| self.shares[account].iter().any(|share| share.member == member);
            let mut wanting = wanting.clone();
            wanting.sort_by_key(|&(member, count)| {
                (!holds(member), Reverse((needs.members[member].starved, count)), member)
            });
            for (member, count) in wanting {
                if self.uses(member, account) {
                    continue;
                }
                if self.users[account].len() < needs.capacity(account) {
                    self.users[account].push((member, seat_weight(count, 1)));
                } else if needs.members[member].starved > 0
                    && let Some(longest) = self.longest_held(account)
                {
                    self.replace(account, longest.member, (member, seat_weight(count, 1)));
                }
            }
        }
    }

    /// Spreads the accounts that nobody uses evenly over all members. One that does not serve stays
    /// where it is.
    fn spread_unused(&mut self) {
        let needs = self.needs;
        let mut totals: Vec<usize> = vec![0; needs.members.len()];
        let mut alike = BTreeMap::<(bool, Vec<u32>), Vec<usize>>::new();
        for (account, need) in needs.accounts.iter().enumerate().filter(|(_, need)| need.units > 0) {
            if !self.users[account].is_empty() {
                for &(member, _) in &self.users[account] {
                    totals[member] += 1;
                }
            } else if !need.serves && !self.shares[account].is_empty() {
                self.users[account] =
                    self.shares[account].iter().map(|share| (share.member, u64::from(share.units))).collect();
            } else {
                let mut tags = need.tags.to_vec();
                tags.sort_unstable();
                tags.dedup();
                alike.entry((need.serves, tags)).or_default().push(account);
            }
        }
        let mut order: BTreeSet<(usize, usize)> = totals.iter().copied().zip(0..).collect();
        for accounts in alike.values() {
            for (account, member) in self.spread(accounts, &totals, &order) {
                self.users[account].push((member, 1));
                order.remove(&(totals[member], member));
                totals[member] += 1;
                order.insert((totals[member], member));
            }
        }
    }

    /// Spreads accounts that are alike: differences of at most one, moving as few as can be.
    fn spread(&self, accounts: &[usize], totals: &[usize], order: &BTreeSet<(usize, usize)>) -> Vec<(usize, usize)> {
        let Some(each) = accounts.len().checked_div(totals.len()) else { return Vec::new() };
        let mut by_holder = BTreeMap::<usize, Vec<usize>>::new();
        let mut free = Vec::new();
        for &account in accounts {
            match main_holder(&self.shares[account]) {
                Some(member) => by_holder.entry(member).or_default().push(account),
                None => free.push(account),
            }
        }
        let mut one_more = accounts.len() % totals.len();
        let mut spread = Vec::new();
        let mut counts = BTreeMap::new();
        for (&member, held) in &by_holder {
            let more = held.len() > each && one_more > 0;
            one_more -= usize::from(more);
            let kept = held.len().min(each + usize::from(more));
            counts.insert(member, kept);
            spread.extend(held[..kept].iter().map(|&account| (account, member)));
            free.extend(&held[kept..]);
        }
        // Of the members that hold none, no more can be needed than there are accounts.
        let others = order.iter().map(|&(_, member)| member).take(accounts.len());
        others.for_each(|member| _ = counts.entry(member).or_insert(0));
        let mut least: BinaryHeap<_> =
            counts.into_iter().map(|(member, count)| Reverse((count, totals[member] + count, member))).collect();
        for account in free {
            let Some(Reverse((count, total, member))) = least.pop() else { break };
            spread.push((account, member));
            least.push(Reverse((count + 1, total + 1, member)));
        }
        spread
    }

    /// Divides the units of an account among its users by their weight, at least one for each.
    fn divide_units(&self, account: usize, users: &[(usize, u64)]) -> Vec<AssignedShare> {
        let shares = &self.shares[account];
        if let [(member, _)] = *users {
            let held = shares.iter().find(|share| share.member == member).map_or(0, |share| share.held);
            return vec![AssignedShare { member, units: self.needs.accounts[account].units, held }];
        }
        let mut weights = BTreeMap::<usize, u64>::new();
        for &(member, weight) in users {
            *weights.entry(member).or_default() += weight.max(1);
        }
        let mut left = u64::from(self.needs.accounts[account].units);
        let mut parts: Vec<(AssignedShare, Portion)> = Vec::new();
        for (member, weight) in weights {
            let held = shares.iter().find(|share| share.member == member).copied();
            let share = held.unwrap_or(AssignedShare { member, units: 0, held: 0 });
            left -= u64::from(share.units);
            parts.push((share, Portion { count: u64::from(share.units), weight }));
        }
        deal_units(&mut parts, left);
        let into_share = |(share, portion): (AssignedShare, Portion)| AssignedShare {
            units: u32::try_from(portion.count).unwrap_or(u32::MAX),
            ..share
        };
        parts.into_iter().map(into_share).collect()
    }
}

/// Deals units to those that have least for their weight: first what is `left`, then what others
/// have too much of.
fn deal_units(parts: &mut [(AssignedShare, Portion)], mut left: u64) {
    if let [(_, only)] = parts {
        only.count += left;
        return;
    }
    let mut settles = false;
    loop {
        let least = |(_, (share, portion)): &(usize, &(AssignedShare, Portion))| {
            (portion.count > 0, portion.next(), share.member)
        };
        let most = |(_, (share, portion)): &(usize, &(AssignedShare, Portion))| {
            (portion.count > 1, portion.last(), Reverse(share.member))
        };
        let poorest = parts.iter().enumerate().min_by_key(least);
        let richest = parts.iter().enumerate().max_by_key(most);
        let (Some((poor, _)), Some((rich, _))) = (poorest, richest) else { return };
        let (taker, giver) = (parts[poor].1, parts[rich].1);
        settles |= taker.count == 0 || taker.is_unfair_to(giver);
        if left > 0 {
            left -= 1;
        } else if giver.count > 1 && (taker.count == 0 || settles && taker.is_short_of(giver, (1, 1))) {
            parts[rich].1.count -= 1;
        } else {
            return;
        }
        parts[poor].1.count += 1;
    }
}
