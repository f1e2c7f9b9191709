//! The state record of a slot.
//!
//! Fields are private. A state changes only by the functions below, each of which keeps the
//! rule of [`check`](StateRecord::check), so every state is sound.

use std::ops::Range;

use hintdex_wire::{Nonce, ReplayWindow};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::layout::{Field, Unsound, layout};
use crate::coverage::LeanRecord;

/// The state of a slot. Its key is the slot, big-endian. A slot that was never heard has no
/// row: its state is [`StateRecord::fresh`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(crate) struct StateRecord {
    next_nonce: U64,
    seen: U64,
    hints_ahead: U32,
    flags: u8,
    /// The number of session records in the row; 0 in memory.
    past_sessions: u8,
    /// The number of late records in the row, 0 or 1; 0 in memory.
    late_units: u8,
    reserved: u8,
}

/// The flag of a retired slot.
const RETIRED: u8 = 1;

/// The flag of a slot that is out of service; in memory only. A row with the flag is not
/// sound, so it is never stored.
const OUT_OF_SERVICE: u8 = 1 << 7;

impl StateRecord {
    /// The state of a slot whose first `lookahead` nonces are in the index.
    pub(crate) fn fresh(lookahead: u32) -> Self {
        Self {
            next_nonce: 0.into(),
            seen: 0.into(),
            hints_ahead: lookahead.into(),
            flags: 0,
            past_sessions: 0,
            late_units: 0,
            reserved: 0,
        }
    }

    /// Checks that a slot whose last nonce is `max_nonce` can have this state.
    ///
    /// # Errors
    /// Why the state is not sound.
    pub(crate) const fn check(&self, max_nonce: Nonce) -> Result<(), Unsound> {
        if self.flags & !RETIRED != 0 || self.reserved != 0 {
            return Err("it has flags or reserved bytes that no version writes");
        }
        let (next, seen) = (self.next_nonce.get(), self.seen.get());
        if !is_seen_sound(next, seen) {
            return Err("its replay window contradicts itself");
        }
        match next.checked_add(self.hints_ahead.get() as u64) {
            Some(end) if end <= max_nonce.saturating_add(1) => Ok(()),
            _ => Err("its hints end past the last nonce"),
        }
    }

    /// One more than the highest accepted nonce; 0 before the first.
    pub(crate) const fn next_nonce(&self) -> Nonce {
        self.next_nonce.get()
    }

    /// The number of live hints.
    pub(crate) const fn hints_ahead(&self) -> u32 {
        self.hints_ahead.get()
    }

    pub(crate) fn window(&self) -> ReplayWindow {
        ReplayWindow::from_parts(self.next_nonce.get(), self.seen.get())
    }

    /// The nonces whose hints are live.
    pub(crate) const fn live_nonces(&self) -> Range<Nonce> {
        let next = self.next_nonce.get();
        next..next.saturating_add(self.hints_ahead.get() as u64)
    }

    /// Advances the state to `window`, with hints live up to `live_end` or the last nonce.
    pub(crate) fn advance(&mut self, window: &ReplayWindow, live_end: Nonce, max_nonce: Nonce) {
        self.next_nonce = window.next().into();
        self.seen = window.seen().into();
        self.set_live_end(live_end, max_nonce);
    }

    /// Extends the live hints to `end` at least, or to the last nonce.
    pub(crate) fn reach(&mut self, end: Nonce, max_nonce: Nonce) {
        self.set_live_end(end.max(self.live_nonces().end), max_nonce);
    }

    fn set_live_end(&mut self, end: Nonce, max_nonce: Nonce) {
        let ahead = end.min(max_nonce.saturating_add(1)).saturating_sub(self.next_nonce.get());
        self.hints_ahead = u32::try_from(ahead).unwrap_or(u32::MAX).into();
    }

    /// Limits the live hints to those that the windows and the snapshot of a lean window can
    /// hold.
    ///
    /// The row may have been written beside an earlier window that held more hints. It was
    /// never written beside one that held fewer: a lean window is only replaced by a full one,
    /// or by a lean one with at least as long a horizon.
    pub(crate) fn cut(&mut self, lookahead: u32, lean: Option<&LeanRecord>) {
        let most = lean.map_or(lookahead, |lean| lean.horizon_nonces.max(lookahead));
        self.hints_ahead = self.hints_ahead.get().min(most).into();
    }

    /// Retires the slot, even if it is out of service.
    pub(crate) const fn retire(&mut self) {
        self.flags = RETIRED;
    }

    pub(crate) const fn is_retired(&self) -> bool {
        self.flags & RETIRED != 0
    }

    /// Takes the slot out of service until the index is opened again.
    pub(crate) const fn put_out_of_service(&mut self) {
        self.flags |= OUT_OF_SERVICE;
    }

    pub(crate) const fn is_out_of_service(&self) -> bool {
        self.flags & OUT_OF_SERVICE != 0
    }

    /// Whether packets of the slot may be accepted, which is when its hints are live.
    pub(crate) const fn is_in_service(&self) -> bool {
        self.flags == 0
    }

    /// Sets the numbers of records behind the state in its row.
    pub(super) const fn set_counts(&mut self, past_sessions: u8, late_units: u8) {
        self.past_sessions = past_sessions;
        self.late_units = late_units;
    }

    /// The numbers of session records and late records in the row.
    pub(super) const fn counts(&self) -> (u8, u8) {
        (self.past_sessions, self.late_units)
    }
}

/// Whether `seen` can be the bitmap of a replay window over `nonce_count` nonces: the highest accepted
/// nonce is marked, and no nonce before the first is.
pub(super) const fn is_seen_sound(nonce_count: u64, seen: u64) -> bool {
    match nonce_count {
        0 => seen == 0,
        1..64 => seen & 1 == 1 && seen >> nonce_count == 0,
        _ => seen & 1 == 1,
    }
}

pub(super) fn layout() -> (&'static str, Vec<Field>) {
    layout!("state", StateRecord: next_nonce, seen, hints_ahead, flags, past_sessions, late_units,
        reserved)
}
