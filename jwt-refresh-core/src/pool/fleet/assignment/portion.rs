//! How much of something that is divided one has for what it weighs.

/// How much of something that is divided a demand has: `count` accounts, or units.
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
    pub(super) fn is_short_of(self, rich: Portion, (num, den): (u64, u64)) -> bool {
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

/// What a demand weighs at one of the accounts that it has.
pub(super) fn seat_weight(weight: u64, accounts: u64) -> u64 {
    (weight << 16) / accounts
}
