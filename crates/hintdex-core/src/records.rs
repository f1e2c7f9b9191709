//! The fixed-layout records of the store, as `docs/format/live-index.md` lists them.
//!
//! Values are little-endian and unaligned, so a record is read in place; keys
//! are big-endian, so that they sort by number. The byte tables in the document
//! are held against these types by a test.

use std::ops::Range;

use hintdex_wire::{CheckValue, DeviceId, Nonce, NonceKind, ReplayWindow, Slot};
use zerocopy::little_endian::{I32, I64, U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::fleet::{DeviceRange, Extent, KeyOrigin};
use crate::geometry::Geometry;
use crate::held::{LeftTo, SnapshotId};
use crate::time::{Anchor, DeviceClock, Life, Pending, Span, Timing};

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

/// What a [`Meta`] record begins with.
pub(crate) const MAGIC: [u8; 8] = *b"hintdex\0";
/// The format this version writes and reads.
pub(crate) const FORMAT_VERSION: u16 = 1;

/// What an index is for, written once at its creation.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Meta {
    pub(crate) magic: [u8; 8],
    pub(crate) version: U16,
    pub(crate) hint_scheme: u8,
    pub(crate) nonce_kind: u8,
    pub(crate) lookahead: U32,
    pub(crate) index_id: [u8; 16],
    pub(crate) check_value: CheckValue,
    pub(crate) created_unix_s: U64,
    pub(crate) nonce_unit_s: U32,
    pub(crate) timing: TimingRecord,
    pub(crate) reserved: [u8; 4],
}

/// How an index goes with time, as it was made to; all zero where nonces tell none.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(crate) struct TimingRecord {
    pub(crate) span_s: U32,
    pub(crate) lead_s: U32,
    pub(crate) before_s: U32,
    pub(crate) after_s: U32,
    pub(crate) max_drift_ppm: U32,
}

impl TimingRecord {
    pub(crate) fn of(kind: NonceKind, timing: &Timing) -> Self {
        if !kind.tells_time() {
            return Self::new_zeroed();
        }
        Self {
            span_s: timing.span_s.into(),
            lead_s: timing.lead_s.into(),
            before_s: timing.before_s.into(),
            after_s: timing.after_s.into(),
            max_drift_ppm: timing.max_drift_ppm.into(),
        }
    }

    /// What it says of nonces of `kind`; `None` if no index of them was made like that.
    pub(crate) fn timing(&self, kind: NonceKind) -> Option<Timing> {
        if !kind.tells_time() {
            return (*self == Self::new_zeroed()).then(|| Timing::of(kind));
        }
        let timing = Timing {
            span_s: self.span_s.get(),
            lead_s: self.lead_s.get(),
            before_s: self.before_s.get(),
            after_s: self.after_s.get(),
            max_drift_ppm: self.max_drift_ppm.get(),
        };
        (timing.span_s > 0 && timing.lead_s >= timing.after_s).then_some(timing)
    }
}

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
    /// What is left to a snapshot; all zero when nothing is.
    pub(crate) snapshot: SnapshotId,
    pub(crate) snapshot_slots: U32,
    pub(crate) horizon_nonces: U32,
    /// The station's time it is for; both zero where nonces tell no time.
    pub(crate) from_unix_s: U64,
    pub(crate) to_unix_s: U64,
}

impl WindowRecord {
    pub(crate) fn geometry(&self) -> Option<Geometry> {
        Geometry::from_parts(self.prefix_bits, self.suffix_bits)
    }

    /// The span of time it is for, if it is for one.
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

/// A run of slots, under its first slot, big-endian.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ExtentRecord {
    pub(crate) first_device: U32,
    pub(crate) count: U32,
    pub(crate) generation: U16,
    pub(crate) key_origin: u8,
    pub(crate) reserved: u8,
    pub(crate) provisioned_unix_s: U64,
}

impl ExtentRecord {
    /// The range; `None` if no version wrote it.
    pub(crate) fn range(&self) -> Option<DeviceRange> {
        let origin = match (self.key_origin, self.reserved) {
            (0, 0) => KeyOrigin::Derived,
            (1, 0) => KeyOrigin::Given,
            _ => return None,
        };
        Some(DeviceRange {
            first: DeviceId(self.first_device.get()),
            count: self.count.get(),
            generation: self.generation.get(),
            origin,
        })
    }
}

impl From<&Extent> for ExtentRecord {
    fn from(extent: &Extent) -> Self {
        let DeviceRange { first, count, generation, origin } = extent.range;
        Self {
            first_device: first.0.into(),
            count: count.into(),
            generation: generation.into(),
            key_origin: match origin {
                KeyOrigin::Derived => 0,
                KeyOrigin::Given => 1,
            },
            reserved: 0,
            provisioned_unix_s: extent.provisioned_unix_s.into(),
        }
    }
}

/// What is known of a slot, under the slot, big-endian. A slot that was never
/// heard has no record: it is as [`StateRecord::fresh`] says.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(crate) struct StateRecord {
    pub(crate) next_nonce: U64,
    pub(crate) seen: U64,
    pub(crate) hints_ahead: U32,
    pub(crate) flags: u8,
    /// How many [`LifeRecord`]s are in the row; 0 in memory.
    pub(crate) past_lives: u8,
    pub(crate) reserved: [u8; 2],
}

