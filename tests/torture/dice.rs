//! Random numbers that are the same in each run, so that what went wrong goes wrong again.

/// xorshift64*.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Less than `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// What the dice begin with: `JWT_REFRESH_SEED`, to have another run.
pub(crate) fn seed() -> u64 {
    std::env::var("JWT_REFRESH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}
