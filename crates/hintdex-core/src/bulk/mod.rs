//! The bulk build: all live hints of a fleet, sorted and packed into files to ingest.
//!
//! A pass computes every hint once and keeps the hints of its part of the radix range. Each
//! is one word: the bits of the hint below its partition, then the slot. Partitions are then
//! sorted and packed in parallel. If the words do not all fit into the memory, there are
//! several passes, and each computes all hints again. On one core that costs 5 ns a hint and
//! the derivation of the key for each slot: less than writing and reading a spill file.

mod drafts;
mod radix;

use std::ops::Range;
use std::path::{Path, PathBuf};

use hintdex_wire::{Hint, KeyId, KeySource, Nonce, Slot};
use rayon::ThreadPool;
use rayon::prelude::*;
use rocksdb::SstFileWriter;
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

use crate::Error;
use crate::bits::mask;
use crate::bucket::{self, Entry};
use crate::geometry::{BucketKey, Geometry};
use crate::params::Params;
use crate::progress::Progress;
use crate::store::Tuning;

use drafts::read_back;
pub(crate) use drafts::{Drafts, PlanDigest};

/// The largest number of partition bits: at most the top eight bits of a hint select its
/// partition.
const MAX_PARTITION_BITS: u32 = 8;

/// The slots whose hints one task computes.
const SLOTS_PER_TASK: u32 = 16 << 10;

/// The approximate length of a hint in a window. A window that fits into the memory is read
/// back after the build, so that its first lookups do not wait for the disk.
const APPROX_HINT_LEN_BYTES: u64 = 4;

/// A slot and the nonces whose hints a window must hold.
pub(crate) struct LiveSlot {
    pub(crate) slot: Slot,
    pub(crate) key: KeyId,
    pub(crate) nonces: Range<Nonce>,
}

/// The live slots of a fleet, as the builder reads them.
pub(crate) trait LiveSlots: Sync {
    /// The number of slots.
    fn slot_count(&self) -> u32;
    /// The live slots among `slots`, in order.
    fn live(&self, slots: Range<u32>) -> Vec<LiveSlot>;
    /// Whether some slots have imported keys.
    fn has_imported_keys(&self) -> bool;
    /// Handles a live slot whose key is missing. The builder leaves the slot out.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`] if the window must not be built without the slot.
    fn handle_missing_key(&self, slot: &LiveSlot) -> Result<(), Error>;
}

/// The builder of a window's files.
pub(crate) struct BulkBuilder<'a> {
    pub(crate) params: Params,
    pub(crate) keys: &'a dyn KeySource,
    pub(crate) geometry: Geometry,
    pub(crate) memory_bytes: usize,
    /// The pool that the builder forks on. It runs nothing else, because the caller holds a lock.
    pub(crate) workers: &'a ThreadPool,
    pub(crate) progress: &'a Progress<'a>,
}

/// The sorted hints of a partition.
pub(crate) struct SortedPartition {
    /// The bits of a joined value that all hints of the partition share.
    high: u64,
    /// The other bits of each hint's joined value, above its slot.
    words: Vec<u64>,
}

impl SortedPartition {
    /// A partition whose hints share the bits `high`. Each word holds the other bits of a
    /// joined value above the slot; `words` must be sorted.
    pub(crate) const fn new(high: u64, words: Vec<u64>) -> Self {
        Self { high, words }
    }

    /// Calls `each` with every bucket's key and entries, in order.
    pub(crate) fn each_bucket(
        &self,
        geometry: Geometry,
        mut each: impl FnMut(BucketKey, &[Entry]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let entry_bits = 32 + u32::from(geometry.suffix_bits());
        let mut entries: Vec<Entry> = Vec::new();
        for bucket in self.words.chunk_by(|a, b| a >> entry_bits == b >> entry_bits) {
            let Some(first) = bucket.first() else { continue };
            entries.clear();
            entries.extend(bucket.iter().map(|word| word & mask(entry_bits)));
            entries.dedup();
            each(geometry.split(self.high | first >> 32).0, &entries)?;
        }
        Ok(())
    }
}

impl BulkBuilder<'_> {
    /// Builds the files of a window; returns them and the number of entries.
    ///
    /// The same fleet yields the same rows, whatever the memory and the number of threads.
    pub(crate) fn write_files(
        &self,
        fleet: &impl LiveSlots,
        hints: u64,
        tuning: &Tuning,
        drafts: &Drafts,
    ) -> Result<(Vec<PathBuf>, u64), Error> {
        let mut files = Vec::new();
        let mut entries = 0;
        let passes = self.passes(hints);
        let slots = u64::from(fleet.slot_count());
        self.progress.set_total(slots * passes.len() as u64);
        for pass in passes {
            let shares = self.shares(&pass);
            let finished: Option<Vec<_>> =
                shares.iter().map(|share| drafts.finished(share)).collect();
            let written = match finished {
                Some(finished) => {
                    self.progress.advance(slots);
                    finished
                }
                None => self.write_pass(fleet, &shares, tuning, drafts)?,
            };
            if hints.saturating_mul(APPROX_HINT_LEN_BYTES) <= self.memory_bytes as u64 {
                let files = written.par_iter().filter(|(_, count)| *count > 0);
                self.workers.install(|| {
                    files.try_for_each(|(path, _)| {
                        read_back(path).map_err(Error::io("reading a file back", path))
                    })
                })?;
            }
            for (path, count) in written.into_iter().filter(|(_, count)| *count > 0) {
                files.push(path);
                entries += count;
            }
        }
        Ok((files, entries))
    }

