//! Random numbers that are the same in each run, so that a failure can be repeated.

/// A generator of random numbers: xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number, which is below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

/// The seed in `JWT_REFRESH_SEED`, or 1.
pub(crate) fn seed() -> u64 {
    std::env::var("JWT_REFRESH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}
