//! Building a function, level by level.
//!
//! Buckets are settled roughly in the order of their slices. Within a window of buckets,
//! the fuller ones come first: they need several free places at once, which are rare when
//! a slice is nearly full.

use super::Counts;
use super::free_places::FreePlaces;
use super::level::{
    BUMPED, Geometry, Level, MAX_SLICE_LEN_PLACES, Orbit, PATTERNS, SHIFTS, multiplier,
};
use super::used_places::UsedPlaces;
use crate::hash;
use crate::kernel::{Kernel, Retrieve, Work};
use crate::packed::pad;
use crate::spread::{self, Keyed};

/// How many buckets earlier a bucket of *k* heads is settled, for the longest slice:
/// 408 · (1 − 1/√*k*), found by trial. Weights in proportion to *k*, as PHast has, bump a third
/// more heads.
const AHEAD_BUCKETS: [u16; MAX_BUCKET_LEN_HEADS + 1] = [
    0, 0, 120, 172, 204, 226, 241, 254, 264, 272, 279, 285, 290, 295, 299, 303, 306, 309, 312, 314,
    317, 319, 321, 323, 325, 326, 328, 329, 331, 332, 334, 335, 336,
];

/// Buckets of more heads are bumped: with 4.5 on average, there is none by chance.
const MAX_BUCKET_LEN_HEADS: usize = 32;

/// The bits of a seed below the sum in a cost.
const SEED_BITS: u32 = u8::BITS;

/// The cost of a pattern without a seed: above every sum of 32 offsets.
const NO_SEED: u32 = 1 << 31;

/// Appends the function of `heads` to `out`; the heads are in any order, and equal ones count
/// once.
///
/// Costs about 0.1 µs a head. The bytes depend on the set of heads and on `seed` only.
pub(crate) fn build(heads: Vec<u64>, seed: u64, out: &mut Vec<u8>) -> Counts {
    build_by(Kernel::best(), heads, seed, out)
}