/// What is known of a slot's clock, behind its [`StateRecord`] where nonces tell time; a
/// [`LifeRecord`] for each past life follows, then [`PendingRecord`]s.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(crate) struct ClockRecord {
    pub(crate) heard_unix_s: U64,
    pub(crate) offset_low_s: I64,
    pub(crate) offset_width_s: U32,
    /// The older observation: 0 for none, else its age when the slot was heard, plus one.
    pub(crate) anchor_age_s: U32,
    /// Its lowest offset beside `offset_low_s`.
    pub(crate) anchor_low_s: I32,
    pub(crate) anchor_width_s: U32,
    pub(crate) life_first: U64,
}

/// Nonces of a slot that are spent.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct LifeRecord {
    pub(crate) first: U64,
    pub(crate) end: U64,
}

impl ClockRecord {
    /// The clock of a slot that was not heard since it was provisioned.
    pub(crate) fn fresh(provisioned_unix_s: u64) -> Self {
        let mut record = Self::new_zeroed();
        record.heard_unix_s = provisioned_unix_s.into();
        record
    }

    pub(crate) fn clock(&self) -> DeviceClock {
        let low_s = self.offset_low_s.get();
        let heard_s = self.heard_unix_s.get();
        let anchor = self.anchor_age_s.get().checked_sub(1).map(|age_s| {
            let low_s = low_s.saturating_add(self.anchor_low_s.get().into());
            let at_s = heard_s.saturating_sub(age_s.into());
            Anchor { at_s, low_s, high_s: low_s.saturating_add(self.anchor_width_s.get().into()) }
        });
        let high_s = low_s.saturating_add(self.offset_width_s.get().into());
        DeviceClock { heard_s, low_s, high_s, anchor }
    }

    /// Notes a clock. An observation that does not fit beside it is forgotten.
    pub(crate) fn set_clock(&mut self, clock: &DeviceClock) {
        let width = |low_s: i64, high_s: i64| u32::try_from(high_s.saturating_sub(low_s)).ok();
        self.heard_unix_s = clock.heard_s.into();
        self.offset_low_s = clock.low_s.into();
        self.offset_width_s = width(clock.low_s, clock.high_s).unwrap_or(u32::MAX).into();
        let anchor = clock.anchor.and_then(|anchor| {
            let age_s = u32::try_from(clock.heard_s.checked_sub(anchor.at_s)?).ok()?;
            let low_s = i32::try_from(anchor.low_s.checked_sub(clock.low_s)?).ok()?;
            Some((age_s.checked_add(1)?, low_s, width(anchor.low_s, anchor.high_s)?))
        });
        let (age_s, low_s, width_s) = anchor.unwrap_or_default();
        self.anchor_age_s = age_s.into();
        self.anchor_low_s = low_s.into();
        self.anchor_width_s = width_s.into();
    }
}

/// A packet of a slot that waits for another that agrees with it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct PendingRecord {
    pub(crate) nonce: U64,
    pub(crate) received_unix_s: U64,
}

impl From<&Pending> for PendingRecord {
    fn from(pending: &Pending) -> Self {
        Self { nonce: pending.nonce.into(), received_unix_s: pending.received_s.into() }
    }
}

impl From<&Life> for LifeRecord {
    fn from(life: &Life) -> Self {
        Self { first: life.start.into(), end: life.end.into() }
    }
}

/// The flag of a retired slot.
pub(crate) const RETIRED: u8 = 1;

impl StateRecord {
    /// The state of a slot whose first `lookahead` nonces are in the index.
    pub(crate) fn fresh(lookahead: u32) -> Self {
        Self {
            next_nonce: 0.into(),
            seen: 0.into(),
            hints_ahead: lookahead.into(),
            flags: 0,
            past_lives: 0,
            reserved: [0; 2],
        }
    }

    /// Whether every bit is one this version knows.
    pub(crate) fn is_sound(&self, max_nonce: Nonce) -> bool {
        let end = self.next_nonce.get().checked_add(self.hints_ahead.get().into());
        self.flags & !RETIRED == 0
            && self.reserved == [0; 2]
            && end.is_some_and(|end| end <= max_nonce.saturating_add(1))
    }

    pub(crate) fn window(&self) -> ReplayWindow {
        ReplayWindow::from_parts(self.next_nonce.get(), self.seen.get())
    }

    pub(crate) fn set_window(&mut self, window: &ReplayWindow) {
        self.next_nonce = window.next().into();
        self.seen = window.seen().into();
    }

    /// The nonces whose hints are live.
    pub(crate) fn live_nonces(&self) -> Range<Nonce> {
        let next = self.next_nonce.get();
        next..next.saturating_add(self.hints_ahead.get().into())
    }

    /// Cuts the live hints to what a window and the snapshot beside it may hold.
    ///
    /// A row was written when its hints reached so far, and a later window may reach
    /// less far. It never reaches further than its window, because a window that
    /// leaves hints to a snapshot is only followed by one that does not, or by one
    /// with as long a horizon.
    pub(crate) fn cut(&mut self, lookahead: u32, left_to: Option<&LeftTo>) {
        let most = left_to.map_or(lookahead, |left_to| left_to.horizon_nonces.max(lookahead));
        self.hints_ahead = self.hints_ahead.get().min(most).into();
    }

    /// Lets the live hints reach to `end` at least.
    pub(crate) fn reach(&mut self, end: Nonce) {
        let end = end.max(self.live_nonces().end);
        let ahead = end.saturating_sub(self.next_nonce.get());
        self.hints_ahead = u32::try_from(ahead).unwrap_or(u32::MAX).into();
    }

    pub(crate) const fn is_retired(&self) -> bool {
        self.flags & RETIRED != 0
    }
}

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