    /// Builds the files of one pass: one file for each share of its partitions.
    fn write_pass(
        &self,
        fleet: &impl LiveSlots,
        shares: &[Range<usize>],
        tuning: &Tuning,
        drafts: &Drafts,
    ) -> Result<Vec<(PathBuf, u64)>, Error> {
        let first = shares.first().map_or(0, |share| share.start);
        let pass = first..shares.last().map_or(first, |share| share.end);
        let words = self.compute_words(fleet, &pass)?;
        let write = |share: &Range<usize>| {
            let sorted = share.clone().map(|partition| self.sort(partition, &pass, &words));
            let draft = drafts.draft(share);
            match self.write_file(sorted, tuning, &draft)? {
                0 => Ok((draft, 0)),
                count => Ok((drafts.finish(share, count)?, count)),
            }
        };
        match shares {
            // One share: the pool is not needed.
            [share] => Ok(vec![write(share)?]),
            shares => self.workers.install(|| shares.par_iter().map(write).collect()),
        }
    }

    /// A digest of everything that determines the files of a window.
    pub(crate) fn plan_digest(
        &self,
        fleet: &impl LiveSlots,
        hints: u64,
        context: &[&[u8]],
    ) -> Result<PlanDigest, Error> {
        let mut digest = Sha256::new();
        context.iter().for_each(|part| digest.update(part));
        digest.update([
            self.params.scheme.number(),
            self.geometry.prefix_bits(),
            self.geometry.suffix_bits(),
        ]);
        for share in self.passes(hints).iter().flat_map(|pass| self.shares(pass)) {
            digest.update([share.start, share.end].map(|end| end as u64).as_bytes());
        }
        let has_imported_keys = fleet.has_imported_keys();
        let of_task = |slots: Range<u32>| -> Result<[u8; 32], Error> {
            let mut digest = Sha256::new();
            for live @ LiveSlot { slot, key, nonces } in &fleet.live(slots) {
                let ids = [slot.0, key.device.0, key.generation.into()];
                digest.update(ids.as_bytes());
                digest.update([nonces.start, nonces.end].as_bytes());
                // An imported key may have been replaced since an earlier build.
                if has_imported_keys {
                    let mut head = 0;
                    let first = nonces.start..nonces.start.saturating_add(1);
                    if !self.each_hint(*key, first, |hint| head = hint.head()) {
                        fleet.handle_missing_key(live)?;
                    }
                    digest.update(head.to_le_bytes());
                }
            }
            Ok(digest.finalize().into())
        };
        let tasks = tasks(fleet.slot_count()).map(of_task);
        let tasks: Vec<_> = self.workers.install(|| tasks.collect::<Result<_, _>>())?;
        digest.update(tasks.as_flattened());
        Ok(digest.finalize().into())
    }

    /// Calls `check` with the sorted entries of every partition, in order: the entries that
    /// the window must hold.
    pub(crate) fn for_each_partition(
        &self,
        fleet: &impl LiveSlots,
        hints: u64,
        mut check: impl FnMut(&SortedPartition) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for pass in self.passes(hints) {
            let words = self.compute_words(fleet, &pass)?;
            pass.clone().try_for_each(|partition| check(&self.sort(partition, &pass, &words)))?;
        }
        Ok(())
    }

    /// The shares of a pass: runs of partitions that become one file each. One file a thread
    /// spreads the work, and few files open fast.
    fn shares(&self, pass: &Range<usize>) -> Vec<Range<usize>> {
        let len = pass.len().div_ceil(self.workers.current_num_threads()).max(1);
        let share = |first| first..pass.end.min(first + len);
        pass.clone().step_by(len).map(share).collect()
    }

    fn partition_bits(&self) -> u32 {
        MAX_PARTITION_BITS.min(self.geometry.prefix_bits().into())
    }

