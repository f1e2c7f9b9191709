//! The keys of devices as packets of a schedule need them: delays, and the try of one packet.

use hintdex_core::{Naming, Params, ScheduleTolerance};
use hintdex_wire::{
    HintCipher, HintScheme, KeyId, KeySource, Nonce, PacketError, Schedule, Slot, TAG_LEN_BYTES,
};

use super::placing::Delays;
use crate::slot_keys::SlotKeys;

/// What the packets of a scheduled fleet consist of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) schedule: Schedule,
    pub(crate) head: Option<HintScheme>,
    pub(crate) tolerance: ScheduleTolerance,
}

/// A packet, split into its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    head: &'a [u8],
    body: &'a [u8],
}

/// The keys of a fleet and the format of its packets.
#[derive(Clone, Copy)]
pub(crate) struct Opener<'a> {
    pub(crate) format: Format,
    pub(crate) keys: &'a dyn KeySource,
    /// The hint keys, where hints stand in front of packets.
    pub(crate) table: Option<&'a SlotKeys<'a>>,
}

/// The tries of one packet.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// Tags that were computed.
    pub(crate) tags: u64,
    /// Whether a hint in front was confirmed by a device that was due.
    pub(crate) has_confirmed: bool,
    pub(crate) payload: Vec<u8>,
}

impl Format {
    /// The format of a fleet with these parameters; `None` unless packets follow a schedule.
    pub(crate) const fn of(params: &Params) -> Option<Self> {
        match params.naming {
            Naming::Schedule { schedule, head, tolerance } => {
                Some(Self { schedule, head, tolerance })
            }
            _ => None,
        }
    }

    /// Splits a packet.
    pub(crate) fn split(self, packet: &[u8]) -> Result<Parts<'_>, PacketError> {
        let head_len_bytes = self.head.map_or(0, HintScheme::len_bytes);
        let least_bytes = head_len_bytes + TAG_LEN_BYTES;
        let too_short = PacketError { len_bytes: packet.len(), least_bytes };
        if packet.len() < least_bytes {
            return Err(too_short);
        }
        let (head, body) = packet.split_at_checked(head_len_bytes).ok_or(too_short)?;
        Ok(Parts { head, body })
    }
}

impl Parts<'_> {
    /// The tag as a number.
    pub(crate) fn tag(&self) -> Option<u64> {
        self.body.last_chunk().map(|tag| u64::from_be_bytes(*tag))
    }
}

impl Opener<'_> {
    /// Whether the packet is of this nonce: compares the hint in front, then the tag. The payload
    /// is in `tries` then.
    pub(crate) fn opens(
        &self,
        parts: &Parts<'_>,
        (slot, key): (Slot, KeyId),
        nonces: impl IntoIterator<Item = Nonce>,
        tries: &mut Tries,
    ) -> Option<Nonce> {
        let hints = match (self.format.head, self.table) {
            (Some(scheme), Some(table)) => Some(HintCipher::new(scheme, &table.key(slot)?)),
            _ => None,
        };
        let is_of_hint = |nonce: &Nonce| {
            hints.as_ref().is_none_or(|hints| {
                hints.hint(*nonce).is_some_and(|hint| hint.as_bytes().starts_with(parts.head))
            })
        };
        let mut nonces = nonces.into_iter().filter(is_of_hint).peekable();
        nonces.peek()?;
        let packet_key = self.keys.packet_key(key)?;
        tries.payload.resize(parts.body.len().saturating_sub(TAG_LEN_BYTES), 0);
        for nonce in nonces {
            tries.tags += 1;
            tries.has_confirmed |= hints.is_some();
            let opened =
                self.format.schedule.open(&packet_key, nonce, parts.body, &mut tries.payload);
            if opened.is_some() {
                return Some(nonce);
            }
        }
        None
    }
}

impl Delays for Opener<'_> {
    fn delay_ms(&self, key: KeyId, nonce: Nonce) -> Option<u32> {
        self.format.schedule.delay_ms(&self.keys.packet_key(key)?, nonce)
    }
}
