//! Figures: the content and the size of a snapshot.

use super::Snapshot;
use crate::Encoding;
use crate::format::{BLOCK_CRC_LEN_BYTES, DATA_OFFSET_BYTES};
use crate::section::Section;

/// The content and the size of a snapshot.
///
/// See the example of [`Snapshot`].
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotStats {
    /// The encoding of the hints.
    pub encoding: Encoding,
    /// The bits of a value.
    pub value_bits: u8,
    /// The slots that a lookup tries.
    pub tries: u32,
    /// Hints computed a lookup on average; of a chain only.
    pub evaluations: Option<u32>,
    /// The slots that the snapshot covers.
    pub slots: u32,
    /// The hints of the snapshot.
    pub hints: u64,
    /// Entries for hints that several groups share, one for each group.
    pub duplicates: u64,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// The length of the file in bits, divided by the number of hints.
    pub bits_per_hint: f64,
    /// log2(slots / tries): the least that an index of opaque hints takes with so many tries.
    pub bound_bits_per_hint: f64,
    /// The bytes by section; their sum is `bytes`.
    pub sections: Vec<Section>,
}

impl Snapshot {
    /// The content and the size of the snapshot.
    pub fn stats(&self) -> SnapshotStats {
        let bytes = self.storage.len() as u64;
        let hints = self.header.hint_count.get();
        let mut sections = self.shards.sections(&self.shape);
        if let Some(chain) = &self.chain {
            chain.measure(&mut sections);
        }
        let named: u64 = sections.iter().map(|section| section.bytes).sum();
        let checks = self.checks.block_count() * BLOCK_CRC_LEN_BYTES;
        let directory = self.header.manifest_len_bytes.get() - checks as u64;
        let data = self.header.data_len_bytes.get();
        sections.extend([
            Section { name: "padding", bytes: data - named },
            Section { name: "header", bytes: DATA_OFFSET_BYTES as u64 },
            Section { name: "directory", bytes: directory },
            Section { name: "block checks", bytes: checks as u64 },
        ]);
        let slots = self.params.slot_count();
        let bits = |bytes: u64| bytes as f64 * 8.0 / (hints as f64).max(1.0);
        SnapshotStats {
            encoding: self.params.encoding,
            value_bits: self.params.value_bits(),
            tries: self.params.tries(),
            evaluations: self.params.evaluations(),
            slots,
            hints,
            duplicates: self.shards.duplicate_count(),
            bytes,
            bits_per_hint: bits(bytes),
            bound_bits_per_hint: (f64::from(slots) / f64::from(self.params.tries()))
                .log2()
                .max(0.0),
            sections,
        }
    }
}
