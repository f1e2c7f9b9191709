//! The replay window: which nonces of a key have been accepted.

use crate::Nonce;

/// How many nonces, up to the highest accepted one, the window keeps one by one.
pub const REPLAY_WINDOW_NONCES: u64 = 64;

/// How a replay window judges a nonce.
///
/// See the example of [`ReplayWindow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The nonce has not been accepted before.
    Fresh,
    /// The nonce has been accepted before.
    Replay,
    /// The nonce lies 64 or more below the highest accepted nonce, where the
    /// window keeps no record; or it is [`Nonce::MAX`], which no packet carries.
    Stale,
}

/// The highest accepted nonce of a key and a bitmap of the 64 nonces up to it.
///
/// The sliding window of RFC 6479, in one word: bit *i* of [`seen`](Self::seen)
/// stands for the nonce *i* below the highest. Judging and admitting are separate
/// calls, because a nonce may move the window only after its packet's tag was
/// verified (RFC 4303, section 3.4.3).
///
/// [`Nonce::MAX`] is the end of every range of nonces and never a nonce itself
/// ([`NonceKind::max_nonce`](crate::NonceKind::max_nonce)). The window refuses it:
/// the number after it would be 0, and every nonce would be fresh again.
///
/// ```
/// use hintdex_wire::{Freshness, ReplayWindow};
///
/// let mut window = ReplayWindow::new();
/// assert_eq!(window.admit(1000), Freshness::Fresh);
/// assert_eq!(window.admit(998), Freshness::Fresh); // late, and not yet seen
/// assert_eq!(window.admit(998), Freshness::Replay);
/// assert_eq!(window.admit(936), Freshness::Stale);
/// assert_eq!(window.next(), 1001);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayWindow {
    next: Nonce,
    seen: u64,
}

impl ReplayWindow {
    /// The window of a key under which no nonce has been accepted.
    pub const fn new() -> Self {
        Self { next: 0, seen: 0 }
    }

    /// A window from its stored parts: [`next`](Self::next) and [`seen`](Self::seen).
    pub const fn from_parts(next: Nonce, seen: u64) -> Self {
        Self { next, seen }
    }

    /// One more than the highest accepted nonce; 0 before the first.
    pub const fn next(&self) -> Nonce {
        self.next
    }

    /// The bitmap: bit *i* is set when nonce `next − 1 − i` was accepted.
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Judges `nonce` without admitting it.
    pub const fn judge(&self, nonce: Nonce) -> Freshness {
        if nonce == Nonce::MAX {
            return Freshness::Stale;
        }
        if nonce >= self.next {
            return Freshness::Fresh;
        }
        let behind = self.next - 1 - nonce;
        if behind >= REPLAY_WINDOW_NONCES {
            Freshness::Stale
        } else if self.seen >> behind & 1 == 1 {
            Freshness::Replay
        } else {
            Freshness::Fresh
        }
    }

    /// Judges `nonce` and, if it is fresh, marks it as accepted.
    pub const fn admit(&mut self, nonce: Nonce) -> Freshness {
        let freshness = self.judge(nonce);
        if matches!(freshness, Freshness::Fresh) {
            if nonce >= self.next {
                let ahead = nonce - self.next + 1;
                self.seen = if ahead >= REPLAY_WINDOW_NONCES { 0 } else { self.seen << ahead };
                self.seen |= 1;
                self.next = nonce + 1;
            } else {
                self.seen |= 1 << (self.next - 1 - nonce);
            }
        }
        freshness
    }
}
