//! Things that are alike, divided by weight.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// How much of something that is divided one has for what it weighs: `count` places, or units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portion {
    pub(super) count: u64,
    pub(super) weight: u64,
}

impl Portion {
    /// Orders those that receive: the least is next.
    pub(super) fn next(self) -> u64 {
        ((2 * self.count + 1) << 24) / self.weight
    }

    /// Orders those that give: the greatest is next.
    pub(super) fn last(self) -> u64 {
        ((2 * self.count).saturating_sub(1) << 24) / self.weight
    }

    /// Whether one of `rich` would be worth more here, even if what it is worth here were divided
    /// by `num / den`.
    fn is_short_of(self, rich: Portion, (num, den): (u64, u64)) -> bool {
        let gives = u128::from((2 * rich.count).saturating_sub(1)) * u128::from(self.weight * den);
        gives > u128::from(2 * self.count + 1) * u128::from(rich.weight * num)
    }

    /// Whether so much is missing that it moves: neither one more account nor a fifth more here and
    /// less there explain it.
    pub(super) fn is_unfair_to(self, rich: Portion) -> bool {
        let fair = (self.count + rich.count) * self.weight;
        self.is_short_of(rich, (3, 2)) && fair > (self.count + 1) * (self.weight + rich.weight)
    }
}

/// What one has of the places, and which it has use of: those of its class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) portion: Portion,
    pub(super) class: usize,
    /// Whether it gets all that it is short of, and not only if it has unfairly little.
    pub(super) settles: bool,
}

/// Places at accounts that are divided among claims.
pub(super) struct Division {
    pub(super) claims: Vec<Claim>,
    /// Each with its account and the claim that has it.
    places: Vec<(usize, Option<usize>)>,
    /// By class and claim: the places that may move.
    movable: HashMap<(usize, Option<usize>), Vec<usize>>,
    /// By class: the claims that have such places, those first that have most.
    givers: Vec<BinaryHeap<(u64, Reverse<usize>)>>,
}

impl Division {
    pub(super) fn new(claims: Vec<Claim>, classes: usize) -> Self {
        Self { claims, places: Vec::new(), movable: HashMap::new(), givers: vec![BinaryHeap::new(); classes] }
    }

    /// Adds a place, with the classes to which it may move.
    pub(super) fn add(&mut self, account: usize, holder: Option<usize>, classes: impl IntoIterator<Item = usize>) {
        for class in classes {
            self.movable.entry((class, holder)).or_default().push(self.places.len());
        }
        self.places.push((account, holder));
        if let Some(holder) = holder {
            self.claims[holder].portion.count += 1;
        }
    }

    /// Gives the places that nobody has to those that have least, and moves others from those that
    /// have much to those that have unfairly little, these in order of how little it is. Returns
    /// the account of each place and the claim that has it then.
    pub(super) fn divide(&mut self) -> impl Iterator<Item = (usize, usize)> {
        for &(class, holder) in self.movable.keys() {
            self.givers[class].extend(holder.map(|holder| (self.claims[holder].portion.last(), Reverse(holder))));
        }
        let order = |(index, claim): (usize, &Claim)| Reverse((claim.portion.next(), index));
        let mut takers: BinaryHeap<_> = self.claims.iter().enumerate().map(order).collect();
        while let Some(Reverse((known, taker))) = takers.pop() {
            if self.claims[taker].portion.next() == known {
                let free = self.last_of(self.claims[taker].class, None);
                let Some(place) = free.or_else(|| self.due_to(taker)) else { continue };
                if let Some(giver) = self.places[place].1.replace(taker) {
                    self.claims[giver].portion.count -= 1;
                }
                self.claims[taker].portion.count += 1;
            }
            takers.push(Reverse((self.claims[taker].portion.next(), taker)));
        }
        self.places.iter().filter_map(|&(account, holder)| Some((account, holder?)))
    }

    fn last_of(&mut self, class: usize, holder: Option<usize>) -> Option<usize> {
        let movable = self.movable.get_mut(&(class, holder))?;
        while movable.pop_if(|&mut place| self.places[place].1 != holder).is_some() {}
        movable.last().copied()
    }

    /// A place of the claim that has most, if `taker` has too little beside it.
    fn due_to(&mut self, taker: usize) -> Option<usize> {
        let Claim { portion, class, .. } = self.claims[taker];
        loop {
            let (known, Reverse(giver)) = self.givers[class].pop()?;
            let Some(place) = self.last_of(class, Some(giver)) else { continue };
            let rich = self.claims[giver].portion;
            self.givers[class].push((rich.last(), Reverse(giver)));
            if rich.last() == known {
                let settles = &mut self.claims[taker].settles;
                *settles |= portion.is_unfair_to(rich);
                return Some(place).filter(|_| *settles && portion.is_short_of(rich, (1, 1)));
            }
        }
    }
}
