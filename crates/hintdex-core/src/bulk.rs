//! The bulk build: all live hints of a fleet, sorted, packed, in files to ingest.
//!
//! A pass makes every hint once and keeps those of its share of the radix range,
//! as one word each: the bits of the hint below its partition, then the slot.
//! Partitions are then sorted and packed side by side. When all words do not fit
//! into the memory given, there are several passes, each making the hints again:
//! on one core that is 5 ns a hint and the key's derivation a slot, less than
//! writing and reading a spill file would cost.

use std::ops::Range;
use std::path::{Path, PathBuf};

use hintdex_wire::{HintCipher, HintScheme, KeyId, KeySource, Nonce, Slot};
use rayon::prelude::*;
use rocksdb::SstFileWriter;

use crate::bucket::{self, Entry};
use crate::geometry::Geometry;
use crate::store::Tuning;
use crate::{Error, Progress};

/// Partitions there are at most: by the top eight bits of a hint.
const MAX_PARTITION_BITS: u32 = 8;

/// Slots a task makes the hints of.
const SLOTS_PER_TASK: u32 = 16 << 10;

/// A slot whose hints are to be in the index.
pub(crate) struct LiveSlot {
    pub(crate) slot: Slot,
    pub(crate) key: KeyId,
    pub(crate) nonces: Range<Nonce>,
}

/// What is live: the states of the fleet as the builder sees them.
pub(crate) trait LiveSlots: Sync {
    /// How many slots there are.
    fn slot_count(&self) -> u32;
    /// The live ones among `slots`, in order.
    fn live(&self, slots: Range<u32>) -> Vec<LiveSlot>;
}

/// How a window is built.
pub(crate) struct Bulk<'a> {
    pub(crate) scheme: HintScheme,
    pub(crate) keys: &'a dyn KeySource,
    pub(crate) geometry: Geometry,
    pub(crate) memory_bytes: usize,
    pub(crate) progress: &'a Progress<'a>,
}

/// Sorted entries of all buckets of a partition, as (joined hint bits, slot).
pub(crate) type Sorted = Vec<(u64, Slot)>;

