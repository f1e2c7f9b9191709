//! The bytes of a snapshot file, version 1.
//!
//! ```text
//! header (256 bytes) │ zeros up to 4096 │ data: shards by radix │ manifest: directory ‖ block CRCs
//! ```
//!
//! The table in `docs/format/snapshot-v1.md` is normative; a test compares it with the
//! constants here. Each part authenticates the next: the key the header (HMAC), the header the
//! manifest (SHA-256), the manifest every block of the data (CRC-32 each). So opening reads
//! the manifest, 0.05 % of the file, and a block is checked at its first use.

/// Names and offsets of a struct's fields.
#[cfg(test)]
macro_rules! fields {
    ($record:ident: $($field:ident),*) => {
        &[$((stringify!($field), core::mem::offset_of!($record, $field))),*]
    };
}
#[cfg(test)]
pub(crate) use fields;

#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests;

mod checks;
mod directory;
mod header;

pub(crate) use checks::{Checked, Checks, block_crcs};
pub(crate) use directory::{ShardRecord, check_places, shard_of, shard_records};
pub(crate) use header::{Header, Manifest};

/// The first eight bytes of every snapshot. They contain a byte above 127 and both kinds of
/// line ending, so that a transfer in text mode destroys them and is detected.
pub const MAGIC: [u8; 8] = *b"\x89HDX\r\n\x1a\n";

/// The version of the format that this crate writes, and the newest it reads.
pub const FORMAT_VERSION: u16 = 1;

/// The length of the header in bytes.
pub const HEADER_LEN_BYTES: usize = 256;

/// The offset of the data in the file. Blocks of the data then begin at pages of the file, so
/// checking a block loads only its own pages.
pub const DATA_OFFSET_BYTES: usize = 4096;

/// The length of a check block. CRC-32 detects every error of up to three bits in a block of
/// 8 KiB, but not in a block of 16 KiB.
pub const BLOCK_LEN_BYTES: usize = 8192;

/// The alignment of shards: a cache line.
pub const SHARD_ALIGN_BYTES: usize = 64;

/// The length of a shard's record in the directory.
pub const SHARD_RECORD_LEN_BYTES: usize = 64;

/// The length of a block's CRC in the manifest.
pub const BLOCK_CRC_LEN_BYTES: usize = 4;

/// The most bits of a hint that select its shard: 2²⁰ shards of 2²⁰ hints.
pub const MAX_SHARD_BITS: u8 = 20;
