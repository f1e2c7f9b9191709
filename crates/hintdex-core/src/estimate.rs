//! What a window will take, told before it is built.
//!
//! Hints are uniform, so all buckets of a window are alike but for chance. Some of
//! them are really packed into a file of the store, from made-up hints as many as a
//! bucket will have, and the window is that many times as long.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use hintdex_host::remove_folder;
use hintdex_wire::Slot;

use crate::bucket;
use crate::bulk::{Drafts, Sorted};
use crate::geometry::Geometry;
use crate::index::LiveIndex;
use crate::{Error, Progress};

/// Hints that are packed to foretell the others: a tenth of a second's work.
const SAMPLE_LEN_HINTS: u64 = 1 << 18;

/// What the window of a fleet will take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowEstimate {
    /// Live hints of the fleet.
    pub hints: u64,
    /// The length of the window's files in bytes.
    pub bytes: u64,
    /// Bits of a hint that will name its bucket.
    pub prefix_bits: u8,
    /// Bits of a hint that its entry will carry.
    pub suffix_bits: u8,
    /// What rows in memory and the block cache will take of it once all was asked for, in
    /// bytes, by the memory the index may take.
    pub memory_bytes: u64,
    /// How often every hint will be made, by the memory the index may take.
    pub passes: u64,
    /// How many hints were packed for this, and what sorting, packing and writing
    /// them took on one thread.
    pub sampled_hints: u64,
    /// See [`sampled_hints`](Self::sampled_hints).
    pub sample_took: Duration,
}

impl LiveIndex {
    /// What the window of an index like this one would take if it had `slots` slots:
    /// the bytes within 1 % from some ten thousand hints on.
    ///
    /// Writes a file of a megabyte into the index's folder and removes it; changes
    /// nothing of what the index holds.
    ///
    /// # Errors
    /// What the store or the file system says.
    pub fn foretell(&self, slots: u32) -> Result<WindowEstimate, Error> {
        self.maintain(|| {
            let folder = self.bulk_folder();
            Drafts::new(&folder)?;
            let estimate = self.foretell_in(slots, &folder);
            remove_folder(&folder)?;
            estimate
        })
    }

    fn foretell_in(&self, slots: u32, folder: &Path) -> Result<WindowEstimate, Error> {
        let params = self.params();
        let hints = u64::from(slots) * u64::from(params.lookahead);
        let geometry = Geometry::for_hints(hints, params.scheme);
        let progress = Progress::new(None);
        let bulk = self.bulk(geometry, &progress);
        let buckets = 1_u64 << geometry.prefix_bits();
        let sampled = (buckets * SAMPLE_LEN_HINTS).div_ceil(hints.max(1)).clamp(1, buckets);
        let write = |buckets: u64, name: &str| -> Result<(u64, u64, Duration), Error> {
            let path = folder.join(name);
            let mut words = words(geometry, buckets, hints, slots);
            let started = Instant::now();
            words.sort_unstable();
            let sorted = [Sorted::new(0, words)].into_iter();
            let entries = bulk.write_file(sorted, self.store.tuning(), &path)?;
            let took = started.elapsed();
            let len = if entries == 0 { 0 } else { len_bytes(&path)? };
            Ok((len, entries, took))
        };
        // A file has its footer and properties, however few its rows.
        let (least_bytes, ..) = write(1, "least.sst")?;
        let (bytes, sampled_hints, sample_took) = write(sampled, "sample.sst")?;
        let rows_bytes = match sampled - 1 {
            0 => 0,
            more => scaled(bytes.saturating_sub(least_bytes), buckets - 1, more),
        };
        let passes = bulk.passes(hints).len() as u64;
        let files = (passes * rayon::current_num_threads() as u64).min(buckets);
        let bytes = files * least_bytes + rows_bytes;
        Ok(WindowEstimate {
            hints,
            bytes,
            memory_bytes: self.store.tuning().held_bytes(geometry, bytes),
            prefix_bits: geometry.prefix_bits(),
            suffix_bits: geometry.suffix_bits(),
            passes,
            sampled_hints,
            sample_took,
        })
    }
}

/// Made-up hints of the first `buckets` buckets of a window of `hints`, as the bulk
/// builder has them: the joined bits above a random slot.
fn words(geometry: Geometry, buckets: u64, hints: u64, slots: u32) -> Vec<u64> {
    let count = (u128::from(hints) * u128::from(buckets)) >> geometry.prefix_bits();
    let joined_end = buckets << geometry.suffix_bits();
    let mut state = hints;
    let mut word = || {
        let joined = below(&mut state, joined_end);
        let Slot(slot) = bucket::slot_of(below(&mut state, slots.into()));
        joined << 32 | u64::from(slot)
    };
    (0..u64::try_from(count).unwrap_or(u64::MAX)).map(|_| word()).collect()
}

/// `value` × `times` / `over`.
fn scaled(value: u64, times: u64, over: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(times) / u128::from(over.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// A number below `end`, by SplitMix64 (Steele, Lea and Flood, "Fast Splittable
/// Pseudorandom Number Generators", OOPSLA 2014).
fn below(state: &mut u64, end: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let wide = u128::from(x ^ x >> 31) * u128::from(end);
    u64::try_from(wide >> 64).unwrap_or(0)
}

fn len_bytes(path: &Path) -> Result<u64, Error> {
    Ok(fs::metadata(path).map_err(Error::io("measuring a file", path))?.len())
}
