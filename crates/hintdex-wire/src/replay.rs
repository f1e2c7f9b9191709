//! The replay window: which nonces of a key have been accepted.

use crate::Nonce;

/// How many nonces, up to the highest accepted one, are remembered one by one.
pub const REPLAY_WINDOW_NONCES: u64 = 64;

/// What a replay window says of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Not accepted before.
    Fresh,
    /// Accepted before.
    Replay,
    /// So far behind the highest accepted nonce that nobody remembers.
    Stale,
}

/// The highest accepted nonce of a key and a bitmap of the 64 nonces up to it.
///
/// The sliding window of RFC 6479, in one word: bit *i* of [`seen`](Self::seen)
/// stands for the nonce *i* below the highest. Judging and admitting are apart,
/// because a nonce may only move the window after its packet's tag was verified
/// (RFC 4303, section 3.4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayWindow {
    next: Nonce,
    seen: u64,
}

impl ReplayWindow {
    /// The window of a key under which nothing was accepted yet.
    pub const fn new() -> Self {
        Self { next: 0, seen: 0 }
    }

    /// A window as it was stored: [`next`](Self::next) and [`seen`](Self::seen).
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

    /// What `nonce` would be, without taking it.
    pub const fn judge(&self, nonce: Nonce) -> Freshness {
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

    /// Takes `nonce` if it is fresh, and says what it was.
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
