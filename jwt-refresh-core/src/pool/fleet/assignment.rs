//! Who holds how much of which account: a pure function of what the members of a fleet hold and ask
//! for.
//!
//! What a member asks for with one tag is a *demand*, and so are the callers whose keys belong to
//! one account. First, each demand gets a *home*: an account of its own, if there are enough, or
//! else one that it shares with as few others as can be (a maximum matching, begun with what is
//! held). Where homes are shared, an account is divided into twice as many *places* as demands
//! share one; all others are one place. The places that are nobody's home go to the demands that
//! have least for their weight, one at a time, which is Webster's method of dividing seats. Members
//! that have places at the same account divide its units by what they weigh there. Accounts that no
//! demand can use are divided like places, evenly.
//!
//! What is held moves only when a change of a fifth in each of two demands could not explain the
//! difference between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use self::division::{Claim, Division, Portion};
use self::matching::Matching;
use self::needs::{AssignedShares, Needs, Turn, held_shares, number};

pub(super) use self::needs::{AccountNeed, AccountSelector, CallersNeed, Holding, MemberNeed, Turns};

mod division;
mod matching;
mod needs;
mod units;

/// By account: the members that shall use it, and what they weigh there. A member may be there more
/// than once.
type Users = Vec<Vec<(usize, u64)>>;

/// What a member shall hold: accounts, in their order, and how many units of each; and which of
/// them by turn.
pub(super) struct MemberAssignment {
    pub(super) shares: Vec<(u32, u32)>,
    pub(super) turns: Turns,
}

/// Divides `accounts` among `members`: for each member, the accounts it shall hold and how many
/// units of each, by account. A holding of which there are too few is left to its member for
/// `slice` milliseconds.
pub(super) fn assign(
    accounts: &[AccountNeed],
    members: &[MemberNeed],
    slice: u32, // ms
) -> Vec<MemberAssignment> {
    // A pass may open a way for the next one: B takes from A what C could not take, then C takes
    // from B. Few need a third. Where several divisions are as good as each other, passes may go
    // round: then the first of those is taken, so that the next call finds it as it is.
    const MAX_PASSES: usize = 64;
    let mut passed = vec![held_shares(accounts, members)];
    let mut turns: Vec<Turns> = members.iter().map(|member| member.turns.clone()).collect();
    let shares = loop {
        let held = &passed[passed.len() - 1];
        let (next, begun) = pass(&Needs::new(accounts, members, slice, (held, &turns)));
        for (member, turn) in begun {
            turns[member].insert(turn);
        }
        if passed.contains(&next) || passed.len() == MAX_PASSES {
            break next;
        }
        passed.push(next);
    };
    let mut assigned: Vec<_> = turns.into_iter().map(|turns| MemberAssignment { shares: Vec::new(), turns }).collect();
    for (account, shares) in (0..).zip(&shares) {
        for &(member, units) in shares {
            assigned[member].shares.push((account, units));
        }
    }
    for MemberAssignment { shares, turns } in &mut assigned {
        turns.retain(|(_, account)| shares.binary_search_by_key(account, |(account, _)| *account).is_ok());
    }
    assigned
}

/// Divides all accounts, beginning with what is held. Returns the turns that begin by that, too.
fn pass(needs: &Needs<'_>) -> (AssignedShares, Vec<(usize, Turn)>) {
    let matching = Matching::of(needs);
    let mut users = divide_places(needs, &matching);
    spread_unused(needs, &mut users);
    let divide_units =
        |(account, users): (usize, Vec<_>)| units::divide(needs.accounts[account].units, users, &needs.shares[account]);
    let shares = users.into_iter().enumerate().map(divide_units).collect();
    let begun = matching.turns.iter().map(|&(demand, account)| {
        let demand = needs.demands[demand];
        (demand.member, (needs.selectors[demand.selector], number(account)))
    });
    (shares, begun.collect())
}

/// Divides the places of the accounts among the demands.
fn divide_places(needs: &Needs<'_>, matching: &Matching<'_>) -> Users {
    let claims = needs.demands.iter().enumerate().map(|(index, demand)| Claim {
        portion: Portion { count: 0, weight: demand.weight },
        class: demand.selector,
        settles: needs.held_for(index).next().is_none(),
    });
    let mut division = Division::new(claims.collect(), needs.accounts_of.len());
    for (account, users) in matching.users.iter().enumerate() {
        for &demand in users {
            division.add(account, Some(demand), []);
        }
    }
    // What is free goes first to those that have no other use of it: the last that is added.
    let mut order: Vec<usize> = (0..needs.accounts.len()).collect();
    order.sort_by_key(|&account| Reverse(needs.selectors_of[account].len()));
    for account in order {
        let users = &matching.users[account];
        let is_near = |&demand: &usize| matching.open_to(account).any(|open| open == needs.selector(demand));
        for _ in users.len()..matching.places(account) {
            let holders = needs.shares[account].iter().flat_map(|&(member, _)| &needs.demands_of[member]);
            let near = holders.chain(users).copied().filter(is_near);
            let poorest = near.min_by_key(|&demand| division.claims[demand].portion.next());
            division.add(account, poorest, matching.open_to(account));
        }
    }
    let divided: Vec<_> = division.divide().collect();
    let mut users = vec![Vec::new(); needs.accounts.len()];
    for (account, demand) in divided {
        let Portion { count, weight } = division.claims[demand].portion;
        users[account].push((needs.demands[demand].member, (weight << 16) / count));
    }
    users
}

/// Spreads the accounts that nobody uses evenly over all members, those with each set of tags for
/// themselves. One that does not serve stays where it is.
fn spread_unused(needs: &Needs<'_>, users: &mut Users) {
    let mut totals = vec![0_usize; needs.members.len()];
    let mut alike = BTreeMap::<(bool, BTreeSet<u32>), Vec<usize>>::new();
    for (account, need) in needs.accounts.iter().enumerate().filter(|(_, need)| need.units > 0) {
        let shares = &needs.shares[account];
        if !users[account].is_empty() {
            users[account].iter().for_each(|&(member, _)| totals[member] += 1);
        } else if !need.serves && !shares.is_empty() {
            users[account] = shares.iter().map(|&(member, units)| (member, u64::from(units))).collect();
        } else {
            alike.entry((need.serves, need.tags.iter().copied().collect())).or_default().push(account);
        }
    }
    let mut order: BTreeSet<(usize, usize)> = totals.iter().copied().zip(0..).collect();
    for accounts in alike.into_values() {
        let holder = |account: usize| needs.shares[account].first().map(|&(member, _)| (totals[member], member));
        // Of the members that hold none, no more can be needed than there are accounts.
        let mut members: BTreeSet<_> = order.iter().copied().take(accounts.len()).collect();
        members.extend(accounts.iter().filter_map(|&account| holder(account)));
        let members: Vec<_> = members.into_iter().collect();
        let claim = Claim { portion: Portion { count: 0, weight: 1 }, class: 0, settles: true };
        let mut division = Division::new(vec![claim; members.len()], 1);
        for account in accounts {
            let holder = holder(account).and_then(|holder| members.binary_search(&holder).ok());
            division.add(account, holder, [0]);
        }
        for (account, holder) in division.divide() {
            let (_, member) = members[holder];
            users[account].push((member, 1));
            order.remove(&(totals[member], member));
            totals[member] += 1;
            order.insert((totals[member], member));
        }
    }
}
