//! Hashes the keys of leases. No I/O.
//!
//! A job's lease is looked up six times. With the hash of the standard library that took an eighth
//! of all instructions of a job that does nothing. A key is two or three numbers, so a
//! multiplication for each is enough. The server chooses ids: as it does not know the seed, it cannot
//! choose many whose hashes collide.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 2^64 divided by the golden ratio. It is odd, so the multiplication maps no two numbers to one.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// Creates hashers with one random seed.
#[derive(Debug, Clone)]
pub(crate) struct KeyHash {
    seed: u64,
}

impl Default for KeyHash {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(0_u64) }
    }
}

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.seed)
    }
}

/// The hash of the numbers so far.
#[derive(Debug)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = (self.0 ^ number).wrapping_mul(FACTOR);
        // The low bits of a product depend on the low bits of its factors only.
        self.0 = product ^ (product >> 32);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EntryId;
    use std::collections::BTreeSet;

    /// A map uses the lowest bits of a hash for the place, and the seven highest to compare.
    #[test]
    fn hashes_of_ids_that_servers_give_are_spread_in_their_low_and_high_bits() {
        const IDS: u64 = 4_096;
        type Row = (&'static str, fn(u64) -> EntryId);
        let rows: [Row; 6] = [
            ("one a millisecond", |n| EntryId::new(1_700_000_000_000 + n, 0)),
            ("one a second", |n| EntryId::new(1_700_000_000_000 + n * 1_000, 0)),
            ("one in 1,024 ms", |n| EntryId::new(1_700_000_000_000 + (n << 10), 0)),
            ("one in 2^32 ms", |n| EntryId::new(n << 32, 0)),
            ("all in one millisecond", |n| EntryId::new(1_700_000_000_000, n)),
            ("64 a millisecond", |n| EntryId::new(1_700_000_000_000 + n / 64, n % 64)),
        ];
        for seed in [0, 1, u64::MAX, 0x0123_4567_89AB_CDEF] {
            for (name, id) in rows {
                let hashes: Vec<u64> =
                    (0..IDS).map(|n| KeyHash { seed }.hash_one((0_usize, id(n)))).collect();
                let low: BTreeSet<u64> = hashes.iter().map(|hash| hash % IDS).collect();
                let high: BTreeSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
                // Random hashes would have 63 % of the places.
                assert!(low.len() > 2_000, "{name}, seed {seed:x}: {} places", low.len());
                assert!(high.len() > 100, "{name}, seed {seed:x}: {} of 128", high.len());
            }
        }
    }

    #[test]
    fn seeds_differ_and_change_the_hash() {
        let (one, other) = (KeyHash::default(), KeyHash::default());
        let key = (0_usize, EntryId::new(1, 0));
        assert_eq!(one.hash_one(key), one.clone().hash_one(key));
        assert_ne!(one.hash_one(key), other.hash_one(key));
    }
}
