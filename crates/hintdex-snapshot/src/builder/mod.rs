//! The builder: reads hints and publishes a file.
//!
//! A shard is a range of hints and is built by itself. A *pass* asks the source for every
//! hint of the fleet and keeps the hints of as many shards as fit into memory. Then each
//! thread builds a shard, and the shards are written in order. The bytes of a shard depend
//! on neither passes nor threads, and so the file does not either.

mod gather;
pub(crate) mod plan;
mod points;
mod source;
mod writer;

use std::ops::Range;
use std::path::Path;

use hintdex_wire::{Nonce, Slot};
use rayon::prelude::*;

use self::gather::{Gathered, Pass, Refusal};
use self::plan::{check_hint_count, pass_len_shards, pass_memory_bytes, room_hints, shard_bits};
use self::points::Points;
pub use self::source::HintSource;
use self::writer::FileWriter;
use crate::chain;
use crate::encoding::{ChainShard, Entry, Shape, Shards, build_shard};
use crate::format::{Header, ShardRecord};
use crate::{BuildError, Encoding, ManifestKey, PointHints, SnapshotParams};

/// The progress of a build.
///
/// See the example of [`Builder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Hints whose shards are written.
    pub hints_done: u64,
    /// Hints of the whole snapshot.
    pub hints_all: u64,
}

/// The result of a build.
///
/// See the example of [`Builder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildReport {
    /// Hints in the file.
    pub hints: u64,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// How often the build asked the source for all hints of the fleet.
    pub passes: usize,
}

/// The memory of a build without [`Builder::memory_bytes`].
const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;

/// Builds a snapshot.
///
/// ```
/// use hintdex_snapshot::{BuildError, BuildReport, Builder, Progress};
///
/// # use std::ops::Range;
/// # use hintdex_snapshot::{Dial, Encoding, HintSource, ManifestKey, SnapshotParams};
/// # use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Slot};
/// # fn hint(slot: u32) -> Hint {
/// #     let cipher = HintCipher::new(HintScheme::Aes128, &HintKey::from_bytes([7; 16]));
/// #     cipher.hint(slot.into()).unwrap()
/// # }
/// # struct Fleet;
/// # impl HintSource for Fleet {
/// #     fn hint_count(&self) -> u64 { 1000 }
/// #     fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
/// #         slots.for_each(|slot| each(hint(slot).head(), Slot(slot)));
/// #     }
/// # }
/// # let params = SnapshotParams {
/// #     encoding: Encoding::Ribbon, dial: Dial::Tries(1), check_bits: 0,
/// #     hint_scheme: HintScheme::Aes128, nonce_kind: 0, horizon_nonces: 1, slots: 0..1000,
/// #     fleet_id: [0; 16], origin: [0; 16], built_at_unix_s: 0, time_unix_s: 0..0,
/// # };
/// # let key = ManifestKey::from_bytes([1; 32]);
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("fleet.hdx");
/// # let fleet = Fleet;
/// let show = |progress: Progress| eprintln!("{} of {}", progress.hints_done, progress.hints_all);
/// let builder = Builder::new(params, &key).memory_bytes(2 << 30).progress(&show);
/// let report: BuildReport = builder.build(&fleet, &path)?;
/// assert_eq!(report.hints, 1000);
///
/// // The source has hints of slot 0, which these parameters leave out.
/// # let params = SnapshotParams { slots: 1..1000, ..Snapshot::open(&path, &key)?.params().clone() };
/// # use hintdex_snapshot::Snapshot;
/// # struct Other;
/// # impl HintSource for Other {
/// #     fn hint_count(&self) -> u64 { 1000 }
/// #     fn hints(&self, _: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
/// #         (0..1000).for_each(|slot| each(hint(slot).head(), Slot(slot)));
/// #     }
/// # }
/// # let fleet = Other;
/// let refused = Builder::new(params, &key).build(&fleet, &path);
/// assert!(matches!(refused, Err(BuildError::SlotOutside { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The same input yields the same bytes, for any number of threads and any memory. The file
/// is written under another name in the same folder, synced, and renamed. So readers open
/// either the previous file or the new file, never a part of one.
pub struct Builder<'b> {
    params: SnapshotParams,
    key: &'b ManifestKey,
    memory_bytes: u64,
    threads: usize,
    progress: Option<&'b (dyn Fn(Progress) + Sync)>,
}

