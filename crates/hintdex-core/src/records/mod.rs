//! The fixed-layout records of the store, as `docs/format/live-index.md` lists them.
//!
//! Values are little-endian and unaligned, so a record is read in place; keys
//! are big-endian, so that they sort by number. The byte tables in the document
//! are held against these types by a test.
//!
//! Each record has one rule that says whether it is sound. A reader applies the
//! rule to every record it reads, a writer to every record before the record
//! enters a batch: no writer stores a record that a reader refuses.

mod extent;
mod meta;
mod slot;
mod state;
mod window;

use hintdex_wire::Slot;

pub(crate) use extent::ExtentRecord;
pub(crate) use meta::{FORMAT_VERSION, MAGIC, Meta, TimingRecord};
pub(crate) use slot::{ClockRecord, Row, SlotRow, SlotState};
pub(crate) use state::StateRecord;
pub(crate) use window::WindowRecord;

/// Why a record is not sound.
pub(crate) type Unsound = &'static str;

/// A field of a record: its name, its offset and its width, in bytes.
pub(crate) type Field = (&'static str, usize, usize);

/// The fields of a record, each ending where the next one begins.
fn fields(offsets: &[(&'static str, usize)], len_bytes: usize) -> Vec<Field> {
    let ends = offsets.iter().skip(1).map(|(_, offset)| *offset).chain([len_bytes]);
    offsets.iter().zip(ends).map(|((name, offset), end)| (*name, *offset, end - offset)).collect()
}

/// The name of a record and its fields.
macro_rules! layout {
    ($name:literal, $record:ty: $($field:ident),* $(,)?) => {
        ($name, $crate::records::fields(
            &[$((stringify!($field), core::mem::offset_of!($record, $field))),*],
            size_of::<$record>(),
        ))
    };
}
use layout;

/// Every fixed-layout record and its fields, for the test that holds the document
/// against them.
pub(crate) fn layouts() -> Vec<(&'static str, Vec<Field>)> {
    let mut all = meta::layouts();
    all.extend([window::layout(), extent::layout(), state::layout()]);
    all.extend(slot::layouts());
    all
}

/// The families that are always there.
pub(crate) const META_FAMILY: &str = "default";
pub(crate) const SLOTS_FAMILY: &str = "slots";
pub(crate) const STATES_FAMILY: &str = "states";
/// What the name of a window's family begins with; its epoch in hex follows.
pub(crate) const WINDOW_FAMILY_PREFIX: &str = "hints-";

/// The key of the one [`Meta`] record.
pub(crate) const META_KEY: &[u8] = b"meta";
/// Keys of [`WindowRecord`]s: this and the epoch, big-endian.
pub(crate) const WINDOW_KEY_PREFIX: &[u8] = b"window:";
/// Keys of counters of entries added since a window was built: this and the epoch.
pub(crate) const ADDED_KEY_PREFIX: &[u8] = b"added:";

/// The key of a slot's rows.
pub(crate) const fn slot_key(slot: Slot) -> [u8; 4] {
    slot.0.to_be_bytes()
}

/// The slot of a row, if the key is one.
pub(crate) fn slot_of_key(key: &[u8]) -> Option<Slot> {
    Some(Slot(u32::from_be_bytes(key.try_into().ok()?)))
}

/// The key of a row that belongs to an epoch.
pub(crate) fn epoch_key(prefix: &[u8], epoch: u32) -> Vec<u8> {
    [prefix, &epoch.to_be_bytes()].concat()
}

/// The name of an epoch's family.
pub(crate) fn window_family(epoch: u32) -> String {
    format!("{WINDOW_FAMILY_PREFIX}{epoch:08x}")
}

/// The epoch a family's name stands for, if it is a window's.
pub(crate) fn epoch_of_family(name: &str) -> Option<u32> {
    u32::from_str_radix(name.strip_prefix(WINDOW_FAMILY_PREFIX)?, 16).ok()
}

#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests;
