//! Which account is the home of which demand.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::needs::Needs;

/// A matching of demands with accounts.
pub(super) struct Matching<'r> {
    needs: &'r Needs<'r>,
    /// By account: the demands whose home it is.
    pub(super) users: Vec<Vec<usize>>,
    /// By demand: its home.
    homes: Vec<Option<usize>>,
    /// By selector: whether there are too few accounts to be the home of one demand each.
    crowded: Vec<bool>,
    /// By selector: into how many places its accounts are divided.
    places: Vec<usize>,
    /// The turns that begin, by demand, with the account.
    pub(super) turns: Vec<(usize, usize)>,
}

impl<'r> Matching<'r> {
    /// Finds homes for as many demands as can be. Those of keys take what the others leave.
    pub(super) fn of(needs: &'r Needs<'r>) -> Self {
        let selectors = 0..needs.accounts_of.len();
        let mut matching = Self {
            needs,
            users: vec![Vec::new(); needs.accounts.len()],
            homes: vec![None; needs.demands.len()],
            crowded: selectors.clone().map(|selector| needs.is_key(selector)).collect(),
            places: Vec::new(),
            turns: Vec::new(),
        };
        let demands: Vec<usize> = (0..needs.demands.len()).collect();
        for same_rank in demands.chunk_by(|&one, &other| needs.demands[one].rank == needs.demands[other].rank) {
            // Those that cannot have an account of their own find one beside others.
            for selector in matching.house(same_rank) {
                matching.crowded[selector] = true;
            }
            matching.house(same_rank);
        }
        matching.places = selectors.map(|selector| matching.places_for(selector)).collect();
        matching.take_turns();
        matching
    }

    /// Twice as many places as demands share an account, so that those that weigh more can have
    /// more of them; or one.
    fn places_for(&self, selector: usize) -> usize {
        let users = self.needs.accounts_of[selector].iter().map(|&account| self.users[account].len());
        if self.crowded[selector] { 2 * users.max().unwrap_or(0) } else { 1 }
    }

    /// How many places an account has.
    pub(super) fn places(&self, account: usize) -> usize {
        let places = self.open_to(account).map(|selector| self.places[selector]).max().unwrap_or(0);
        let is_key = |&&demand: &&usize| self.needs.is_key(self.needs.selector(demand));
        let by_key = self.users[account].iter().filter(is_key).count();
        (places + by_key).min(self.needs.units(account))
    }

    /// The selectors that can have places at an account: where it is crowded, those that are.
    pub(super) fn open_to(&self, account: usize) -> impl Iterator<Item = usize> {
        let selectors =
            self.needs.selectors_of[account].iter().copied().filter(|&selector| !self.needs.is_key(selector));
        let is_crowded = selectors.clone().any(|selector| self.crowded[selector]);
        selectors.filter(move |&selector| !is_crowded || self.crowded[selector])
    }

    /// Whether an account serves a demand that is the home of it, or of another of the same member.
    fn is_served(&self, demand: usize) -> bool {
        let siblings = &self.needs.demands_of[self.needs.demands[demand].member];
        let mut homes = siblings.iter().filter_map(|&sibling| self.homes[sibling]);
        homes.any(|home| self.needs.serves(home, demand))
    }

    /// Finds homes for demands, first what their members hold, and returns the selectors of those
    /// that are in the way of others.
    fn house(&mut self, demands: &[usize]) -> BTreeSet<usize> {
        let needs = self.needs;
        let mut waiting: Vec<usize> = demands.iter().copied().filter(|&demand| self.needs_home(demand)).collect();
        // Those that have least to choose from come first.
        waiting.sort_by_cached_key(|&demand| (needs.held_for(demand).count(), needs.demands[demand].member));
        for demand in waiting {
            // One that was housed meanwhile may serve it, too.
            if self.needs_home(demand)
                && let Some(account) = self.kept(demand)
            {
                self.settle(demand, account);
            }
        }
        let mut crowded = BTreeSet::new();
        for &demand in demands {
            if self.needs_home(demand)
                && let Err(in_the_way) = self.augment(demand)
                && !self.is_served(demand)
                // Keys take what others can do without: they crowd nobody.
                && !needs.is_key(needs.selector(demand))
            {
                crowded.extend(in_the_way);
            }
        }
        crowded
    }

