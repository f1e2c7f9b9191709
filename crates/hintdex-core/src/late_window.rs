//! The late window of a counter: which nonces behind the replay window were accepted.
//!
//! A ring of 64-bit blocks, as RFC 6479 has it: a packet that is ahead clears the blocks it
//! enters, and no bit is ever shifted. The ring has one block more than the window is long, so
//! the block of the highest nonce never holds nonces of the window's end.
//!
//! **What is stored.** A block is a row, so a packet writes 16 bytes of value and not the whole
//! window, which has up to 8 KiB. The 64 nonces of the replay window are in the row of the state
//! anyway. So a block is stored when its first nonce leaves the replay window, and again with
//! each late packet of the block. A device whose packets come in order stores one block in 64
//! packets: 0.4 bytes a packet, beside 90 of its state and hint. A late packet writes 77 bytes,
//! of state and block (`tests/library/policies.rs` measures both). The rows are those of the ring: a block replaces the row of the block one turn
//! before, and the number in the row tells the two apart. Nothing has to be deleted.

use std::ops::Range;

use hintdex_wire::{Freshness, Nonce, REPLAY_WINDOW_NONCES, ReplayWindow};

use crate::records::Unsound;

/// The nonces of a block.
const BLOCK_NONCES: u64 = 64;

/// The late window of a slot. The replay window of the slot's state holds its newest 64 nonces,
/// too, and decides about those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LateWindow {
    /// The first nonce whose acceptance is known: the window began there.
    first: Nonce,
    late_nonces: u32,
    /// Block *b* at the place *b* mod the number of blocks.
    blocks: Box<[u64]>,
}

impl LateWindow {
    /// A window of `late_nonces` nonces that knows those from `first` on, as far as `window`
    /// holds them.
    pub(crate) fn new(late_nonces: u32, first: Nonce, window: &ReplayWindow) -> Self {
        let count = u64::from(late_nonces).div_ceil(BLOCK_NONCES) + 1;
        let blocks = (0..count).map(|_| 0).collect();
        let mut late = Self { first, late_nonces, blocks };
        for behind in 0..REPLAY_WINDOW_NONCES {
            if window.seen() >> behind & 1 == 1
                && let Some(nonce) = (window.next().saturating_sub(1)).checked_sub(behind)
            {
                late.set(nonce);
            }
        }
        late
    }

    /// The late window of a slot that had none before: it knows what the replay window holds.
    pub(crate) fn begin(late_nonces: u32, window: &ReplayWindow) -> Self {
        Self::new(late_nonces, window.next().saturating_sub(REPLAY_WINDOW_NONCES), window)
    }

    /// This window with another length. Nonces that this window does not know stay unknown.
    pub(crate) fn resized(&self, late_nonces: u32, window: &ReplayWindow) -> Self {
        let first = self.first.max(window.next().saturating_sub(self.late_nonces.into()));
        let mut resized = Self::new(late_nonces, first, window);
        let kept = resized.numbers(window.next());
        for (number, bits) in self.each_block(window.next()) {
            if kept.contains(&number) {
                let place = resized.place(number);
                resized.blocks.get_mut(place).into_iter().for_each(|at| *at |= bits);
            }
        }
        resized
    }

    pub(crate) const fn first(&self) -> Nonce {
        self.first
    }

    pub(crate) const fn late_nonces(&self) -> u32 {
        self.late_nonces
    }

    /// Judges a nonce behind the replay window, with a window of `late_nonces` nonces; `next` is
    /// one more than the highest accepted nonce.
    pub(crate) fn judge(&self, nonce: Nonce, next: Nonce, late_nonces: u32) -> Freshness {
        let known = self.first.max(next.saturating_sub(self.late_nonces.min(late_nonces).into()));
        let block = self.blocks.get(self.place(nonce / BLOCK_NONCES));
        match block {
            Some(_) if nonce < known => Freshness::Stale,
            Some(block) if block >> (nonce % BLOCK_NONCES) & 1 == 1 => Freshness::Replay,
            Some(_) => Freshness::Fresh,
            None => Freshness::Stale,
        }
    }

