//! The attempt to open one packet: candidates in, at most one authentic sender out.
//!
//! A candidate is a slot whose key may have made the packet's hint; only the tag decides.
//! While no tag verifies, further sources are asked for candidates, so a packet is forged
//! only after every source was asked. The exception are hints with 64 check bits or more: a
//! second device has the same hint once in 2^64, so the first candidate is the only one.

use hintdex_wire::{DeviceId, HintKey, HintScheme, KeySource, Packet};

use crate::resolved::{Resolved, ResolvedSlots, is_certain};
use crate::slot_keys::SlotKeys;

/// Candidates whose tag is tried for one packet. Each try is a chance of 2⁻⁶⁴ for a forger,
/// and the bound limits the cost of a flood of hints that many devices share.
pub(crate) const MAX_CANDIDATES: usize = 16;

/// The keys with which packets are opened.
#[derive(Clone, Copy)]
pub(crate) struct Opener<'a> {
    pub(crate) keys: &'a dyn KeySource,
    pub(crate) table: &'a SlotKeys<'a>,
}

/// A packet whose tag verified.
pub(crate) struct Authentic {
    pub(crate) resolved: Resolved,
    pub(crate) hint_key: HintKey,
    pub(crate) payload: Vec<u8>,
}

/// The state of an attempt.
pub(crate) enum Outcome {
    /// No tag has verified yet.
    Open,
    /// A tag has verified.
    Authentic(Authentic),
    /// The packet has more candidates than are tried.
    Crowded,
    /// The only device that can have sent the packet has no packet key any longer.
    KeyMissing(Resolved),
}

/// The attempt to open one packet.
pub(crate) struct Attempt {
    /// The candidates whose tag was tried.
    tried: ResolvedSlots,
    pub(crate) outcome: Outcome,
    /// A device without a usable hint key that the live index names for the hint: its key
    /// can neither confirm nor reject the hint.
    pub(crate) keyless: Option<DeviceId>,
}

impl Attempt {
    pub(crate) fn new() -> Self {
        Self { tried: ResolvedSlots::new(), outcome: Outcome::Open, keyless: None }
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
    pub(crate) fn try_candidates(
        &mut self,
        opener: Opener<'_>,
        packet: &Packet<'_>,
        candidates: &[Resolved],
    ) {
        for candidate in candidates {
            let is_same =
                |tried: &Resolved| (tried.slot, tried.nonce) == (candidate.slot, candidate.nonce);
            if matches!(self.outcome, Outcome::Authentic(_)) || self.tried.iter().any(is_same) {
                continue;
            }
            if self.tried.len() == MAX_CANDIDATES {
                self.outcome = Outcome::Crowded;
                return;
            }
            let keys = opener.table.keys_of(opener.keys, candidate);
            if keys.is_none() && opener.table.has_left(candidate) {
                continue;
            }
            self.tried.push(*candidate);
            let Some((key, hint_key)) = keys else {
                self.outcome = Outcome::KeyMissing(*candidate);
                continue;
            };
            let Some(authentic) = key.verify(packet) else { continue };
            let mut payload = vec![0; packet.payload_len_bytes()];
            // The buffer has the length of the payload, so decryption always fills it.
            let _ = authentic.decrypt(candidate.nonce, &mut payload);
            let opened = Authentic { resolved: *candidate, hint_key, payload };
            self.outcome = Outcome::Authentic(opened);
        }
    }
}