/// As [`build`]; all kernels build the same bytes.
pub(super) fn build_by(kernel: Kernel, heads: Vec<u64>, seed: u64, out: &mut Vec<u8>) -> Counts {
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
        let built = kernel.run(Building::new(number, *count, &hashes));
        debug_assert_eq!(built.seeds.len(), Level::seeds_len_bytes(number, *count));
        out.extend(&built.seeds);
        pad(out);
        let inverse = hash::inverse(multiplier);
        left = built.bumped.iter().map(|&hash| hash::hash(hash, inverse)).collect();
        // The table has a place for each head, so as many are free as are bumped.
        let free: Vec<_> = built.used.free(*count).collect();
        FreePlaces::write(*count, &free, &mut free_places);
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
    used: UsedPlaces,
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
            used: UsedPlaces::new(heads),
            bumped: Vec::new(),
        }
    }

    /// The hashes of a bucket.
    #[inline(always)]
    fn bucket(&self, bucket: usize) -> &'h [Keyed] {
        let start = bucket.checked_sub(1).and_then(|before| self.ends.get(before));
        let end = self.ends.get(bucket).copied().unwrap_or_default();
        let bucket = start.copied().unwrap_or_default() as usize..end as usize;
        self.hashes.get(bucket).unwrap_or_default()
    }

    /// Chooses the seed of a bucket and takes its places, or bumps its heads.
    #[inline(always)]
    fn settle(&mut self, bucket: usize) {
        let hashes = self.bucket(bucket);
        let mut orbits = [Orbit::default(); MAX_BUCKET_LEN_HEADS];
        for (orbit, key) in orbits.iter_mut().zip(hashes) {
            *orbit = self.geometry.orbit(key.hash);
        }
        let orbits = orbits.get(..hashes.len()).unwrap_or_default();
        let seed = self.best_seed(orbits);
        if seed == BUMPED {
            return self.bump(hashes);
        }
        self.seeds.get_mut(bucket).into_iter().for_each(|place| *place = seed);
        orbits.iter().for_each(|orbit| self.used.insert(orbit.place(seed)));
    }

    fn bump(&mut self, hashes: &[Keyed]) {
        self.bumped.extend(hashes.iter().map(|key| key.hash));
    }

    /// The seed with the lowest sum of places of those that put all heads of a bucket on
    /// free and different places; [`BUMPED`] if there is none.
    #[inline(always)]
    fn best_seed(&self, orbits: &[Orbit]) -> u8 {
        let mut costs = self.costs(orbits);
        loop {
            let least = costs.iter().copied().min().unwrap_or(NO_SEED);
            if orbits.is_empty() || least >= NO_SEED {
                return BUMPED;
            }
            let [seed, ..] = least.to_le_bytes();
            if are_apart(orbits, seed) {
                return seed;
            }
            // A longer shift wraps, too, and moves equal places alike.
            let pattern = costs.iter_mut().find(|cost| **cost == least);
            pattern.into_iter().for_each(|cost| *cost = NO_SEED);
        }
    }

    /// For each pattern, the seed with the least shift that puts all heads on free places, behind
    /// the sum of the offsets of these places; [`NO_SEED`] and more if there is none.
    #[inline(always)]
    fn costs(&self, orbits: &[Orbit]) -> [u32; PATTERNS] {
        // A bit for each shift, set if it puts a head on a used place. Seed 0 is no seed.
        let mut used = [0_u8; PATTERNS];
        used.first_mut().into_iter().for_each(|used| *used |= 1 << BUMPED);
        let (mut sums, mut offsets) = ([0; PATTERNS], [0; PATTERNS]);
        for orbit in orbits {
            let Some(slice) = self.used.slice(orbit.start) else { return [NO_SEED; PATTERNS] };
            for (offset, pattern) in offsets.iter_mut().zip(0..) {
                *offset = orbit.offset(pattern);
            }
            sums.iter_mut().zip(&offsets).for_each(|(sum, offset)| *sum += offset);
            for (used, offset) in used.iter_mut().zip(&offsets) {
                let byte = slice.get((offset % MAX_SLICE_LEN_PLACES) as usize);
                *used |= byte.copied().unwrap_or(u8::MAX);
            }
        }
        let heads = u32::try_from(orbits.len()).unwrap_or(0);
        let seeds = (0..).step_by(SHIFTS as usize);
        let mut costs = [NO_SEED; PATTERNS];
        for (((cost, used), sum), seed) in costs.iter_mut().zip(used).zip(sums).zip(seeds) {
            let shift = u32::from(used).trailing_ones();
            // Eight ones leave no shift.
            let full = shift / SHIFTS * NO_SEED;
            *cost = full + ((sum + heads * shift) << SEED_BITS) + seed + shift;
        }
        costs
    }
}

impl Work for Building<'_> {
    type Output = Self;

    /// Settles every bucket. Compiled for a kernel because the processor tries the patterns of
    /// a bucket side by side.
    #[inline(always)]
    fn run<P: Retrieve>(mut self, _: P) -> Self {
        let ahead_buckets = AHEAD_BUCKETS.map(|ahead| {
            let slice_len = self.geometry.slice_mask as usize + 1;
            usize::from(ahead) * slice_len / MAX_SLICE_LEN_PLACES as usize
        });
        let [.., longest] = ahead_buckets;
        // The number of heads of each bucket, with zeros before the first and behind the last.
        let mut lens = vec![0_u8; longest];
        for bucket in 0..self.seeds.len() {
            let hashes = self.bucket(bucket);
            lens.push(u8::try_from(hashes.len()).unwrap_or(u8::MAX));
            if hashes.len() > MAX_BUCKET_LEN_HEADS {
                self.bump(hashes);
            }
        }
        lens.resize(lens.len() + longest, 0);
        for turn in 0..self.seeds.len() + longest {
            for (len, ahead) in (0..).zip(ahead_buckets).skip(1) {
                if lens.get(turn + ahead) == Some(&len) {
                    self.settle(turn + ahead - longest);
                }
            }
        }
        self
    }
}

/// Whether `seed` puts the heads of a bucket on different places, without a wrap.
#[inline(always)]
fn are_apart(orbits: &[Orbit], seed: u8) -> bool {
    orbits.iter().enumerate().all(|(at, orbit)| {
        let mut before = orbits.iter().take(at);
        !orbit.wraps(seed) && before.all(|other| other.place(seed) != orbit.place(seed))
    })
}
