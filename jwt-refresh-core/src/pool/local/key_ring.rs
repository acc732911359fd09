//! Which account a key belongs to.
//!
//! The accounts are points on a ring, by the hashes of their names. A key starts at the point of
//! its own hash and goes round. Each account that it meets takes it with a chance of 1 in
//! [`ODDS`], by a hash of both, and the first that does is the key's. So a key chooses among some
//! hundred accounts that follow each other, which evens out how far apart their points are: the
//! shares of accounts deviate by 1/sqrt(2 * ODDS), 6.3 %, where one point for each account would
//! make it 100 %. If an account leaves, its keys go on round the ring, and no other key moves.
//!
//! All hashes are the same in every process and release, so processes with the same accounts agree.

use std::collections::BTreeSet;

use super::rank::Slot;

/// Of how many accounts that a key meets one takes it. A power of two.
const ODDS: u64 = 128;
/// How often a key goes round before the next account takes it without odds. That many rounds
/// happen by chance once in 10^27 keys, even with a single account.
const ROUNDS: u64 = 64 * ODDS;

/// Returns the hash of a key, or of an account's name: FNV-1a with 64 bits
/// (draft-eastlake-fnv), and then the finalizer of `MurmurHash3`, since the high bits of FNV-1a
/// alone are poor.
pub(super) fn hash(text: &str) -> u64 {
    let fnv = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    mix(fnv)
}

/// The finalizer of `MurmurHash3` for 64 bits.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// A point on the ring. Half a hash is enough: among a million accounts, about a hundred are at the
/// same point as another one.
pub(super) type Point = u32;

/// Returns the point of an account's name, or where a key starts.
pub(super) fn point(hash: u64) -> Point {
    (hash >> 32) as Point
}

/// Returns whether the account at a point takes a key that goes round for the `round`th time.
fn takes(key: u64, at: Point, round: u64) -> bool {
    let both = key ^ u64::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mix(both.wrapping_add(round.wrapping_mul(0xbf58_476d_1ce4_e5b9))).is_multiple_of(ODDS)
}

/// The accounts of a group that have a live token.
#[derive(Debug, Default)]
pub(super) struct KeyRing(BTreeSet<(Point, Slot)>);

impl KeyRing {
    pub(super) fn insert(&mut self, at: Point, slot: Slot) {
        self.0.insert((at, slot));
    }

    pub(super) fn remove(&mut self, at: Point, slot: Slot) {
        self.0.remove(&(at, slot));
    }

    /// Returns the account that a key belongs to, by the key's hash. `name` returns the name of an
    /// account.
    pub(super) fn account<'a>(&self, key: u64, name: impl Fn(Slot) -> Option<&'a str>) -> Option<Slot> {
        let (start, end) = ((point(key), Slot::MIN), (Point::MAX, Slot::MAX));
        if self.0.len() <= 1 {
            return self.0.first().map(|&(_, slot)| slot);
        }
        for round in 0..ROUNDS {
            let circle = self.0.range(start..=end).chain(self.0.range(..start));
            let mut accounts = circle.map(|&(at, _)| at);
            if let Some(at) = accounts.find(|&at| takes(key, at, round)) {
                return self.first_named(at, name);
            }
        }
        let next = self.0.range(start..).chain(&self.0).next();
        next.and_then(|&(at, _)| self.first_named(at, name))
    }

    /// Returns the account at a point. Of several, that is the first by name.
    fn first_named<'a>(&self, at: Point, name: impl Fn(Slot) -> Option<&'a str>) -> Option<Slot> {
        let mut accounts = self.0.range((at, Slot::MIN)..=(at, Slot::MAX)).map(|&(_, slot)| slot);
        let first = accounts.next()?;
        Some(accounts.fold(first, |first, other| if name(other) < name(first) { other } else { first }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A ring of accounts that are called by their slots.
    fn ring(slots: impl IntoIterator<Item = Slot>) -> KeyRing {
        let mut ring = KeyRing::default();
        for slot in slots {
            ring.insert(point(hash(&format!("account-{slot}"))), slot);
        }
        ring
    }

    fn account(ring: &KeyRing, key: &str) -> Slot {
        ring.account(hash(key), |_| None).unwrap()
    }

    /// Returns how many of `keys` keys each account has, as shares of what would be fair.
    fn shares(accounts: u32, keys: u32) -> Vec<f64> {
        let ring = ring(0..accounts);
        let mut counts = vec![0; accounts as usize];
        for key in 0..keys {
            counts[account(&ring, &format!("user-{key}")) as usize] += 1;
        }
        counts.into_iter().map(|count: u32| f64::from(count) * f64::from(accounts) / f64::from(keys)).collect()
    }

    #[test]
    fn every_account_has_nearly_its_fair_share_of_the_keys() {
        for (accounts, keys) in [(2, 2_000), (10, 10_000), (50, 30_000)] {
            let shares = shares(accounts, keys);
            assert!(shares.iter().all(|share| (0.7..=1.3).contains(share)), "{accounts} accounts: {shares:?}");
        }
    }

    #[test]
    fn the_shares_of_a_thousand_accounts_deviate_little() {
        let (accounts, keys) = (1000, 50_000);
        let variance = shares(accounts, keys).into_iter().map(|share| (share - 1.0).powi(2)).sum::<f64>() / 999.0;
        // A sample of 50 keys an account adds 1/50.
        let deviation = (variance - f64::from(accounts) / f64::from(keys)).max(0.0).sqrt();
        // The largest and the smallest of a thousand are 3.2 times as far away.
        assert!(deviation < 0.3 / 3.2, "{deviation:.3}");
    }

    #[test]
    fn the_hash_is_the_same_in_every_process_and_release() {
        let hashes = [17_280_346_270_528_514_342, 9_413_272_369_427_828_315, 625_737_851_166_668_584];
        assert_eq!(["", "a", "account-7"].map(hash), hashes);
        let ring = ring(0..100);
        assert_eq!(["ada", "bob", "eve"].map(|key| account(&ring, key)), [42, 4, 60]);
    }

    #[test]
    fn of_accounts_at_the_same_point_the_first_by_name_has_the_keys_in_every_process() {
        let names = ["eve", "ada", "bob"];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut ring = KeyRing::default();
            for slot in order {
                ring.insert(7, slot);
            }
            assert_eq!(ring.account(hash("any"), |slot| Some(names[slot as usize])), Some(1));
        }
    }

    proptest! {
        #[test]
        fn only_the_keys_of_an_account_that_comes_or_goes_move(
            slots in prop::collection::btree_set(0..5000_u32, 1..200),
            other in 5000..9000_u32,
        ) {
            let (without, with) = (ring(slots.iter().copied()), ring(slots.into_iter().chain([other])));
            for key in 0..100 {
                let key = format!("user-{key}");
                let (before, after) = (account(&without, &key), account(&with, &key));
                prop_assert!(after == other || after == before, "{} moved from {} to {}", key, before, after);
            }
            let mut again = with;
            again.remove(point(hash(&format!("account-{other}"))), other);
            prop_assert_eq!(account(&again, "user-1"), account(&without, "user-1"));
        }
    }
}
