//! The attempt to open one packet: candidates in, at most one authentic sender out.
//!
//! A candidate is a slot that may have made the packet's hint; only the tag decides. While
//! no tag verifies, further sources are asked for candidates, so that a packet is condemned
//! only when all sources were asked. The exception are hints that no second device has but
//! once in 2^64: there the first candidate is the only one.

use hintdex_scan::KeyTable;
use hintdex_wire::{HintKey, HintScheme, KeySource, Packet};

use crate::{Found, Resolved};

/// Devices whose tag is tried for one packet. Each try is a chance of 2⁻⁶⁴ for a
/// forger, and the cost of a flood of hints that many devices share.
pub(crate) const MAX_CANDIDATES: usize = 16;

/// Check bits from which on a hint names its device alone.
const CERTAIN_CHECK_BITS: u32 = 64;

/// Whether a hint of this scheme names one device and no other.
pub(crate) fn is_certain(scheme: HintScheme) -> bool {
    scheme.is_reversible() && scheme.check_bits() >= CERTAIN_CHECK_BITS
}

/// What opening packets takes.
#[derive(Clone, Copy)]
pub(crate) struct Opener<'a> {
    pub(crate) keys: &'a dyn KeySource,
    pub(crate) table: &'a KeyTable,
}

/// A packet whose tag verified.
pub(crate) struct Authentic {
    pub(crate) resolved: Resolved,
    pub(crate) hint_key: HintKey,
    pub(crate) payload: Vec<u8>,
}

/// How an attempt has ended, or that it has not.
pub(crate) enum Outcome {
    /// No tag has verified yet.
    Open,
    /// A tag has verified.
    Authentic(Authentic),
    /// More devices may have made the hint than are tried.
    Crowded,
    /// The only device that may have sent the packet has no key any longer.
    KeyMissing(Resolved),
}

/// The attempt to open one packet.
pub(crate) struct Attempt {
    /// The candidates whose tag was tried.
    tried: Found,
    pub(crate) outcome: Outcome,
}

impl Attempt {
    pub(crate) fn new() -> Self {
        Self { tried: Found::new(), outcome: Outcome::Open }
    }

    /// Whether a tag was tried.
    pub(crate) fn was_tried(&self) -> bool {
        !self.tried.is_empty()
    }

    /// The candidates whose tag was tried.
    pub(crate) fn tried(&self) -> &[Resolved] {
        &self.tried
    }

    /// Whether further candidates may change the outcome.
    pub(crate) fn is_open(&self, scheme: HintScheme) -> bool {
        match self.outcome {
            Outcome::Open => !(is_certain(scheme) && self.was_tried()),
            Outcome::KeyMissing(_) => !is_certain(scheme),
            Outcome::Authentic(_) | Outcome::Crowded => false,
        }
    }

    /// The sender, once a tag has verified.
    pub(crate) const fn sender(&self) -> Option<&Resolved> {
        match &self.outcome {
            Outcome::Authentic(authentic) => Some(&authentic.resolved),
            _ => None,
        }
    }

    /// Tries the tag of `packet` under the key of each candidate that was not tried yet.
    pub(crate) fn offer(&mut self, opener: Opener<'_>, packet: &Packet<'_>, found: &[Resolved]) {
        for candidate in found {
            let is_same =
                |tried: &Resolved| (tried.slot, tried.nonce) == (candidate.slot, candidate.nonce);
            if matches!(self.outcome, Outcome::Authentic(_)) || self.tried.iter().any(is_same) {
                continue;
            }
            if self.tried.len() == MAX_CANDIDATES {
                self.outcome = Outcome::Crowded;
                return;
            }
            self.tried.push(*candidate);
            let keys = opener.keys.packet_key(candidate.key).zip(opener.table.key(candidate.slot));
            let Some((key, hint_key)) = keys else {
                self.outcome = Outcome::KeyMissing(*candidate);
                continue;
            };
            let Some(authentic) = key.verify(packet) else { continue };
            let mut payload = vec![0; packet.payload_len_bytes()];
            // The buffer has the payload's length, so it is always filled.
            let _ = authentic.decrypt(candidate.nonce, &mut payload);
            let opened = Authentic { resolved: *candidate, hint_key, payload };
            self.outcome = Outcome::Authentic(opened);
        }
    }
}
