//! Names, offsets and widths of every record, and the bytes of a bucket, for the
//! test that compares them with the document.

use hintdex_wire::{Hint, Slot};

use crate::bucket::{self, Bucket};
use crate::geometry::Geometry;
use crate::records::{
    self, ADDED_KEY_PREFIX, ASSOCIATED_KEY, FORMAT_VERSION, LEAD_KEY, MAGIC, META_FAMILY, META_KEY,
    NAMING_KEY, OUTBOX_FAMILY, POINTS_FAMILY, READER_KEY_PREFIX, SETTINGS_KEY_PREFIX, SLOTS_FAMILY,
    STATES_FAMILY, WINDOW_FAMILY_PREFIX, WINDOW_KEY_PREFIX,
};

/// A field: its name, its offset and its width, in bytes.
pub type Field = (&'static str, usize, usize);

/// The format version that this program writes.
pub const VERSION: u16 = FORMAT_VERSION;

/// The first bytes of a meta record.
pub const META_MAGIC: [u8; 8] = MAGIC;

/// The names of families and keys, under the document's titles for them.
pub fn names() -> Vec<(&'static str, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    vec![
        ("meta family", META_FAMILY.into()),
        ("slots family", SLOTS_FAMILY.into()),
        ("states family", STATES_FAMILY.into()),
        ("points family", POINTS_FAMILY.into()),
        ("outbox family", OUTBOX_FAMILY.into()),
        ("window family", WINDOW_FAMILY_PREFIX.into()),
        ("meta key", text(META_KEY)),
        ("associated data key", text(ASSOCIATED_KEY)),
        ("lead key", text(LEAD_KEY)),
        ("naming key", text(NAMING_KEY)),
        ("window key", text(WINDOW_KEY_PREFIX)),
        ("added key", text(ADDED_KEY_PREFIX)),
        ("settings key", text(SETTINGS_KEY_PREFIX)),
        ("reader key", text(READER_KEY_PREFIX)),
    ]
}

/// Every fixed-layout record and its fields.
pub fn records() -> Vec<(&'static str, Vec<Field>)> {
    records::layouts()
}

/// The bucket of entries (suffix, slot), which must be sorted and distinct.
pub fn encode_bucket(suffix_bits: u8, entries: &[(u32, u32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bucket::encode(&to_entries(entries), suffix_bits.into(), &mut bytes);
    bytes
}

/// The merge operand that adds entries (suffix, slot).
pub fn encode_operand(suffix_bits: u8, entries: &[(u32, u32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bucket::encode_loose(&to_entries(entries), suffix_bits.into(), &mut bytes);
    bytes
}

fn to_entries(entries: &[(u32, u32)]) -> Vec<bucket::Entry> {
    entries.iter().map(|(suffix, slot)| bucket::entry(*suffix, Slot(*slot))).collect()
}

/// The entries of a bucket; `None` if the bytes are not a bucket.
pub fn decode_bucket(bytes: &[u8]) -> Option<Vec<(u32, u32)>> {
    let entries = Bucket::parse(bytes)?.entries()?;
    let suffix = |entry: u64| u32::try_from(entry >> 32).ok();
    entries.into_iter().map(|entry| Some((suffix(entry)?, bucket::slot_of(entry).0))).collect()
}

/// The bucket's key and the suffix of a hint, in a window with these bits.
pub fn place(prefix_bits: u8, suffix_bits: u8, hint: &Hint) -> Option<([u8; 4], u32)> {
    Some(Geometry::from_parts(prefix_bits, suffix_bits)?.place(hint))
}

/// Calls `found` with the slot of every entry of a bucket that has this suffix.
pub fn find_in_bucket(bytes: &[u8], suffix: u32, mut found: impl FnMut(u32)) {
    if let Some(bucket) = Bucket::parse(bytes) {
        bucket.find(suffix, |slot| found(slot.0));
    }
}

/// The union of a bucket and operands; `None` if one is damaged.
pub fn union_of_buckets(parts: &[&[u8]]) -> Option<Vec<u8>> {
    bucket::union(parts.iter().copied())
}
