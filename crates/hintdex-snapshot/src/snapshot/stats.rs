//! What a snapshot holds and what it costs.

use super::Snapshot;
use crate::Encoding;
use crate::format::{BLOCK_CRC_LEN_BYTES, DATA_OFFSET_BYTES};
use crate::section::Section;

/// What a snapshot holds and what it costs.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotStats {
    /// How hints are stored.
    pub encoding: Encoding,
    /// Bits of a value.
    pub value_bits: u8,
    /// Slots tried a lookup.
    pub tries: u32,
    /// Slots the snapshot covers.
    pub slots: u32,
    /// Hints it was built from.
    pub hints: u64,
    /// Hints that several groups have, an entry for each group.
    pub duplicates: u64,
    /// The length of the file.
    pub bytes: u64,
    /// The same in bits, for each hint.
    pub bits_per_hint: f64,
    /// log2(slots / tries): what any index takes that leaves so many tries.
    pub bound_bits_per_hint: f64,
    /// What the bytes are spent on; they add up.
    pub sections: Vec<Section>,
}

impl Snapshot {
    /// What the snapshot holds and what it costs.
    pub fn stats(&self) -> SnapshotStats {
        let bytes = self.storage.len() as u64;
        let hints = self.header.hint_count.get();
        let mut sections = self.shards.sections(&self.shape);
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
