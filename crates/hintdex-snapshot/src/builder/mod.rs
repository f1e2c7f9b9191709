//! The builder: hints in, a published file out.
//!
//! Shards are ranges of hints, so they are built on their own. A *pass* asks the
//! source for every hint of the fleet and keeps those of as many shards as go
//! into memory; then the threads build a shard each, and the shards are written
//! in order. What a shard is made of does not depend on passes or threads, nor
//! does the file.

mod gather;

use std::ops::Range;
use std::path::Path;

use hintdex_host::Draft;
use hintdex_wire::Slot;
use rayon::prelude::*;
use zerocopy::IntoBytes;

use self::gather::{Gathered, Pass, Refusal};
use crate::encoding::{Shape, build_shard};
use crate::format::{
    BLOCK_LEN_BYTES, DATA_OFFSET_BYTES, Header, MAX_SHARD_BITS, SHARD_ALIGN_BYTES, ShardRecord,
    block_crcs,
};
use crate::{BuildError, ManifestKey, SnapshotParams};

/// Where the hints of a fleet come from.
///
/// A build whose memory does not hold all hints (twelve bytes each) asks for
/// them once a pass, from several threads: making a hint again, 10 to 15 ns, is
/// cheaper than writing its twelve bytes to a disk and reading them back.
pub trait HintSource: Sync {
    /// How many hints there are in all, 2⁴⁰ at most. The number and the width of the
    /// shards depend on it, so it must be exact.
    fn hint_count(&self) -> u64;

    /// Gives `each` the head ([`Hint::head`](hintdex_wire::Hint::head)) and the
    /// slot of every hint of `slots`, in any order, the same at every call.
    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot));
}

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Hints that are in the file.
    pub hints_done: u64,
    /// Hints there are.
    pub hints_all: u64,
}

/// What a build did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildReport {
    /// Hints in the file.
    pub hints: u64,
    /// The length of the file.
    pub bytes: u64,
    /// How often the source was asked for the hints of the fleet.
    pub passes: usize,
}

/// Shards have up to this many hints, and half as many at least.
const SHARD_LEN_HINTS: u64 = 1 << 20;

/// The most hints of a snapshot: 2²⁰ shards, and as many hints in each.
const MAX_HINTS: u64 = SHARD_LEN_HINTS << MAX_SHARD_BITS;

/// What a hint takes while it waits for its shard to be built.
const GATHERED_LEN_BYTES: u64 = 12;

/// What a hint takes while its shard is built.
const BUILDING_LEN_BYTES: u64 = 48;

/// What a build may take unless told otherwise.
const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;

/// Builds a snapshot.
///
/// ```text
/// Builder::new(params, &key).memory_bytes(2 << 30).build(&fleet, "fleet.hdx")
/// ```
///
/// The same input gives the same bytes, for any number of threads and any
/// memory. The file is written beside its target, synced, and renamed over it,
/// so readers see the old file or the new one, whole.
pub struct Builder<'b> {
    params: SnapshotParams,
    key: &'b ManifestKey,
    memory_bytes: u64,
    threads: usize,
    progress: Option<&'b (dyn Fn(Progress) + Sync)>,
}

impl<'b> Builder<'b> {
    /// A builder of snapshots with these parameters, vouched for by `key`.
    pub fn new(params: SnapshotParams, key: &'b ManifestKey) -> Self {
        Self { params, key, memory_bytes: DEFAULT_MEMORY_BYTES, threads: 0, progress: None }
    }

    /// Bounds the memory of the build; 1 GiB unless told otherwise. Never less
    /// than a shard of 2²⁰ hints takes, 48 MiB for each thread and 12 MiB more.
    pub const fn memory_bytes(mut self, memory_bytes: u64) -> Self {
        self.memory_bytes = memory_bytes;
        self
    }

