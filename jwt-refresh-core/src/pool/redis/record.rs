//! What Redis keeps of an account for those who use its token: numbers in a header that the scripts read, then the token.

use crate::clock::{Moment, Timestamp};

/// So many bytes of numbers come before the token: interval, tolerance, usable until, expires, generation, and flags.
const HEADER: usize = 41;
/// What stands for never in Redis, which counts in doubles: 2⁵³ µs.
pub(super) const NEVER: f64 = 9_007_199_254_740_992.0;

/// An account's grant.
pub(super) struct Record<'a> {
    /// Until when callers may use it, in µs on Redis's clock.
    usable: f64,
    expires: f64,
    pub(super) generation: u64,
    pub(super) token: &'a [u8],
}

impl<'a> Record<'a> {
    /// `None` if it is none.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, token) = bytes.split_at_checked(HEADER)?;
        let number = |at: usize| {
            let bytes = header.get(at * 8..at * 8 + 8)?;
            Some(f64::from_be_bytes(bytes.try_into().ok()?))
        };
        Some(Self { usable: number(2)?, expires: number(3)?, generation: whole(number(4)?), token })
    }

    /// Whether it may still be used at a time on Redis's clock.
    pub(super) fn is_usable(&self, redis: f64) -> bool {
        redis < self.usable
    }

    /// When the token expires on this machine's clock, where Redis's clock shows `redis` now.
    pub(super) fn expires(&self, redis: f64, now: Moment) -> Timestamp {
        if self.expires >= NEVER {
            return Timestamp::NEVER;
        }
        let left = ((self.expires - redis) * 1e3).max(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
        let left = std::time::Duration::from_nanos(left as u64);
        now.wall + left
    }
}

/// Whether two records are the same. Of a token that expires, its number and the microsecond in which it does are enough to tell:
/// to look at all of it would take long, for a process that uses many.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (Some(header), Some(others)) = (one.get(..HEADER), other.get(..HEADER)) else { return false };
    let expires = || header.get(24..32) != Some(&NEVER.to_be_bytes());
    header == others && one.len() == other.len() && (expires() || one == other)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast saturates, and wholes below 2⁵³ stay"
)]
pub(super) fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(numbers: [f64; 5], token: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        bytes.push(0);
        bytes.extend_from_slice(token);
        bytes
    }

    #[test]
    fn a_record_is_read_as_the_scripts_write_it() {
        let bytes = record([1e5, 0.0, 5e6, 9e6, 7.0], b"token");
        let record = Record::read(&bytes).unwrap();
        assert_eq!((record.generation, record.token), (7, &b"token"[..]));
        assert!(record.is_usable(4_999_999.0) && !record.is_usable(5e6));
        let now = Moment { wall: Timestamp::from_nanos(0), boot: Timestamp::from_nanos(0) };
        assert_eq!(record.expires(8e6, now), Timestamp::from_nanos(1_000_000_000));
    }

    #[test]
    fn records_are_told_apart_by_number_expiry_and_if_it_never_expires_by_the_token() {
        let first = record([1.0, 0.0, 5e6, 9e6, 7.0], b"token");
        assert!(is_same(&first, &first.clone()));
        for other in [record([1.0, 0.0, 5e6, 9e6, 8.0], b"token"), record([1.0, 0.0, 5e6, 9.1e6, 7.0], b"token")] {
            assert!(!is_same(&first, &other));
        }
        let endless = |token: &[u8]| record([1.0, 0.0, NEVER, NEVER, 7.0], token);
        assert!(is_same(&endless(b"one"), &endless(b"one")) && !is_same(&endless(b"one"), &endless(b"two")));
        assert!(!is_same(b"", b""));
    }

    #[test]
    fn one_that_is_cut_off_is_none_and_never_is_never() {
        let bytes = record([0.0, 0.0, NEVER, NEVER, 1.0], b"");
        assert!(Record::read(&bytes[..40]).is_none());
        let record = Record::read(&bytes).unwrap();
        assert!(record.is_usable(1e15) && record.expires(1e15, Moment::LONG_AGO) == Timestamp::NEVER);
    }
}
