//! Building a function, level by level.
//!
//! Buckets are settled roughly in the order of their slices. Within a window of buckets,
//! the fuller ones come first: they need several free places at once, which are rare when
//! a slice is nearly full.

use core::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Counts;
use super::free_places::FreePlaces;
use super::level::{BUMPED, Geometry, Level, MAX_SLICE_LEN_PLACES, Orbit, multiplier};
use crate::hash;
use crate::packed::pad;
use crate::spread::{self, Keyed};

/// The number of values of a seed.
const SEEDS: usize = 256;

/// Buckets that wait for their turn at a time.
const WINDOW_LEN_BUCKETS: usize = 256;

/// How many buckets earlier a bucket of so many heads is settled, for the longest slice: 80
/// times the natural logarithm of the number, found by trial. Weights in proportion to the
/// number, as PHast has, bump a fifth more heads.
const AHEAD_BUCKETS: [u32; MAX_BUCKET_LEN_HEADS + 1] = [
    0, 0, 55, 88, 111, 129, 143, 156, 166, 176, 184, 192, 199, 205, 211, 217, 222, 227, 231, 236,
    240, 244, 247, 251, 254, 258, 261, 264, 267, 269, 272, 275, 277,
];

/// Buckets of more heads are bumped: with 4.5 on average, there is none by chance.
const MAX_BUCKET_LEN_HEADS: usize = 32;

/// Appends the function of `heads` to `out`; the heads are in any order, and equal ones count
/// once.
///
/// The search for seeds takes most of the time of a chain's build. The bytes depend on the set of heads and on `seed` only.
pub(crate) fn build(heads: Vec<u64>, seed: u64, out: &mut Vec<u8>) -> Counts {
    let mut counts = Counts::default();
    let mut free_places = Vec::new();
    let mut left = heads;
    for (number, count) in counts.levels.iter_mut().enumerate() {
        let multiplier = multiplier(seed, number);
        let keyed = left.iter().map(|&head| hash::hash(head, multiplier));
        let mut hashes = spread::sorted(keyed.map(|hash| Keyed { hash, value: 0 }));
        // A hash is a bijection: equal hashes are equal heads.
        hashes.dedup();
        *count = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
        let built = Building::new(number, *count, &hashes).run();
        debug_assert_eq!(built.seeds.len(), Level::seeds_len_bytes(number, *count));
        out.extend(&built.seeds);
        pad(out);
        let inverse = hash::inverse(multiplier);
        left = built.bumped.iter().map(|&hash| hash::hash(hash, inverse)).collect();
        // The table has a place for each head, so as many are free as are bumped.
        FreePlaces::write(*count, &built.free(*count), &mut free_places);
    }
    counts.listed = u32::try_from(left.len()).unwrap_or(u32::MAX);
    left.sort_unstable();
    out.extend(left.iter().flat_map(|head| head.to_le_bytes()));
    out.extend(free_places);
    counts
}

/// A level while it is built.
struct Building<'h> {
    geometry: Geometry,
    /// Sorted, so that the heads of a bucket are neighbours.
    hashes: &'h [Keyed],
    /// Where the heads of each bucket end.
    ends: Vec<u32>,
    used: Vec<u64>,
    seeds: Vec<u8>,
    bumped: Vec<u64>,
}

impl<'h> Building<'h> {
    fn new(number: usize, heads: u32, hashes: &'h [Keyed]) -> Self {
        let geometry = Geometry::new(number, heads);
        let mut ends = vec![0_u32; geometry.buckets as usize];
        for key in hashes {
            let bucket = geometry.bucket(key.hash) as usize;
            ends.get_mut(bucket).into_iter().for_each(|count| *count += 1);
        }
        let mut end = 0;
        for count in &mut ends {
            end += *count;
            *count = end;
        }
        Self {
            geometry,
            hashes,
            seeds: vec![BUMPED; ends.len()],
            ends,
            used: vec![0; (heads as usize).div_ceil(64)],
            bumped: Vec::new(),
        }
    }