    /// How many threads build; 0 for as many as there are processors.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Calls `progress` after every few shards.
    pub fn progress(mut self, progress: &'b (dyn Fn(Progress) + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Builds the snapshot of `source` and publishes it as `path`.
    ///
    /// A ribbon costs about 0.12 µs of one processor a hint, and every pass 10 to
    /// 15 ns for making the hint again (`docs/results/snapshot.md`).
    ///
    /// # Errors
    /// [`BuildError`] when a parameter is out of range, the source announces more than
    /// 2⁴⁰ hints or returns others than it announced, a hint is of a slot outside the
    /// parameters, the system refuses memory, or the file cannot be written. The file
    /// that was at `path` before is still there then, and nothing else.
    ///
    /// # Panics
    /// When `source` or the progress callback does.
    pub fn build(
        &self,
        source: &dyn HintSource,
        path: impl AsRef<Path>,
    ) -> Result<BuildReport, BuildError> {
        self.params.check()?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build();
        let pool = pool.map_err(BuildError::Threads)?;
        let path = path.as_ref();
        pool.install(|| self.run(source, path))
    }

    fn run(&self, source: &dyn HintSource, path: &Path) -> Result<BuildReport, BuildError> {
        let hint_count = source.hint_count();
        check_hint_count(hint_count)?;
        let shard_bits = shard_bits(hint_count);
        let mut header = Header::new(&self.params, hint_count, shard_bits, self.key);
        let shape = Shape::new(&self.params, &header);
        let shard_count = 1_usize << shard_bits;
        let mut data = Data {
            draft: Draft::beside(path)?,
            records: Vec::with_capacity(shard_count),
            crcs: Vec::new(),
            tail: Vec::new(),
            len_bytes: 0,
            file_id: header.file_id,
        };
        data.draft.seek(DATA_OFFSET_BYTES as u64)?;

        let hints_a_shard = hint_count.div_ceil(shard_count as u64);
        let threads = rayon::current_num_threads();
        let pass_len = pass_len_shards(self.memory_bytes, threads, hints_a_shard);
        let (mut first, mut passes, mut done) = (0, 0, 0);
        while first < shard_count {
            let wanted = first..shard_count.min(first + pass_len);
            let pass = Pass {
                slots: self.params.slots.clone(),
                shard_bits,
                wanted: wanted.clone(),
                room_hints: room_hints(hints_a_shard),
            };
            let Gathered { shards: gathered, seen_hints: got } =
                pass.gather(source).map_err(|refusal| self.refused(refusal))?;
            if got != hint_count {
                return Err(BuildError::HintsChanged { announced: hint_count, got });
            }
            let mut shards: Vec<_> = wanted.clone().zip(gathered).collect();
            for wave in shards.chunks_mut(rayon::current_num_threads()) {
                let built: Vec<_> = wave
                    .par_iter_mut()
                    .map(|(shard, entries)| {
                        let mut bytes = Vec::new();
                        let record =
                            build_shard(self.params.encoding, &shape, *shard, entries, &mut bytes);
                        *entries = Vec::new();
                        record.map(|record| (record, bytes))
                    })
                    .collect();
                for built in built {
                    let (record, bytes) = built?;
                    done += u64::from(record.hint_count.get());
                    data.append(record, &bytes)?;
                }
                if let Some(progress) = self.progress {
                    progress(Progress { hints_done: done, hints_all: hint_count });
                }
            }
            first = wanted.end;
            passes += 1;
        }
        if done != hint_count {
            return Err(BuildError::HintsChanged { announced: hint_count, got: done });
        }
        let bytes = data.finish(&mut header, self.key)?;
        Ok(BuildReport { hints: hint_count, bytes, passes })
    }

    fn refused(&self, refusal: Refusal) -> BuildError {
        match refusal {
            Refusal::Slot(slot) => {
                BuildError::SlotOutside { slot, slots: self.params.slots.clone() }
            }
            Refusal::Memory { asked_bytes } => {
                BuildError::OutOfMemory { asked_bytes, memory_bytes: self.memory_bytes }
            }
        }
    }
}

/// Checks the number of hints against the most that a snapshot holds: then no shard
/// has room for more than [`SHARD_LEN_HINTS`] and a little, whatever a caller asks for.
pub(crate) fn check_hint_count(hint_count: u64) -> Result<(), BuildError> {
    if hint_count > MAX_HINTS {
        return Err(BuildError::Params {
            param: "the number of hints",
            got: hint_count,
            allowed: "0 to 1099511627776 (2^40), for instance by a shorter horizon",
        });
    }
    Ok(())
}

/// How many shards' hints are gathered at once.
pub(crate) fn pass_len_shards(memory_bytes: u64, threads: usize, hints_a_shard: u64) -> usize {
    let building_bytes = hints_a_shard.saturating_mul(BUILDING_LEN_BYTES);
    let building = building_bytes.saturating_mul(threads as u64);
    let left = memory_bytes.saturating_sub(building);
    let shard_len = room_hints(hints_a_shard) as u64 * GATHERED_LEN_BYTES;
    usize::try_from(left / shard_len.max(1)).unwrap_or(usize::MAX).max(1)
}

/// The least number of shards of the right size.
pub(crate) fn shard_bits(hint_count: u64) -> u8 {
    let shards = hint_count.div_ceil(SHARD_LEN_HINTS).max(1).next_power_of_two();
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm")]
    let bits = shards.ilog2() as u8;
    bits.min(MAX_SHARD_BITS)
}

/// Room for the hints of a shard: the mean and six standard deviations, so that
/// hints from a cipher never make it grow.
fn room_hints(hints_a_shard: u64) -> usize {
    let room = hints_a_shard + 6 * hints_a_shard.isqrt() + 64;
    usize::try_from(room).unwrap_or(usize::MAX)
}

/// The data of the file being written, and what the manifest will say of them.
struct Data {
    draft: Draft,
    records: Vec<ShardRecord>,
    crcs: Vec<u8>,
    /// The beginning of a block that is not full yet.
    tail: Vec<u8>,
    len_bytes: u64,
    file_id: [u8; 16],
}

impl Data {
    fn append(&mut self, mut record: ShardRecord, bytes: &[u8]) -> Result<(), BuildError> {
        record.offset_bytes = self.len_bytes.into();
        self.records.push(record);
        let padded = bytes.len().next_multiple_of(SHARD_ALIGN_BYTES);
        self.len_bytes += padded as u64;
        self.tail.extend_from_slice(bytes);
        self.tail.resize(self.tail.len() + padded - bytes.len(), 0);
        self.flush(self.tail.len() / BLOCK_LEN_BYTES * BLOCK_LEN_BYTES)
    }

    /// Writes the first `len` bytes of the tail, which begins with a block.
    fn flush(&mut self, len: usize) -> Result<(), BuildError> {
        let rest = self.tail.split_off(len);
        let first = (self.crcs.len() / 4) as u64;
        self.crcs.extend(block_crcs(&self.file_id, first, &self.tail).flatten());
        self.draft.write(&self.tail)?;
        self.tail = rest;
        Ok(())
    }

    /// Writes manifest and header and publishes the file; gives its length.
    fn finish(mut self, header: &mut Header, key: &ManifestKey) -> Result<u64, BuildError> {
        self.flush(self.tail.len())?;
        let manifest = [self.records.as_bytes(), &self.crcs].concat();
        header.seal(self.len_bytes, &manifest, key);
        self.draft.write(&manifest)?;
        self.draft.seek(0)?;
        self.draft.write(header.as_bytes())?;
        self.draft.publish()?;
        Ok(DATA_OFFSET_BYTES as u64 + self.len_bytes + manifest.len() as u64)
    }
}
