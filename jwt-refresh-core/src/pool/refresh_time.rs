//! When an account of a pool is refreshed. The time has a random part, so that accounts that logged
//! in together are not refreshed together.

/// Returns a random time before `ahead`, the start of the refresh-ahead window: earlier by at most
/// the time from `ahead` to `expires`, and not within the first half of the token's life, which
/// begins `now`. All times are in nanoseconds since boot.
pub(super) fn jittered_refresh_time(ahead: i64, expires: i64, now: i64) -> i64 {
    let window = expires.saturating_sub(ahead).min(ahead.saturating_sub(now.midpoint(expires))).max(0);
    ahead - fastrand::i64(0..=window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_are_spread_over_the_window_before_and_never_into_the_first_half_of_a_life() {
        for (ahead, expires, earliest) in [(900, 1000, 800), (600, 1000, 500), (500, 1000, 500), (400, 1000, 400)] {
            let times: Vec<_> = (0..10_000).map(|_| jittered_refresh_time(ahead, expires, 0)).collect();
            assert_eq!((times.iter().min(), times.iter().max()), (Some(&earliest), Some(&ahead)));
        }
    }
}
