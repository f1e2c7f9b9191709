//! The size of a window, estimated before it is built.
//!
//! Hints are uniform, so the buckets of a window differ by chance only. A sample of buckets is
//! packed into a file of the store, from random hints in the expected number. The window is
//! longer by the ratio of the numbers of buckets.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use hintdex_host::{SplitMix64, remove_folder};
use hintdex_wire::Slot;

use crate::Error;
use crate::bucket;
use crate::bulk::{Drafts, SortedPartition};
use crate::geometry::Geometry;
use crate::index::LiveIndex;
use crate::progress::Progress;

/// The length of the sample in hints: a tenth of a second of work.
const SAMPLE_LEN_HINTS: u64 = 1 << 18;

/// The expected size of a fleet's window.
///
/// See the example of [`LiveIndex`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowEstimate {
    /// Live hints of the fleet.
    pub hints: u64,
    /// The length of the window's files in bytes.
    pub bytes: u64,
    /// The bits of a hint that will select its bucket.
    pub prefix_bits: u8,
    /// The bits of a hint that its entry will carry.
    pub suffix_bits: u8,
    /// The bytes of the window that the row cache and the block cache will hold once every
    /// bucket was looked up, within [`Options::memory_bytes`](crate::Options::memory_bytes).
    pub memory_bytes: u64,
    /// The passes of the build, each of which computes every hint, within the same memory.
    pub passes: u64,
    /// The number of hints in the sample.
    pub sampled_hints: u64,
    /// The time that sorting, packing and writing the sample took on one thread.
    pub sample_took: Duration,
}

impl LiveIndex {
    /// Estimates the window of an index like this one with `slots` slots. The length is within
    /// 1 % from some ten thousand hints on.
    ///
    /// Writes a file of a megabyte into the index's folder and removes it; the contents of the
    /// index do not change.
    ///
    /// # Errors
    /// Those of the store or of the file system.
    pub fn estimate(&self, slots: u32) -> Result<WindowEstimate, Error> {
        self.maintain(|| {
            let folder = self.bulk_folder();
            Drafts::new(&folder)?;
            let estimate = self.estimate_in(slots, &folder);
            remove_folder(&folder)?;
            estimate
        })
    }

    fn estimate_in(&self, slots: u32, folder: &Path) -> Result<WindowEstimate, Error> {
        let params = self.params();
        let hints = u64::from(slots) * u64::from(params.lookahead);
        let geometry = Geometry::for_hints(hints, params.scheme);
        let progress = Progress::new(None);
        let bulk = self.bulk(geometry, &progress);
        let buckets = 1_u64 << geometry.prefix_bits();
        let sampled = (buckets * SAMPLE_LEN_HINTS).div_ceil(hints.max(1)).clamp(1, buckets);
        let write = |buckets: u64, name: &str| -> Result<(u64, u64, Duration), Error> {
            let path = folder.join(name);
            let mut words = random_words(geometry, buckets, hints, slots);
            let started = Instant::now();
            words.sort_unstable();
            let sorted = [SortedPartition::new(0, words)].into_iter();
            let entries = bulk.write_file(sorted, self.store.tuning(), &path)?;
            let took = started.elapsed();
            let len = if entries == 0 { 0 } else { len_bytes(&path)? };
            Ok((len, entries, took))
        };
        // The footer and the properties of a file do not depend on the number of its rows.
        let (min_file_bytes, ..) = write(1, "one_bucket.sst")?;
        let (bytes, sampled_hints, sample_took) = write(sampled, "sample.sst")?;
        let rows_bytes = match sampled - 1 {
            0 => 0,
            more => scaled(bytes.saturating_sub(min_file_bytes), buckets - 1, more),
        };
        let passes = bulk.passes(hints).len() as u64;
        let files = (passes * rayon::current_num_threads() as u64).min(buckets);
        let bytes = files * min_file_bytes + rows_bytes;
        Ok(WindowEstimate {
            hints,
            bytes,
            memory_bytes: self.store.tuning().cached_bytes(geometry, bytes),
            prefix_bits: geometry.prefix_bits(),
            suffix_bits: geometry.suffix_bits(),
            passes,
            sampled_hints,
            sample_took,
        })
    }
}

/// Random hints of the first `buckets` buckets of a window of `hints`, as the words of the
/// bulk builder: the joined bits above a random slot.
fn random_words(geometry: Geometry, buckets: u64, hints: u64, slots: u32) -> Vec<u64> {
    let count = (u128::from(hints) * u128::from(buckets)) >> geometry.prefix_bits();
    let joined_end = buckets << geometry.suffix_bits();
    let mut random = SplitMix64::new(hints);
    let mut word = || {
        let joined = random.below(joined_end);
        let Slot(slot) = bucket::slot_of(random.below(slots.into()));
        joined << 32 | u64::from(slot)
    };
    (0..u64::try_from(count).unwrap_or(u64::MAX)).map(|_| word()).collect()
}

/// `value` × `times` / `over`.
fn scaled(value: u64, times: u64, over: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(times) / u128::from(over.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn len_bytes(path: &Path) -> Result<u64, Error> {
    Ok(fs::metadata(path).map_err(Error::io("reading the length of a file", path))?.len())
}