    /// Marks `nonce` as accepted; `next` is one more than the highest nonce accepted before.
    /// Returns the numbers of the blocks to store.
    pub(crate) fn admit(&mut self, nonce: Nonce, next: Nonce) -> Range<u64> {
        let block = nonce / BLOCK_NONCES;
        if nonce < next {
            self.set(nonce);
            return if has_left(block, next) { block..block + 1 } else { 0..0 };
        }
        let highest = next.saturating_sub(1) / BLOCK_NONCES;
        let entered = block.saturating_sub(highest).min(self.blocks.len() as u64);
        for number in block.saturating_sub(entered) + 1..=block {
            let place = self.place(number);
            self.blocks.get_mut(place).into_iter().for_each(|at| *at = 0);
        }
        self.set(nonce);
        let end = (nonce + 1).saturating_sub(REPLAY_WINDOW_NONCES).div_ceil(BLOCK_NONCES);
        let first = next.saturating_sub(REPLAY_WINDOW_NONCES).div_ceil(BLOCK_NONCES);
        // Blocks behind the highest nonce so far have no accepted nonce.
        if next == 0 { 0..0 } else { first..end.min(highest + 1) }
    }

    /// The place of a block in the ring.
    pub(crate) fn place(&self, block: u64) -> usize {
        // The remainder is less than the number of blocks, which is at most 1,025.
        usize::try_from(block % (self.blocks.len() as u64).max(1)).unwrap_or(0)
    }

    /// The bits of a block; `None` if the ring holds another block in its place.
    pub(crate) fn block(&self, number: u64, next: Nonce) -> Option<u64> {
        let is_held = self.numbers(next).contains(&number);
        self.blocks.get(self.place(number)).copied().filter(|_| is_held)
    }

    /// The numbers of the blocks in the ring.
    fn numbers(&self, next: Nonce) -> Range<u64> {
        let end = next.saturating_sub(1) / BLOCK_NONCES + 1;
        end.saturating_sub(self.blocks.len() as u64)..end
    }

    /// The blocks with an accepted nonce, each with its number, in order.
    pub(crate) fn each_block(&self, next: Nonce) -> impl Iterator<Item = (u64, u64)> {
        let blocks = self
            .numbers(next)
            .filter_map(move |number| Some((number, *self.blocks.get(self.place(number))?)));
        blocks.filter(|(_, bits)| *bits != 0)
    }

    /// Takes in a stored block. A block that the ring has left is ignored.
    ///
    /// # Errors
    /// Why the block is not sound.
    pub(crate) fn load(&mut self, number: u64, bits: u64, next: Nonce) -> Result<(), Unsound> {
        let first = number.checked_mul(BLOCK_NONCES).ok_or(BAD_BLOCK)?;
        let highest = first.checked_add(u64::from(bits.checked_ilog2().unwrap_or(0)));
        if highest.is_none_or(|highest| highest >= next) {
            return Err(BAD_BLOCK);
        }
        if self.numbers(next).contains(&number) {
            let place = self.place(number);
            self.blocks.get_mut(place).into_iter().for_each(|at| *at |= bits);
        }
        Ok(())
    }

    fn set(&mut self, nonce: Nonce) {
        let place = self.place(nonce / BLOCK_NONCES);
        let block = self.blocks.get_mut(place);
        block.into_iter().for_each(|block| *block |= 1 << (nonce % BLOCK_NONCES));
    }

    /// The memory of the window.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.blocks)
    }
}

const BAD_BLOCK: Unsound = "a block of its late window is past its highest nonce";

/// Whether the first nonce of a block lies behind the replay window: from then on, the block has
/// a row.
const fn has_left(block: u64, next: Nonce) -> bool {
    (block * BLOCK_NONCES).saturating_add(REPLAY_WINDOW_NONCES) < next
}
