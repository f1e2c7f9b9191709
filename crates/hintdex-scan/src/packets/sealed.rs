//! Packets to be opened, each with its key.

use hintdex_wire::{
    AssociatedData, HmacState, KeyDerivation, Nonce, Packet, PacketFormat, PacketKey, Suite,
    TAG_LEN_BYTES,
};

use super::message::{derive, derive_words};

/// A packet, and the key that may open it.
///
/// See the example of [`PacketOpener`](crate::PacketOpener).
#[derive(Clone)]
pub struct SealedPacket<'a> {
    /// The packet.
    pub packet: Packet<'a>,
    /// Its nonce, which the hint yields.
    pub nonce: Nonce,
    /// The key.
    pub key: OpeningKey<'a>,
}

/// A packet key, or how it follows from a master key.
///
/// See the example of [`PacketOpener`](crate::PacketOpener).
#[derive(Clone)]
pub enum OpeningKey<'a> {
    /// The key.
    Given(PacketKey),
    /// The derivation of the key.
    Derived(KeyDerivation<'a>),
}

/// Whether packets of this format are opened many at a time.
pub(super) const fn is_usual(format: PacketFormat) -> bool {
    matches!(format.suite, Suite::AesCtrHmac) && format.has_whole_heads()
}

impl<'a> SealedPacket<'a> {
    /// Ciphertext and tag of a packet that is opened many at a time.
    pub(super) fn usual(&self) -> Option<(&'a [u8], &'a [u8; TAG_LEN_BYTES])> {
        let (text, tag) = self.packet.body().split_last_chunk()?;
        is_usual(self.packet.format()).then_some((text, tag))
    }

    /// Opens a packet of any format.
    pub(super) fn open(&self) -> Option<Vec<u8>> {
        let key = match &self.key {
            OpeningKey::Given(key) => key.clone(),
            OpeningKey::Derived(derivation) => derive(derivation),
        };
        let mut payload = vec![0; self.packet.payload_len_bytes()];
        let opened = key.open(&self.packet, self.nonce, AssociatedData::EMPTY, &mut payload);
        opened.is_some().then_some(payload)
    }
}

impl<'a> OpeningKey<'a> {
    /// The state under which the key is derived, if it is.
    pub(super) const fn state(&self) -> Option<&'a HmacState> {
        match self {
            Self::Derived(derivation) => Some(derivation.state),
            Self::Given(_) => None,
        }
    }

    /// The key as big-endian words.
    pub(super) fn words(&self) -> [u32; 8] {
        match self {
            Self::Derived(derivation) => derive_words(derivation),
            Self::Given(key) => {
                let (chunks, _) = key.expose().as_chunks::<4>();
                let mut words = [0; 8];
                words.iter_mut().zip(chunks).for_each(|(to, from)| *to = u32::from_be_bytes(*from));
                words
            }
        }
    }
}
