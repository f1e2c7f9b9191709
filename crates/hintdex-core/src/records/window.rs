//! The record of a declared window.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::layout::{Field, Unsound, layout};
use crate::coverage::{LeanRecord, SnapshotId};
use crate::geometry::Geometry;
use crate::time::Span;

/// A declared window. A family without such a record is incomplete.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct WindowRecord {
    pub(crate) prefix_bits: u8,
    pub(crate) suffix_bits: u8,
    pub(crate) reserved: [u8; 2],
    pub(crate) slots: U32,
    pub(crate) entries: U64,
    pub(crate) built_unix_s: U64,
    /// The snapshot of a lean window; all zero for a full one.
    pub(crate) snapshot: SnapshotId,
    pub(crate) snapshot_slots: U32,
    pub(crate) horizon_nonces: U32,
    /// The station time that the window covers; both zero for counters.
    pub(crate) from_unix_s: U64,
    pub(crate) to_unix_s: U64,
}

impl WindowRecord {
    /// Checks that an index with this many slots, clocked or not, can have this record.
    ///
    /// # Errors
    /// Why the record is not sound.
    pub(crate) fn check(&self, slots: u32, is_clocked: bool) -> Result<(), Unsound> {
        if self.reserved != [0; 2] {
            return Err("it has reserved bytes that no version writes");
        }
        if self.geometry().is_none() {
            return Err("no window has these numbers of bits");
        }
        if self.slots_named() > slots {
            return Err("it has slots that the fleet lacks");
        }
        if self.lean().is_none() && (self.snapshot != [0; 16] || self.snapshot_slots.get() > 0) {
            return Err("it names a snapshot without nonces");
        }
        let (from_unix_s, to_unix_s) = (self.from_unix_s.get(), self.to_unix_s.get());
        match is_clocked {
            true if from_unix_s >= to_unix_s => Err("its span is empty"),
            false if (from_unix_s, to_unix_s) != (0, 0) => {
                Err("it has a span of time, and the nonces of this index are counters")
            }
            _ => Ok(()),
        }
    }

    /// Every slot of the record is below this number.
    pub(crate) fn slots_named(&self) -> u32 {
        self.slots.get().max(self.snapshot_slots.get())
    }

    pub(crate) fn geometry(&self) -> Option<Geometry> {
        Geometry::from_parts(self.prefix_bits, self.suffix_bits)
    }

    /// The span that the window covers; `None` for counters.
    pub(crate) fn span(&self) -> Option<Span> {
        let span = self.from_unix_s.get()..self.to_unix_s.get();
        (!span.is_empty()).then_some(span)
    }

    pub(crate) fn lean(&self) -> Option<LeanRecord> {
        let lean = LeanRecord {
            snapshot: self.snapshot,
            slots: self.snapshot_slots.get(),
            horizon_nonces: self.horizon_nonces.get(),
        };
        (lean.horizon_nonces > 0).then_some(lean)
    }
}

pub(super) fn layout() -> (&'static str, Vec<Field>) {
    layout!("window", WindowRecord: prefix_bits, suffix_bits, reserved, slots, entries,
        built_unix_s, snapshot, snapshot_slots, horizon_nonces, from_unix_s, to_unix_s)
}