impl<'b> Builder<'b> {
    /// A builder of snapshots with these parameters, authenticated under `key`.
    pub fn new(params: SnapshotParams, key: &'b ManifestKey) -> Self {
        Self { params, key, memory_bytes: DEFAULT_MEMORY_BYTES, threads: 0, progress: None }
    }

    /// Bounds the memory of the build; the default is 1 GiB. A smaller bound than a shard of
    /// 2²⁰ hints needs has no effect: 48 MiB for each thread, and 12 MiB.
    pub const fn memory_bytes(mut self, memory_bytes: u64) -> Self {
        self.memory_bytes = memory_bytes;
        self
    }

    /// Sets the number of threads; 0, the default, is one for each processor.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Calls `progress` each time that as many shards as there are threads are written.
    pub fn progress(mut self, progress: &'b (dyn Fn(Progress) + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Builds the snapshot of `source` and publishes it as `path`.
    ///
    /// A ribbon costs about 0.12 µs of one core a hint. Each pass costs 10 to 15 ns a hint,
    /// because the source computes the hint again (`docs/results/snapshot.md`).
    ///
    /// # Errors
    /// [`BuildError`] when a parameter is out of range, the source announces more than
    /// 2⁴⁰ hints or returns others than it announced, a hint is of a slot outside the
    /// parameters, the system refuses memory, or the file cannot be written. The previous
    /// file at `path` then remains, and no draft.
    ///
    /// # Panics
    /// When `source` or the progress callback panics.
    pub fn build(
        &self,
        source: &dyn HintSource,
        path: impl AsRef<Path>,
    ) -> Result<BuildReport, BuildError> {
        if self.params.encoding == Encoding::Chain {
            return Err(BuildError::NeedsPoints);
        }
        let path = path.as_ref();
        self.in_pool(|| self.run(source, None, path))
    }

    /// Builds a chain ([`Encoding::Chain`]) of `runs` and publishes it as `path`.
    ///
    /// `runs` are slots and nonces in a row, in the order of slots; a slot may have several.
    /// `hints` computes their hints. Costs about 0.25 µs of one core a hint
    /// (`docs/results/chain.md`); each pass after the first computes every hint again. A build
    /// keeps the shards in memory, a quarter of a byte a hint, and a pass has the rest of
    /// [`memory_bytes`](Self::memory_bytes). After the passes, the build needs 16 bytes for each
    /// piece of as many hints as there are evaluations.
    ///
    /// # Errors
    /// As [`build`](Self::build), and [`BuildError::ChainNeedsMemory`].
    ///
    /// # Panics
    /// When `hints` or the progress callback panics.
    pub fn build_chain(
        &self,
        runs: &[(Slot, Range<Nonce>)],
        hints: &dyn PointHints,
        path: impl AsRef<Path>,
    ) -> Result<BuildReport, BuildError> {
        let (points, path) = (Points { runs, hints }, path.as_ref());
        self.in_pool(|| self.run(&points, Some(&points), path))
    }

    /// Checks the parameters and runs `build` on the threads of the build.
    fn in_pool(
        &self,
        build: impl FnOnce() -> Result<BuildReport, BuildError> + Send,
    ) -> Result<BuildReport, BuildError> {
        self.params.check()?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build();
        pool.map_err(BuildError::Threads)?.install(build)
    }

    fn run(
        &self,
        source: &dyn HintSource,
        points: Option<&Points<'_>>,
        path: &Path,
    ) -> Result<BuildReport, BuildError> {
        let hint_count = source.hint_count();
        check_hint_count(hint_count)?;
        if let Some(Points { runs, .. }) = points {
            let evaluations = self.params.evaluations().unwrap_or(1);
            chain::check(runs, hint_count, evaluations, self.memory_bytes)?;
        }
        let shard_bits = shard_bits(hint_count);
        let mut header = Header::new(&self.params, hint_count, shard_bits, self.key);
        let shape = Shape::new(&self.params, &header);
        let shard_count = 1_usize << shard_bits;
        let mut file = FileWriter::create(path, header.file_id, shard_count)?;
        if points.is_some() {
            file.keep_image();
        }

        let hints_a_shard = hint_count.div_ceil(shard_count as u64);
        let threads = rayon::current_num_threads();
        let memory_bytes = pass_memory_bytes(self.memory_bytes, &self.params, hint_count);
        let pass_len = pass_len_shards(memory_bytes, threads, hints_a_shard);
        let (mut first, mut passes) = (0, 0);
        while first < shard_count {
            let wanted = first..shard_count.min(first + pass_len);
            let pass = Pass {
                slots: self.params.slots.clone(),
                shard_bits,
                wanted: wanted.clone(),
                room_hints: room_hints(hints_a_shard),
            };
            let Gathered { shards, seen_hints: got } =
                pass.gather(source).map_err(|refusal| self.refused(refusal))?;
            if got != hint_count {
                return Err(BuildError::HintsChanged { announced: hint_count, got });
            }
            self.write_shards(&shape, wanted.clone(), shards, &mut file)?;
            first = wanted.end;
            passes += 1;
        }
        // Between passes, hints may have changed their shards.
        let got = file.hint_count();
        if got != hint_count {
            return Err(BuildError::HintsChanged { announced: hint_count, got });
        }
        if let Some(points) = points {
            self.write_chain(&shape, points, &mut file)?;
        }
        let bytes = file.publish(&mut header, self.key)?;
        Ok(BuildReport { hints: hint_count, bytes, passes })
    }

    /// Builds the shards of a pass, one on each thread at a time, and appends them to `file`.
    fn write_shards(
        &self,
        shape: &Shape,
        numbers: Range<usize>,
        shards: Vec<Vec<Entry>>,
        file: &mut FileWriter,
    ) -> Result<(), BuildError> {
        let mut shards: Vec<_> = numbers.zip(shards).collect();
        for wave in shards.chunks_mut(rayon::current_num_threads()) {
            let built: Vec<_> = wave
                .par_iter_mut()
                .map(|(shard, entries)| {
                    let mut bytes = Vec::new();
                    let record =
                        build_shard(self.params.encoding, shape, *shard, entries, &mut bytes);
                    *entries = Vec::new();
                    record.map(|record| (record, bytes))
                })
                .collect();
            for built in built {
                let (record, bytes) = built?;
                file.append(record, &bytes)?;
            }
            if let Some(progress) = self.progress {
                let hints_all = shape.hint_count;
                progress(Progress { hints_done: file.hint_count(), hints_all });
            }
        }
        Ok(())
    }

    /// Builds the chains over the shards of `file` and appends them.
    fn write_chain(
        &self,
        shape: &Shape,
        points: &Points<'_>,
        file: &mut FileWriter,
    ) -> Result<(), BuildError> {
        let opened = Shards::open(Encoding::Chain, shape, file.records());
        let mut shards = opened.map_err(|shard| BuildError::ShardTooLarge { shard, hints: 0 })?;
        let Some(shards) = shards.chain_mut() else { return Err(BuildError::NeedsPoints) };
        let distinct = ChainShard::number(shards);
        let bytes = chain::build(chain::Input {
            image: file.take_image(),
            shards,
            shard_bits: shape.shard_bits,
            distinct,
            slots: self.params.slots.clone(),
            runs: points.runs,
            hints: points.hints,
            evaluations: self.params.evaluations().unwrap_or(1),
        })?;
        let len_bytes = (bytes.len() as u64).into();
        file.append(ShardRecord { len_bytes, ..ShardRecord::default() }, &bytes)
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
