//! The state record of a slot.
//!
//! Fields are private. A state changes only by the functions below, each of which keeps the
//! rule of [`check`](StateRecord::check), so every state is sound.

use std::ops::Range;

use hintdex_host::FIRST_SET_UNIX_S;
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
    /// With clocked nonces, the numbers of session records and of late records in the row, both
    /// 0 in memory, and a zero. For counters, the minute in which the slot was last heard.
    detail: [u8; 3],
}

/// The flag of a retired slot.
const RETIRED: u8 = 1;

/// The flag of a slot whose key was revoked. The slot is retired, too, and never reused.
const REVOKED: u8 = 1 << 1;

/// The flag of a slot that retires at a time: an [`EndRecord`](super::slot::EndRecord) ends
/// the row.
const ENDS: u8 = 1 << 2;

/// The flag of a free slot, which is retired, too; in memory only.
const FREE: u8 = 1 << 6;

/// The flag of a slot that is out of service; in memory only. A row with the flag is not
/// sound, so it is never stored.
const OUT_OF_SERVICE: u8 = 1 << 7;

/// The minute 1 of the times of last packets. The 24 bits of a time suffice until 2051.
const FIRST_MINUTE_UNIX_S: u64 = FIRST_SET_UNIX_S;

impl StateRecord {
    /// The state of a slot whose first `lookahead` nonces are in the index.
    pub(crate) fn fresh(lookahead: u32) -> Self {
        Self {
            next_nonce: 0.into(),
            seen: 0.into(),
            hints_ahead: lookahead.into(),
            flags: 0,
            detail: [0; 3],
        }
    }

    /// The state of a slot without a key.
    pub(crate) fn free() -> Self {
        Self { flags: FREE | RETIRED, ..Self::fresh(0) }
    }

    /// Checks that a slot whose last nonce is `max_nonce` can have this state.
    ///
    /// # Errors
    /// Why the state is not sound.
    pub(crate) const fn check(&self, max_nonce: Nonce) -> Result<(), Unsound> {
        if !matches!(self.flags, 0 | ENDS | RETIRED) && self.flags != RETIRED | REVOKED {
            return Err("it has flags that no version writes");
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

    /// Retires the slot, even if it is out of service. A revoked slot stays revoked.
    pub(crate) const fn retire(&mut self) {
        self.flags = RETIRED | self.flags & REVOKED;
    }

    /// Retires the slot, and revokes its key.
    pub(crate) const fn revoke(&mut self) {
        self.flags = RETIRED | REVOKED;
    }

    pub(crate) const fn is_retired(&self) -> bool {
        self.flags & RETIRED != 0
    }

    pub(crate) const fn is_revoked(&self) -> bool {
        self.flags & REVOKED != 0
    }

    /// Whether the slot has no key.
    pub(crate) const fn is_free(&self) -> bool {
        self.flags & FREE != 0
    }

    /// Marks that the slot retires at a time, or that it no longer does.
    pub(crate) const fn set_ends(&mut self, ends: bool) {
        self.flags = if ends { self.flags | ENDS } else { self.flags & !ENDS };
    }

    /// Whether the slot retires at a time.
    pub(crate) const fn ends(&self) -> bool {
        self.flags & ENDS != 0
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
        self.flags & !ENDS == 0
    }

    /// Sets the numbers of records behind the state in the row of clocked nonces.
    pub(super) const fn set_counts(&mut self, past_sessions: u8, late_units: u8) {
        self.detail = [past_sessions, late_units, 0];
    }

    /// The numbers of session records and late records in the row of clocked nonces, and a byte
    /// that is zero.
    pub(super) const fn counts(&self) -> [u8; 3] {
        self.detail
    }

    /// Stores the time at which a counter's packet was accepted, if it is later than the one
    /// before; to the minute.
    pub(crate) fn set_heard(&mut self, unix_s: u64) {
        let minute = unix_s.saturating_sub(FIRST_MINUTE_UNIX_S) / 60 + 1;
        let minute = u32::try_from(minute).unwrap_or(u32::MAX).min(MAX_MINUTE);
        if unix_s >= FIRST_MINUTE_UNIX_S && minute > self.heard_minute() {
            let [low, middle, high, _] = minute.to_le_bytes();
            self.detail = [low, middle, high];
        }
    }

    /// The minute in which a counter's last packet was accepted, in seconds since 1970; `None`
    /// before the first packet, or if the time is not known.
    pub(crate) fn heard_unix_s(&self) -> Option<u64> {
        let minute = self.heard_minute().checked_sub(1)?;
        Some(FIRST_MINUTE_UNIX_S + u64::from(minute) * 60)
    }

    fn heard_minute(&self) -> u32 {
        let [low, middle, high] = self.detail;
        u32::from_le_bytes([low, middle, high, 0])
    }
}

const MAX_MINUTE: u32 = (1 << 24) - 1;

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
    layout!("state", StateRecord: next_nonce, seen, hints_ahead, flags, detail)
}