impl Bulk<'_> {
    /// Builds the files of a window in `folder` and returns them with the number of entries.
    ///
    /// The same fleet gives the same rows, whatever the memory and the threads.
    pub(crate) fn write_files(
        &self,
        fleet: &impl LiveSlots,
        hints: u64,
        tuning: &Tuning,
        folder: &Path,
    ) -> Result<(Vec<PathBuf>, u64), Error> {
        let mut files = Vec::new();
        let mut entries = 0;
        let passes = self.passes(hints);
        self.progress.expect(u64::from(fleet.slot_count()) * passes.len() as u64);
        for pass in passes {
            let made = self.make_words(fleet, &pass)?;
            // A file a thread and pass: few enough to open fast, enough to share the work.
            let per_file = pass.len().div_ceil(rayon::current_num_threads());
            let partitions: Vec<_> = pass.clone().collect();
            let written: Vec<_> = partitions
                .par_chunks(per_file)
                .map(|share| {
                    let path = folder.join(format!("{:03}.sst", share.first().unwrap_or(&0)));
                    let sorted = share.iter().map(|&partition| self.sort(partition, &pass, &made));
                    self.write_file(sorted, tuning, &path).map(|count| (path, count))
                })
                .collect::<Result<_, _>>()?;
            for (path, count) in written.into_iter().filter(|(_, count)| *count > 0) {
                files.push(path);
                entries += count;
            }
        }
        Ok((files, entries))
    }

    /// Calls `check` with the sorted entries of every partition, in order: what
    /// the window must hold.
    pub(crate) fn for_each_partition(
        &self,
        fleet: &impl LiveSlots,
        hints: u64,
        mut check: impl FnMut(Sorted) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for pass in self.passes(hints) {
            let made = self.make_words(fleet, &pass)?;
            pass.clone().try_for_each(|partition| check(self.sort(partition, &pass, &made)))?;
        }
        Ok(())
    }

    fn partition_bits(&self) -> u32 {
        MAX_PARTITION_BITS.min(self.geometry.prefix_bits().into())
    }

    /// Runs of partitions whose words fit into the memory together.
    pub(crate) fn passes(&self, hints: u64) -> Vec<Range<usize>> {
        let partitions = 1usize << self.partition_bits();
        // The words, and a third for their growth and the sorting of a partition.
        let needed_bytes =
            usize::try_from(hints).unwrap_or(usize::MAX).saturating_mul(size_of::<u64>() * 4 / 3);
        let passes = needed_bytes.div_ceil(self.memory_bytes.max(1)).clamp(1, partitions);
        let per_pass = partitions.div_ceil(passes);
        (0..partitions)
            .step_by(per_pass)
            .map(|first| first..partitions.min(first + per_pass))
            .collect()
    }

    /// The hints of every live slot that fall into the partitions of `pass`: for
    /// each task one list of words a partition.
    fn make_words(
        &self,
        fleet: &impl LiveSlots,
        pass: &Range<usize>,
    ) -> Result<Vec<Vec<Vec<u64>>>, Error> {
        let slots = fleet.slot_count();
        (0..slots.div_ceil(SLOTS_PER_TASK))
            .into_par_iter()
            .map(|task| {
                let first = task * SLOTS_PER_TASK;
                let range = first..slots.min(first.saturating_add(SLOTS_PER_TASK));
                let made = self.make_words_of(&fleet.live(range.clone()), pass);
                self.progress.advance(range.len() as u64);
                made
            })
            .collect()
    }

    fn make_words_of(
        &self,
        live: &[LiveSlot],
        pass: &Range<usize>,
    ) -> Result<Vec<Vec<u64>>, Error> {
        let hints: u64 = live.iter().map(|slot| slot.nonces.end - slot.nonces.start).sum();
        let expected = usize::try_from(hints >> self.partition_bits()).unwrap_or(0);
        // Three standard deviations of room, so that a list seldom grows.
        let room = expected + 3 * expected.isqrt() + 4;
        let mut lists = vec![Vec::with_capacity(room); pass.len()];
        let kept_bits = self.kept_bits();
        for LiveSlot { slot, key, nonces } in live {
            let hint_key = self.keys.hint_key(*key).ok_or(Error::NoSuchKey(*key))?;
            let cipher = HintCipher::new(self.scheme, &hint_key);
            cipher.each_hint(nonces.clone(), |hint| {
                let joined = self.geometry.joined(hint.head());
                let partition = usize::try_from(joined >> kept_bits).unwrap_or(usize::MAX);
                let list = partition.checked_sub(pass.start).and_then(|at| lists.get_mut(at));
                if let Some(list) = list {
                    list.push((joined & ((1 << kept_bits) - 1)) << 32 | u64::from(slot.0));
                }
            });
        }
        Ok(lists)
    }

    /// Bits of a joined value below its partition: at most 32.
    fn kept_bits(&self) -> u32 {
        u32::from(self.geometry.prefix_bits() + self.geometry.suffix_bits()) - self.partition_bits()
    }

    fn sort(&self, partition: usize, pass: &Range<usize>, made: &[Vec<Vec<u64>>]) -> Sorted {
        let lists = || made.iter().filter_map(|lists| lists.get(partition - pass.start));
        let mut words = Vec::with_capacity(lists().map(Vec::len).sum());
        lists().for_each(|list| words.extend_from_slice(list));
        words.sort_unstable();
        let high = (partition as u64) << self.kept_bits();
        words.into_iter().map(|word| (high | word >> 32, bucket::slot_of(word))).collect()
    }

    /// Packs sorted partitions into the buckets of one file; counts the entries.
    pub(crate) fn write_file(
        &self,
        partitions: impl Iterator<Item = Sorted>,
        tuning: &Tuning,
        path: &Path,
    ) -> Result<u64, Error> {
        let options = tuning.window();
        let mut writer = SstFileWriter::create(&options);
        let failed = Error::store;
        let mut count = 0;
        let mut packed = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        for sorted in partitions {
            for bucket in
                sorted.chunk_by(|a, b| self.geometry.split(a.0).0 == self.geometry.split(b.0).0)
            {
                let Some((joined, _)) = bucket.first() else { continue };
                if count == 0 {
                    writer.open(path).map_err(failed("making a file to ingest"))?;
                }
                let (key, _) = self.geometry.split(*joined);
                entries.clear();
                entries.extend(
                    bucket
                        .iter()
                        .map(|(joined, slot)| bucket::entry(self.geometry.split(*joined).1, *slot)),
                );
                entries.dedup();
                packed.clear();
                bucket::encode(&entries, self.geometry.suffix_bits().into(), &mut packed);
                writer.put(key, &packed).map_err(failed("writing a file to ingest"))?;
                count += entries.len() as u64;
            }
        }
        if count > 0 {
            writer.finish().map_err(failed("finishing a file to ingest"))?;
        }
        Ok(count)
    }
}