    /// The passes of a build: runs of partitions whose words fit into the memory together.
    pub(crate) fn passes(&self, hints: u64) -> Vec<Range<usize>> {
        let partitions = 1usize << self.partition_bits();
        // The words, and a third more for growing lists and for sorting a partition.
        let needed_bytes =
            usize::try_from(hints).unwrap_or(usize::MAX).saturating_mul(size_of::<u64>() * 4 / 3);
        let passes = needed_bytes.div_ceil(self.memory_bytes.max(1)).clamp(1, partitions);
        let per_pass = partitions.div_ceil(passes);
        (0..partitions)
            .step_by(per_pass)
            .map(|first| first..partitions.min(first + per_pass))
            .collect()
    }

    /// The words of every live slot's hints in the partitions of `pass`: for each task, one
    /// list a partition.
    fn compute_words(
        &self,
        fleet: &impl LiveSlots,
        pass: &Range<usize>,
    ) -> Result<Vec<Vec<Vec<u64>>>, Error> {
        let compute = |slots: Range<u32>| {
            let words = self.compute_words_of(fleet, &fleet.live(slots.clone()), pass);
            self.progress.advance(slots.len() as u64);
            words
        };
        let tasks = tasks(fleet.slot_count()).map(compute);
        self.workers.install(|| tasks.collect())
    }

    fn compute_words_of(
        &self,
        fleet: &impl LiveSlots,
        live: &[LiveSlot],
        pass: &Range<usize>,
    ) -> Result<Vec<Vec<u64>>, Error> {
        let hints: u64 = live.iter().map(|slot| slot.nonces.end - slot.nonces.start).sum();
        let expected = usize::try_from(hints >> self.partition_bits()).unwrap_or(0);
        // Three standard deviations of spare room, so that a list rarely grows.
        let room = expected + 3 * expected.isqrt() + 4;
        let mut lists: Vec<Vec<u64>> = pass.clone().map(|_| Vec::with_capacity(room)).collect();
        let kept_bits = self.kept_bits();
        for live @ LiveSlot { slot, key, nonces } in live {
            let has_key = self.each_hint(*key, nonces.clone(), |hint| {
                let joined = self.geometry.joined(hint.head());
                let partition = usize::try_from(joined >> kept_bits).unwrap_or(usize::MAX);
                let list = partition.checked_sub(pass.start).and_then(|at| lists.get_mut(at));
                if let Some(list) = list {
                    list.push((joined & ((1 << kept_bits) - 1)) << 32 | u64::from(slot.0));
                }
            });
            if !has_key {
                fleet.handle_missing_key(live)?;
            }
        }
        Ok(lists)
    }

    fn each_hint(&self, key: KeyId, nonces: Range<Nonce>, made: impl FnMut(Hint)) -> bool {
        self.params.each_hint(self.keys, key, nonces, made)
    }

    /// The bits of a joined value below its partition: at most 32.
    fn kept_bits(&self) -> u32 {
        u32::from(self.geometry.prefix_bits() + self.geometry.suffix_bits()) - self.partition_bits()
    }

    fn sort(
        &self,
        partition: usize,
        pass: &Range<usize>,
        words: &[Vec<Vec<u64>>],
    ) -> SortedPartition {
        // Slots are in order within a task, and tasks are in order.
        let lists = words.iter().filter_map(|lists| lists.get(partition - pass.start));
        let words = radix::sorted(lists.map(Vec::as_slice), self.kept_bits());
        SortedPartition::new((partition as u64) << self.kept_bits(), words)
    }

    /// Packs sorted partitions into the buckets of one file; returns the number of entries.
    pub(crate) fn write_file(
        &self,
        partitions: impl Iterator<Item = SortedPartition>,
        tuning: &Tuning,
        path: &Path,
    ) -> Result<u64, Error> {
        let options = tuning.window();
        let mut writer = SstFileWriter::create(&options);
        let failed = Error::store;
        let mut count = 0;
        let mut packed = Vec::new();
        for sorted in partitions {
            sorted.each_bucket(self.geometry, |key, entries| {
                if count == 0 {
                    writer.open(path).map_err(failed("creating a file to ingest"))?;
                }
                packed.clear();
                bucket::encode(entries, self.geometry.suffix_bits().into(), &mut packed);
                writer.put(key, &packed).map_err(failed("writing a file to ingest"))?;
                count += entries.len() as u64;
                Ok(())
            })?;
        }
        if count > 0 {
            writer.finish().map_err(failed("finishing a file to ingest"))?;
        }
        Ok(count)
    }
}

/// The runs of slots whose hints the tasks compute, in order.
fn tasks(slots: u32) -> impl IndexedParallelIterator<Item = Range<u32>> {
    (0..slots.div_ceil(SLOTS_PER_TASK)).into_par_iter().map(move |task| {
        let first = task * SLOTS_PER_TASK;
        first..slots.min(first.saturating_add(SLOTS_PER_TASK))
    })
}