    /// Whether a demand has no home. Who shares needs no second one that does the same.
    fn needs_home(&self, demand: usize) -> bool {
        let is_crowded = self.crowded[self.needs.selector(demand)];
        self.homes[demand].is_none() && !(is_crowded && self.is_served(demand))
    }

    /// What the member of `demand` holds already, if there is room.
    fn kept(&self, demand: usize) -> Option<usize> {
        self.emptiest(demand, || self.needs.held_for(demand))
    }

    /// An account with room, preferably one that is held.
    fn room_for(&self, demand: usize) -> Option<usize> {
        let accounts = &self.needs.accounts_of[self.needs.selector(demand)];
        self.kept(demand).or_else(|| self.emptiest(demand, || accounts.iter().copied()))
    }

    /// Of some accounts that serve `demand`, the one that is home to the fewest: to none, unless it
    /// is crowded.
    fn emptiest<I: Iterator<Item = usize>>(&self, demand: usize, accounts: impl Fn() -> I) -> Option<usize> {
        let users = |account: usize| self.users[account].len();
        let is_crowded = self.crowded[self.needs.selector(demand)];
        let with_room = accounts().filter(|&account| is_crowded && users(account) < self.needs.units(account));
        accounts().find(|&account| users(account) == 0).or_else(|| with_room.min_by_key(|&account| users(account)))
    }

    /// Makes an account the home of a demand, and returns the former one.
    fn settle(&mut self, demand: usize, account: usize) -> Option<usize> {
        self.users[account].push(demand);
        let former = self.homes[demand].replace(account);
        former.inspect(|&former| self.users[former].retain(|&user| user != demand))
    }

    /// Finds a home for `demand`, if need be by moving others (an augmenting path). What stands in
    /// the way otherwise are the selectors returned: those of all demands that could make room.
    fn augment(&mut self, demand: usize) -> Result<(), BTreeSet<usize>> {
        let needs = self.needs;
        let start = needs.selector(demand);
        let mut reached = BTreeSet::from([start]);
        // With each demand, which of them can have its home if it moves.
        let mut path = vec![(demand, 0)];
        let mut at = 0;
        while let Some(&(user, _)) = path.get(at) {
            let mut room = self.room_for(user);
            while let Some(account) = room {
                let (user, next) = path[at];
                room = self.settle(user, account);
                at = next;
                if room.is_none() {
                    return Ok(());
                }
            }
            for &other in needs.accounts_of[needs.selector(user)].iter().flat_map(|&account| &self.users[account]) {
                let selector = needs.selector(other);
                // Where it is crowded, nobody makes room for one that needs an account of its own.
                let is_closed = needs.is_key(selector) || (self.crowded[selector] && !self.crowded[start]);
                if !is_closed && reached.insert(selector) {
                    path.push((other, at));
                }
            }
            at += 1;
        }
        Err(reached)
    }

    /// Lets each of the demands that starve, those first that do so longest, take the place that
    /// was held longest.
    fn take_turns(&mut self) {
        let needs = self.needs;
        let starved = |demand: usize| needs.demands[demand].starved;
        let mut starving: Vec<usize> = (0..needs.demands.len()).filter(|&demand| starved(demand) > 0).collect();
        starving.sort_by_key(|&demand| Reverse(starved(demand)));
        for demand in starving {
            if self.is_served(demand) {
                continue;
            }
            let accounts = needs.accounts_of[needs.selector(demand)].iter();
            let users = accounts.flat_map(|&account| self.users[account].iter().map(move |&user| (account, user)));
            let expired = users.filter(|&(account, user)| needs.held(user, account) >= needs.slice);
            if let Some((account, user)) =
                expired.max_by_key(|&(account, user)| (needs.held(user, account), Reverse(user)))
            {
                self.homes[user] = None;
                self.users[account].retain(|&other| other != user);
                self.settle(demand, account);
                self.turns.push((demand, account));
            }
        }
    }
}
