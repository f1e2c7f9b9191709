//! The attempt to open one packet: candidates in, at most one authentic sender out.
//!
//! A candidate is a slot whose key may have made the packet's hint; only the tag decides.
//! While no tag verifies, further sources are asked for candidates, so a packet is forged
//! only after every source was asked. The exception are hints with 64 check bits or more: a
//! second device has the same hint once in 2^64, so the first candidate is the only one.

use hintdex_core::PointHead;
use hintdex_scan::PacketOpener;
use hintdex_wire::{
    AssociatedData, DeviceId, Hint, HintKey, HintScheme, KeySource, Packet, PacketError, Slot,
};

use crate::resolved::{Resolved, ResolvedSlots, is_certain};
use crate::slot_keys::SlotKeys;
use crate::{Malformed, Params, Received};

/// Candidates whose tag is tried for one packet. Each try is a chance of 2⁻⁶⁴ for a forger,
/// and the bound limits the cost of a flood of hints that many devices share.
///
/// A candidate that the byte behind a `carry24` hint rejects is not tried. A scan of a large fleet
/// names more than 16 of them, and each costs a key and an HMAC: little beside the ten blocks of AES
/// that the scan spends on each device.
pub(crate) const MAX_CANDIDATES: usize = 16;

/// The keys with which packets are opened.
#[derive(Clone, Copy)]
pub(crate) struct Opener<'a> {
    pub(crate) keys: &'a dyn KeySource,
    pub(crate) table: &'a SlotKeys<'a>,
    pub(crate) packets: PacketOpener,
    /// Whether accepted packets add hints, so that admission needs the hint keys of their slots.
    pub(crate) adds_hints: bool,
}

impl Opener<'_> {
    /// The hint key of `slot` for admission; `None` if admission does not need the key, or asks the key
    /// source.
    pub(crate) fn hint_key(&self, slot: Slot) -> Option<HintKey> {
        if self.adds_hints { self.table.key(slot) } else { None }
    }
}

/// A packet of a batch, and what it authenticates without carrying it.
#[derive(Clone, Copy)]
pub(crate) struct BoundPacket<'a> {
    pub(crate) packet: Packet<'a>,
    pub(crate) associated_data: AssociatedData<'a>,
}

impl<'a> BoundPacket<'a> {
    /// Splits the packet of a fleet with these parameters.
    pub(crate) fn parse(params: &'a Params, received: Received<'a>) -> Result<Self, PacketError> {
        let packet = Packet::parse(params.format(), received.packet)?;
        let fleets = params.associated_data.borrow();
        Ok(Self { packet, associated_data: received.associated_data.unwrap_or(fleets) })
    }

    pub(crate) const fn hint(&self) -> &Hint {
        self.packet.hint()
    }
}

/// A packet whose tag verified.
pub(crate) struct Authentic {
    pub(crate) resolved: Resolved,
    /// The hint key for [`Arrival::hint_key`](hintdex_core::Arrival).
    pub(crate) hint_key: Option<HintKey>,
    /// The head of the ephemeral point of a packet without a nonce.
    pub(crate) point: Option<PointHead>,
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
    /// The bytes are no packet.
    Malformed(Malformed),
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

    /// The attempt to open bytes that are no packet.
    pub(crate) fn malformed(why: Malformed) -> Self {
        Self { outcome: Outcome::Malformed(why), ..Self::new() }
    }

    /// Notes a candidate under whose key the tag does not verify.
    pub(crate) fn reject(&mut self, candidate: Resolved) {
        self.tried.push(candidate);
    }

    /// Notes the sender, under whose key the tag has verified.
    pub(crate) fn accept(&mut self, authentic: Authentic) {
        self.tried.push(authentic.resolved);
        self.outcome = Outcome::Authentic(authentic);
    }

    /// Whether nothing was tried yet, and there is nothing to be tried no longer.
    pub(crate) fn is_fresh(&self) -> bool {
        matches!(self.outcome, Outcome::Open) && self.tried.is_empty()
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
            Outcome::Authentic(_) | Outcome::Crowded | Outcome::Malformed(_) => false,
        }
    }

    /// The sender, once a tag has verified.
    pub(crate) const fn sender(&self) -> Option<&Resolved> {
        match &self.outcome {
            Outcome::Authentic(authentic) => Some(&authentic.resolved),
            _ => None,
        }
    }

    /// Tries the tag of a packet under the key of each candidate that was not tried yet and that
    /// the bytes in front of the body do not reject.
    pub(crate) fn try_candidates(
        &mut self,
        opener: Opener<'_>,
        BoundPacket { packet, associated_data }: &BoundPacket<'_>,
        candidates: &[Resolved],
    ) {
        let mut payload = Vec::new();
        for candidate in candidates {
            let is_same =
                |tried: &Resolved| (tried.slot, tried.nonce) == (candidate.slot, candidate.nonce);
            if matches!(self.outcome, Outcome::Authentic(_)) || self.tried.iter().any(is_same) {
                continue;
            }
            let key = opener.table.packet_key(opener.keys, candidate);
            let is_rejected = match &key {
                Some(key) => !key.may_open(packet, candidate.nonce),
                None => opener.table.has_left(candidate),
            };
            if is_rejected {
                continue;
            }
            if self.tried.len() == MAX_CANDIDATES {
                self.outcome = Outcome::Crowded;
                return;
            }
            self.tried.push(*candidate);
            let Some(key) = key else {
                self.outcome = Outcome::KeyMissing(*candidate);
                continue;
            };
            payload.resize(packet.payload_len_bytes(), 0);
            if key.open(packet, candidate.nonce, *associated_data, &mut payload).is_some() {
                let payload = std::mem::take(&mut payload);
                let hint_key = opener.hint_key(candidate.slot);
                let opened = Authentic { resolved: *candidate, hint_key, point: None, payload };
                self.outcome = Outcome::Authentic(opened);
            }
        }
    }
}
