//! The accounts that more demands share than there are accounts.

use std::cmp::Reverse;

use super::held::HeldAccounts;
use super::matching::Matching;
use super::needs::Needs;
use super::portion::seat_weight;

/// The accounts that fewer than one for each demand must do for: a member has seats at one or more
/// of them, each of which serves all demands of the member that it can.
pub(super) struct Crowd<'r> {
    needs: &'r Needs<'r>,
    /// By member: the demands that are served here.
    demands: Vec<Vec<usize>>,
    /// By member.
    seats: Vec<Vec<usize>>,
    /// By account: the members that have a seat at it.
    pub(super) users: Vec<Vec<usize>>,
    /// By demand: at how many seats it is served.
    pub(super) served: Vec<u64>,
    /// By account: the weight of its users' demands, each divided by the number of its seats.
    load: Vec<u64>,
    /// By member: whether a demand had nothing before, or a difference is too great to be left.
    settles: Vec<bool>,
}

impl<'r> Crowd<'r> {
    pub(super) fn new(held: &'r HeldAccounts<'_>, matching: &Matching, capacity: impl Fn(usize) -> usize) -> Self {
        let needs = held.needs;
        let members = needs.members.len();
        let mut crowd = Self {
            needs,
            demands: vec![Vec::new(); members],
            seats: vec![Vec::new(); members],
            users: vec![Vec::new(); needs.accounts.len()],
            served: vec![0; needs.demands.len()],
            load: vec![0; needs.accounts.len()],
            settles: vec![false; members],
        };
        let homes = || matching.home.iter().enumerate().filter_map(|(demand, home)| Some((demand, (*home)?)));
        for demand in homes().map(|(demand, _)| demand).chain(matching.guests.iter().copied()) {
            crowd.demands[needs.demands[demand].member].push(demand);
        }
        for (demand, account) in homes() {
            let member = needs.demands[demand].member;
            crowd.settles[member] |= held.kept(demand, |_| true).is_none();
            crowd.sit(member, account);
        }
        for member in 0..members {
            for &account in &held.held_by[member] {
                if crowd.users[account].len() < capacity(account) && crowd.served_at(member, account).next().is_some() {
                    crowd.sit(member, account);
                }
            }
        }
        (0..crowd.users.len()).for_each(|account| crowd.weigh(account));
        crowd
    }

    fn sit(&mut self, member: usize, account: usize) {
        if !self.seats[member].contains(&account) {
            self.users[account].push(member);
            self.seats[member].push(account);
            self.count(member, account, 1);
        }
    }

    fn count(&mut self, member: usize, account: usize, change: i64) {
        let served: Vec<usize> = self.served_at(member, account).collect();
        for demand in served {
            self.served[demand] = self.served[demand].saturating_add_signed(change);
        }
    }

    /// The demands of a member that an account serves.
    fn served_at(&self, member: usize, account: usize) -> impl Iterator<Item = usize> {
        self.demands[member].iter().copied().filter(move |&demand| self.needs.serves(account, demand))
    }

    /// What a member weighs at an account if it has one more or one fewer seat there or elsewhere.
    pub(super) fn weight(&self, member: usize, account: usize, change: i64) -> u64 {
        let weight = |demand: usize| {
            seat_weight(self.needs.demands[demand].weight, self.served[demand].saturating_add_signed(change).max(1))
        };
        self.served_at(member, account).map(weight).sum()
    }

    fn weigh(&mut self, account: usize) {
        self.load[account] = self.users[account].iter().map(|&member| self.weight(member, account, 0)).sum();
    }

    fn weigh_seats(&mut self, member: usize) {
        for index in 0..self.seats[member].len() {
            self.weigh(self.seats[member][index]);
        }
    }

    /// Lets members take seats where the load is less and leave those where it is more, until none
    /// has a reason to. The greatest load that changes gets less with each, so there is an end.
    pub(super) fn even_out(&mut self, capacity: impl Fn(usize) -> usize) {
        let weight = |member: usize| self.demands[member].iter().map(|&demand| self.needs.demands[demand].weight).sum();
        let mut order: Vec<usize> = (0..self.seats.len()).filter(|&member| !self.seats[member].is_empty()).collect();
        order.sort_by_key(|&member| Reverse::<u64>(weight(member)));
        let roomy: Vec<Vec<usize>> = self
            .needs
            .accounts_of
            .iter()
            .map(|accounts| accounts.iter().copied().filter(|&account| capacity(account) > 1).collect())
            .collect();
        loop {
            let mut moved = false;
            for &member in &order {
                moved |= self.join(member, &roomy, &capacity);
                moved |= self.leave(member);
            }
            if !moved {
                break;
            }
        }
    }

    /// The greatest load of the member's seats that serve something which `account` serves, too.
    fn worst_beside(&self, member: usize, account: usize) -> Option<(u64, usize)> {
        let seats = self.seats[member].iter().copied().filter(|&seat| seat != account);
        let beside =
            seats.filter(|&seat| self.served_at(member, account).any(|demand| self.needs.serves(seat, demand)));
        beside.map(|seat| (self.load[seat], seat)).max()
    }

    fn join(&mut self, member: usize, roomy: &[Vec<usize>], capacity: impl Fn(usize) -> usize) -> bool {
        let selectors = self.demands[member].iter().map(|&demand| self.needs.demands[demand].selector);
        let joinable = selectors
            .flat_map(|selector| &roomy[selector])
            .copied()
            .filter(|account| self.users[*account].len() < capacity(*account) && !self.seats[member].contains(account));
        let Some(best) = joinable.min_by_key(|&account| (self.load[account], account)) else { return false };
        let worst = self.worst_beside(member, best).map_or(0, |(load, _)| load);
        let there = self.load[best] + self.weight(member, best, 1);
        self.settles[member] |= 2 * there < worst;
        if !self.settles[member] || there >= worst {
            return false;
        }
        self.sit(member, best);
        self.weigh_seats(member);
        true
    }

    fn leave(&mut self, member: usize) -> bool {
        let spare = |seat: &usize| self.served_at(member, *seat).all(|demand| self.served[demand] > 1);
        let seats = self.seats[member].iter().copied().filter(spare);
        let Some(worst) = seats.max_by_key(|&seat| (self.load[seat], seat)) else { return false };
        let (here, elsewhere) = (self.weight(member, worst, 0), self.weight(member, worst, -1));
        let others = self.load[worst] - here;
        self.settles[member] |= others > 2 * elsewhere;
        let beside = self.worst_beside(member, worst).map_or(0, |(load, _)| load + elsewhere - here);
        if !self.settles[member] || others <= elsewhere || beside >= self.load[worst] {
            return false;
        }
        self.count(member, worst, -1);
        self.users[worst].retain(|&user| user != member);
        self.seats[member].retain(|&seat| seat != worst);
        self.weigh(worst);
        self.weigh_seats(member);
        true
    }
}