    /// The hashes of a bucket.
    fn bucket(&self, bucket: usize) -> &'h [Keyed] {
        let start = bucket.checked_sub(1).and_then(|before| self.ends.get(before));
        let end = self.ends.get(bucket).copied().unwrap_or_default();
        let bucket = start.copied().unwrap_or_default() as usize..end as usize;
        self.hashes.get(bucket).unwrap_or_default()
    }

    /// Settles every bucket.
    fn run(mut self) -> Self {
        let mut waiting = BinaryHeap::with_capacity(WINDOW_LEN_BUCKETS);
        let mut coming = 0..self.seeds.len();
        loop {
            while waiting.len() < WINDOW_LEN_BUCKETS
                && let Some(bucket) = coming.next()
            {
                let len_heads = self.bucket(bucket).len();
                if len_heads != 0 {
                    waiting.push(Reverse((bucket as i64 - self.ahead_buckets(len_heads), bucket)));
                }
            }
            let Some(Reverse((_, bucket))) = waiting.pop() else { return self };
            self.settle(bucket);
        }
    }

    /// How many buckets earlier a bucket of so many heads is settled.
    fn ahead_buckets(&self, len_heads: usize) -> i64 {
        let ahead = AHEAD_BUCKETS.get(len_heads).copied().unwrap_or(u32::MAX);
        let slice_len = i64::from(self.geometry.slice_mask) + 1;
        i64::from(ahead) * slice_len / i64::from(MAX_SLICE_LEN_PLACES)
    }

    /// Chooses the seed of a bucket and takes its places, or bumps its heads.
    fn settle(&mut self, bucket: usize) {
        let hashes = self.bucket(bucket);
        let mut orbits = [Orbit::default(); MAX_BUCKET_LEN_HEADS];
        for (orbit, key) in orbits.iter_mut().zip(hashes) {
            *orbit = self.geometry.orbit(key.hash);
        }
        let Some(orbits) = orbits.get(..hashes.len()) else { return self.bump(hashes) };
        let seed = self.best_seed(orbits);
        if seed == BUMPED {
            return self.bump(hashes);
        }
        self.seeds.get_mut(bucket).into_iter().for_each(|place| *place = seed);
        for orbit in orbits {
            let place = orbit.place(seed);
            let word = self.used.get_mut(place as usize / 64);
            word.into_iter().for_each(|word| *word |= 1 << (place % 64));
        }
    }

    fn bump(&mut self, hashes: &[Keyed]) {
        self.bumped.extend(hashes.iter().map(|key| key.hash));
    }

    /// The seed with the lowest sum of places of those that put all heads of a bucket on
    /// free and different places; [`BUMPED`] if there is none.
    fn best_seed(&self, orbits: &[Orbit]) -> u8 {
        let [first, others @ ..] = orbits else { return BUMPED };
        // Head by head, the seeds that pass move to the front; a branch would be
        // mispredicted every other time.
        let (mut seeds, mut count) = ([0_u8; SEEDS], 0);
        for (seed, place) in (1..=u8::MAX).zip(first.places()) {
            if let Some(kept) = seeds.get_mut(count % SEEDS) {
                *kept = seed;
            }
            count += usize::from(self.is_free(place));
        }
        for orbit in others {
            let mut kept = 0;
            for at in 0..count {
                let seed = seeds.get(at % SEEDS).copied().unwrap_or_default();
                if let Some(place) = seeds.get_mut(kept % SEEDS) {
                    *place = seed;
                }
                kept += usize::from(self.is_free(orbit.place(seed)));
            }
            count = kept;
        }
        let (mut best, mut least) = (BUMPED, u64::MAX);
        for &seed in seeds.iter().take(count) {
            let sum = orbits.iter().map(|orbit| u64::from(orbit.place(seed))).sum();
            if sum < least && are_distinct(orbits, seed) {
                (best, least) = (seed, sum);
            }
        }
        best
    }

    #[inline(always)]
    fn is_free(&self, place: u32) -> bool {
        self.used.get(place as usize / 64).is_some_and(|word| word >> (place % 64) & 1 == 0)
    }

    /// The places below `places` that no head has.
    fn free(&self, places: u32) -> Vec<u32> {
        let mut free = Vec::with_capacity(self.bumped.len());
        for (&word, first) in self.used.iter().zip((0..places).step_by(64)) {
            let mut left = !word;
            while left != 0 {
                free.push(first + left.trailing_zeros());
                left &= left - 1;
            }
        }
        free.truncate(free.partition_point(|&place| place < places));
        free
    }
}

/// Whether `seed` puts the heads of a bucket on different places.
fn are_distinct(orbits: &[Orbit], seed: u8) -> bool {
    orbits.iter().enumerate().all(|(at, orbit)| {
        let mut before = orbits.iter().take(at);
        before.all(|other| other.place(seed) != orbit.place(seed))
    })
}
