//! The fixed-layout records of the store, as `docs/format/live-index.md` lists them.
//!
//! Values are little-endian and unaligned, so a record is read in place. Keys are big-endian,
//! so they sort by number. A test compares the byte tables of the document with these types.
//!
//! Each record has one rule that decides whether it is sound. A reader applies the rule to
//! every record it reads, a writer to every record before the record enters a batch. So no
//! writer stores a record that a reader rejects.

mod extent;
mod keys;
mod late_rows;
mod layout;
mod meta;
mod naming;
mod outbox;
mod point;
mod schedule;
mod settings;
mod slot;
mod state;
mod window;

pub(crate) use extent::{ExtentRecord, SlotRun};
pub(crate) use keys::{
    ADDED_KEY_PREFIX, ASSOCIATED_KEY, LEAD_KEY, META_FAMILY, META_KEY, NAMING_KEY, OUTBOX_FAMILY,
    POINTS_FAMILY, READER_KEY_PREFIX, SETTINGS_KEY_PREFIX, SLOTS_FAMILY, STATES_FAMILY,
    WINDOW_FAMILY_PREFIX, WINDOW_KEY_PREFIX, device_of_settings, epoch_key, epoch_of_family,
    settings_key, slot_key, slot_of_key, window_family,
};
pub(crate) use late_rows::{LateBlockRecord, LateHeadRecord, late_key, late_place_of_key};
pub(crate) use layout::{Field, Unsound};
pub(crate) use meta::{FORMAT_VERSION, MAGIC, Meta};
pub(crate) use naming::NamingRecord;
pub(crate) use outbox::{OutboxKey, OutboxRecord, ReaderRecord};
pub use point::PointHead;
pub(crate) use point::{PointKey, PointRecord};
pub(crate) use schedule::ScheduleRecord;
pub(crate) use settings::SettingsRecord;
pub(crate) use slot::{ClockRecord, Row, SlotRow, SlotState};
pub(crate) use state::StateRecord;
pub(crate) use window::WindowRecord;

/// Every fixed-layout record and its fields, for the test that compares them with the document.
pub(crate) fn layouts() -> Vec<(&'static str, Vec<Field>)> {
    let mut all = meta::layouts();
    all.extend([naming::layout(), window::layout(), extent::layout(), state::layout()]);
    all.extend(slot::layouts());
    all.push(schedule::layout());
    all.extend(late_rows::layouts());
    all.extend([settings::layout(), point::layout()]);
    all.extend(outbox::layouts());
    all
}

#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests;
