//! A declared window.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Field, Unsound, layout};
use crate::geometry::Geometry;
use crate::held::{LeftTo, SnapshotId};
use crate::time::Span;

/// A declared window: a family without one of these is half-made.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct WindowRecord {
    pub(crate) prefix_bits: u8,
    pub(crate) suffix_bits: u8,
    pub(crate) reserved: [u8; 2],
    pub(crate) slots: U32,
    pub(crate) entries: U64,
    pub(crate) built_unix_s: U64,
    /// The snapshot that holds what the window lacks; all zero when the window lacks nothing.
    pub(crate) snapshot: SnapshotId,
    pub(crate) snapshot_slots: U32,
    pub(crate) horizon_nonces: U32,
    /// The station's time the window is for; both zero where nonces tell no time.
    pub(crate) from_unix_s: U64,
    pub(crate) to_unix_s: U64,
}

impl WindowRecord {
    /// Whether the record can be of an index with so many slots, whose nonces tell time or
    /// not.
    ///
    /// # Errors
    /// Why the record is not sound.
    pub(crate) fn check(&self, slots: u32, tells_time: bool) -> Result<(), Unsound> {
        if self.reserved != [0; 2] {
            return Err("it has reserved bytes that no version wrote");
        }
        if self.geometry().is_none() {
            return Err("no window has these bits");
        }
        if self.slots_named() > slots {
            return Err("it has slots that the fleet has not");
        }
        if self.left_to().is_none() && (self.snapshot != [0; 16] || self.snapshot_slots.get() > 0) {
            return Err("it names a snapshot that holds nothing");
        }
        let (from_unix_s, to_unix_s) = (self.from_unix_s.get(), self.to_unix_s.get());
        match tells_time {
            true if from_unix_s >= to_unix_s => Err("it is of no time"),
            false if (from_unix_s, to_unix_s) != (0, 0) => {
                Err("it is of a span of time, and nonces of this index tell no time")
            }
            _ => Ok(()),
        }
    }

    /// The slots the record speaks of: all below this number.
    pub(crate) fn slots_named(&self) -> u32 {
        self.slots.get().max(self.snapshot_slots.get())
    }

    pub(crate) fn geometry(&self) -> Option<Geometry> {
        Geometry::from_parts(self.prefix_bits, self.suffix_bits)
    }

    /// The span of time the window is for, if nonces tell time.
    pub(crate) fn span(&self) -> Option<Span> {
        let span = self.from_unix_s.get()..self.to_unix_s.get();
        (!span.is_empty()).then_some(span)
    }

    pub(crate) fn left_to(&self) -> Option<LeftTo> {
        let left_to = LeftTo {
            snapshot: self.snapshot,
            slots: self.snapshot_slots.get(),
            horizon_nonces: self.horizon_nonces.get(),
        };
        (left_to.horizon_nonces > 0).then_some(left_to)
    }
}

pub(super) fn layout() -> (&'static str, Vec<Field>) {
    layout!("window", WindowRecord: prefix_bits, suffix_bits, reserved, slots, entries,
        built_unix_s, snapshot, snapshot_slots, horizon_nonces, from_unix_s, to_unix_s)
}
