//! The accounts that need not be divided, and who has them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::held::HeldAccounts;
use super::matching::Matching;
use super::needs::{Needs, main_holder};
use super::portion::{Portion, seat_weight};

/// The accounts that need not be divided, each with the demand that has it.
pub(super) struct Whole<'r> {
    needs: &'r Needs<'r>,
    holder: Vec<Option<usize>>,
    /// By demand: how many accounts it has.
    portions: Vec<Portion>,
    free: Vec<usize>,
    /// By account: whether it may move from one demand to another.
    may_move: Vec<bool>,
    /// By demand: whether it had nothing before.
    fresh: Vec<bool>,
}

impl<'r> Whole<'r> {
    pub(super) fn new(held: &'r HeldAccounts<'_>, matching: &Matching, is_crowded: impl Fn(usize) -> bool) -> Self {
        let needs = held.needs;
        let mut portions: Vec<Portion> =
            needs.demands.iter().map(|demand| Portion { count: 0, weight: demand.weight }).collect();
        let fresh = (0..needs.demands.len()).map(|demand| held.kept(demand, |_| true).is_none()).collect();
        let mut holder = vec![None; needs.accounts.len()];
        let mut may_move = vec![false; needs.accounts.len()];
        let divisible = |&account: &usize| {
            !needs.selectors_of[account].is_empty() && !held.pinned.contains(&account) && !is_crowded(account)
        };
        for account in (0..needs.accounts.len()).filter(divisible) {
            holder[account] = matching.users[account].first().copied();
            holder[account].into_iter().for_each(|demand| portions[demand].count += 1);
        }
        let mut free = Vec::new();
        for account in (0..needs.accounts.len()).filter(divisible) {
            if holder[account].is_some() {
                continue;
            }
            holder[account] = main_holder(&held.shares[account]).and_then(|member| {
                let demands = needs.demands_of[member].iter().copied();
                demands.filter(|&demand| needs.serves(account, demand)).min_by_key(|&demand| portions[demand].next())
            });
            match holder[account] {
                Some(demand) => {
                    portions[demand].count += 1;
                    may_move[account] = !needs.wants(needs.demands[demand].member, account);
                }
                None => free.push(account),
            }
        }
        Self { needs, holder, portions, free, may_move, fresh }
    }

    /// By account: the member that shall have it, with its weight.
    pub(super) fn divide(mut self) -> Vec<Option<(usize, u64)>> {
        self.deal();
        self.even_out();
        let user = |demand: usize| {
            let Portion { count, weight } = self.portions[demand];
            (self.needs.demands[demand].member, seat_weight(weight, count))
        };
        self.holder.iter().map(|holder| holder.map(user)).collect()
    }

    /// Gives each free account to the demand that has least, those with the fewest tags first.
    fn deal(&mut self) {
        let mut least = vec![BinaryHeap::new(); self.needs.accounts_of.len()];
        for (demand, portion) in self.portions.iter().enumerate() {
            least[self.needs.demands[demand].selector].push(Reverse((portion.next(), demand)));
        }
        let mut free = std::mem::take(&mut self.free);
        free.sort_by_key(|&account| self.needs.selectors_of[account].len());
        for account in free {
            let selectors = &self.needs.selectors_of[account];
            let firsts = selectors.iter().filter_map(|&selector| Some((least[selector].peek()?.0, selector)));
            let Some(((_, demand), selector)) = firsts.min() else { continue };
            self.holder[account] = Some(demand);
            self.portions[demand].count += 1;
            least[selector].pop();
            least[selector].push(Reverse((self.portions[demand].next(), demand)));
        }
    }

    /// Whether anything can be there to even out: cheaper to ask than to find.
    fn may_be_unfair(&self) -> bool {
        let mut richest = vec![None; self.needs.accounts_of.len()];
        for (account, holder) in self.holder.iter().enumerate() {
            let Some(portion) = holder.filter(|_| self.may_move[account]).map(|demand| self.portions[demand]) else {
                continue;
            };
            for &selector in &self.needs.selectors_of[account] {
                let most: &mut Option<Portion> = &mut richest[selector];
                if most.is_none_or(|most| most.last() < portion.last()) {
                    *most = Some(portion);
                }
            }
        }
        let demands = self.needs.demands.iter().zip(&self.portions).zip(&self.fresh);
        demands.into_iter().any(|((demand, portion), &fresh)| {
            let unfair = |rich: Portion| portion.is_short_of(rich, if fresh { (1, 1) } else { (3, 2) });
            richest[demand.selector].is_some_and(unfair)
        })
    }

    /// Moves accounts from demands that have much to those that have unfairly little, these in
    /// order of how little it is.
    fn even_out(&mut self) {
        if !self.may_be_unfair() {
            return;
        }
        let mut givers = Givers::new(self);
        let mut takers: BinaryHeap<_> =
            self.portions.iter().enumerate().map(|(demand, portion)| Reverse((portion.next(), demand))).collect();
        while let Some(Reverse((stale, taker))) = takers.pop() {
            let portion = self.portions[taker];
            if portion.next() != stale {
                takers.push(Reverse((portion.next(), taker)));
                continue;
            }
            let Some((giver, account)) = givers.first(self, self.needs.demands[taker].selector) else { continue };
            let rich = self.portions[giver];
            self.fresh[taker] |= portion.is_unfair_to(rich);
            if !self.fresh[taker] || !portion.is_short_of(rich, (1, 1)) {
                continue;
            }
            self.holder[account] = Some(taker);
            self.may_move[account] = false;
            self.portions[giver].count -= 1;
            self.portions[taker].count += 1;
            takers.push(Reverse((self.portions[taker].next(), taker)));
        }
    }
}

/// For each selector, the demands that have accounts which serve it, those first that have most.
struct Givers {
    order: Vec<BinaryHeap<(u64, Reverse<usize>)>>,
    /// By selector and demand.
    accounts: HashMap<(usize, usize), Vec<usize>>,
}

impl Givers {
    fn new(whole: &Whole<'_>) -> Self {
        let mut givers =
            Self { order: vec![BinaryHeap::new(); whole.needs.accounts_of.len()], accounts: HashMap::new() };
        for (account, &holder) in whole.holder.iter().enumerate().filter(|&(account, _)| whole.may_move[account]) {
            let Some(holder) = holder else { continue };
            for &selector in &whole.needs.selectors_of[account] {
                let accounts = givers.accounts.entry((selector, holder)).or_default();
                if accounts.is_empty() {
                    givers.order[selector].push((whole.portions[holder].last(), Reverse(holder)));
                }
                accounts.push(account);
            }
        }
        givers
    }

    fn first(&mut self, whole: &Whole<'_>, selector: usize) -> Option<(usize, usize)> {
        loop {
            let (stale, Reverse(giver)) = self.order[selector].pop()?;
            let accounts = self.accounts.get_mut(&(selector, giver))?;
            while accounts.pop_if(|&mut account| whole.holder[account] != Some(giver)).is_some() {}
            let Some(&account) = accounts.last() else { continue };
            let last = whole.portions[giver].last();
            self.order[selector].push((last, Reverse(giver)));
            if last == stale {
                return Some((giver, account));
            }
        }
    }
}
