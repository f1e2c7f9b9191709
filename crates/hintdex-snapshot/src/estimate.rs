//! Estimates: the size of a snapshot before it is built.
//!
//! Hints are uniform, so all shards of a file have nearly the same size. An estimate builds
//! one shard from pseudo-random hints of the right number and width, and multiplies its size
//! by the number of shards. No formula is fitted, so a change of an encoding changes its
//! estimate.

use hintdex_host::SplitMix64;

use crate::builder::plan::{check_hint_count, pass_len_shards, pass_memory_bytes, shard_bits};
use crate::chain;
use crate::encoding::{Entry, Shape, Shards, build_shard};
use crate::format::{
    BLOCK_CRC_LEN_BYTES, BLOCK_LEN_BYTES, DATA_OFFSET_BYTES, Header, SHARD_ALIGN_BYTES,
    SHARD_RECORD_LEN_BYTES, ShardRecord,
};
use crate::section::Section;
use crate::{BuildError, ManifestKey, SnapshotParams};

/// The estimated size of a file. It is within 2 % of the real size from about ten thousand
/// hints on. With fewer hints, the sizes of bumped layers and of duplicates vary more.
///
/// See the example of [`SampleShard`].
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotEstimate {
    /// The length of the file in bytes.
    pub bytes: u64,
    /// The bytes by section; their sum is `bytes`.
    pub sections: Vec<Section>,
    /// The number of shards.
    pub shards: u64,
    /// The number of hints of the shard that was built.
    pub sampled_hints: u64,
    /// CRC-32 (IEEE) of the shard that was built: equal for two builds that did the same work.
    pub sample_crc32: u32,
}

/// A shard of pseudo-random hints, with the number and the width of the hints of a real
/// shard.
///
/// ```
/// use hintdex_snapshot::{Dial, Encoding, SampleShard, SnapshotEstimate, SnapshotParams};
/// # use hintdex_wire::HintScheme;
/// # let params = SnapshotParams {
/// #     encoding: Encoding::Ribbon, dial: Dial::Tries(32), check_bits: 0,
/// #     hint_scheme: HintScheme::Aes128, nonce_kind: 0, horizon_nonces: 10,
/// #     slots: 0..10_000, fleet_id: [0; 16], origin: [0; 16], built_at_unix_s: 0,
/// #     time_unix_s: 0..0,
/// # };
/// // Ten hints of each of 10,000 slots: a little more than 9 bits a hint.
/// let estimate: SnapshotEstimate = SampleShard::new(&params, 100_000)?.build()?;
/// assert!((112_500..130_000).contains(&estimate.bytes));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SampleShard {
    params: SnapshotParams,
    shape: Shape,
    entries: Vec<Entry>,
}

impl SampleShard {
    /// Draws the hints of one shard of a snapshot of `hint_count` hints: up to 2²⁰ hints, at
    /// 12 bytes and 10 ns each.
    ///
    /// # Errors
    /// [`BuildError::Params`] when a parameter is out of range, or there are more than
    /// 2⁴⁰ hints.
    pub fn new(params: &SnapshotParams, hint_count: u64) -> Result<Self, BuildError> {
        params.check()?;
        check_hint_count(hint_count)?;
        // The key determines only the file id and the seed of the hashes.
        let key = ManifestKey::from_bytes([0; 32]);
        let header = Header::new(params, hint_count, shard_bits(hint_count), &key);
        let shape = Shape::new(params, &header);
        let hint_bits = u32::try_from(8 * params.hint_scheme.len_bytes()).unwrap_or(u64::BITS);
        let kept = u64::MAX << (u64::BITS - hint_bits.min(u64::BITS));
        let slot_count = params.slot_count();
        let mut random = SplitMix64::new(header.seed.get());
        let entries = (0..hint_count >> shape.shard_bits).map(|_| {
            let head = random.next_u64() >> shape.shard_bits & kept;
            let slot = random.below_u32(slot_count);
            Entry::new(head, params.slots.start.saturating_add(slot))
        });
        Ok(Self { params: params.clone(), entries: entries.collect(), shape })
    }

    /// The number of hints in this shard.
    pub const fn hints(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The number of passes of a build with this bound on memory and this many threads. Each
    /// pass asks the source for every hint of the fleet.
    pub fn passes(&self, memory_bytes: u64, threads: usize) -> usize {
        let memory_bytes = pass_memory_bytes(memory_bytes, &self.params, self.shape.hint_count);
        let pass_len = pass_len_shards(memory_bytes, threads, self.hints());
        (1_usize << self.shape.shard_bits).div_ceil(pass_len)
    }

    /// Builds the shard as [`Builder`](crate::Builder) does, on this thread, and returns the
    /// estimate of the whole file. The time of this call per hint is the time of a build.
    ///
    /// # Errors
    /// [`BuildError`] when the shard cannot be built.
    pub fn build(self) -> Result<SnapshotEstimate, BuildError> {
        let Self { params, shape, entries } = self;
        let sampled_hints = entries.len() as u64;
        let mut bytes = Vec::new();
        let record = build_shard(params.encoding, &shape, 0, &entries, &mut bytes)?;
        let sample_crc32 = crc32fast::hash(&bytes);
        let mut sections = sections_of(&params, &shape, &record)?;
        let shards = 1_u64 << shape.shard_bits;
        let padding = bytes.len().next_multiple_of(SHARD_ALIGN_BYTES) - bytes.len();
        Section::add(&mut sections, "padding", padding);
        sections.iter_mut().for_each(|section| section.bytes *= shards);
        let mut records = shards;
        if let Some(evaluations) = params.evaluations() {
            chain::estimate(evaluations, shape.hint_count, &mut sections);
            records += 1;
        }

        let data: u64 = sections.iter().map(|section| section.bytes).sum();
        let blocks = data.div_ceil(BLOCK_LEN_BYTES as u64);
        sections.extend([
            Section { name: "header", bytes: DATA_OFFSET_BYTES as u64 },
            Section { name: "directory", bytes: records * SHARD_RECORD_LEN_BYTES as u64 },
            Section { name: "block checks", bytes: blocks * BLOCK_CRC_LEN_BYTES as u64 },
        ]);
        let bytes = sections.iter().map(|section| section.bytes).sum();
        Ok(SnapshotEstimate { bytes, sections, shards, sampled_hints, sample_crc32 })
    }
}

/// The sections of a record's shard, measured as a reader measures them.
fn sections_of(
    params: &SnapshotParams,
    shape: &Shape,
    record: &ShardRecord,
) -> Result<Vec<Section>, BuildError> {
    let shards = Shards::open(params.encoding, shape, std::slice::from_ref(record));
    let hints = record.hint_count.get().into();
    let shards = shards.map_err(|shard| BuildError::ShardTooLarge { shard, hints })?;
    Ok(shards.sections(shape))
}
