//! The body of a payload's row: composed, sealed, unsealed and read.

use hintdex_wire::{KeyId, Nonce};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Source;
use crate::keys::{Sealer, SealingCipher};
use crate::received::Reception;

/// What separates payloads from the other secrets that the master key seals.
const LABEL: &[u8] = b"outbox";

/// The length of what a body is bound to: label, fleet id, device id, generation, nonce.
const OWNER_LEN_BYTES: usize = LABEL.len() + 16 + 4 + 2 + 8;

/// The length of the tag in front of a sealed body, in bytes.
const SIV_LEN_BYTES: usize = 16;

/// What is sealed in front of the payload; the context follows the payload.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    at_unix_s: U64,
    at_ms: U16,
    source: u8,
    reserved: u8,
    payload_len_bytes: U32,
}

/// The contents of a body.
pub(crate) struct Body<'a> {
    pub(crate) source: Source,
    pub(crate) at_unix_s: u64,
    pub(crate) at_ms: u16,
    pub(crate) payload: &'a [u8],
    pub(crate) context: &'a [u8],
}

impl<'a> Body<'a> {
    pub(crate) const fn new(source: Source, reception: Reception<'a>, payload: &'a [u8]) -> Self {
        let Reception { at_unix_s, at_ms, context } = reception;
        Self { source, at_unix_s, at_ms, payload, context }
    }

    /// Reads an unsealed body; `None` if its parts contradict one another.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = Head::read_from_prefix(bytes).ok()?;
        let payload_len_bytes = usize::try_from(head.payload_len_bytes.get()).ok()?;
        let (payload, context) = rest.split_at_checked(payload_len_bytes)?;
        let source = Source::of_number(head.source).filter(|_| head.reserved == 0)?;
        let (at_unix_s, at_ms) = (head.at_unix_s.get(), head.at_ms.get());
        Some(Self { source, at_unix_s, at_ms, payload, context })
    }
}

/// Seals the bodies of a fleet's outbox.
pub(crate) struct PayloadSealer {
    sealer: Sealer,
    binding: Binding,
}

/// What every body of a fleet is bound to.
#[derive(Clone, Copy)]
struct Binding {
    fleet_id: [u8; 16],
    /// Whether the nonce of a packet is not known before its admission.
    counts_packets: bool,
}

impl PayloadSealer {
    pub(crate) const fn new(sealer: Sealer, fleet_id: [u8; 16], counts_packets: bool) -> Self {
        Self { sealer, binding: Binding { fleet_id, counts_packets } }
    }

    /// The cipher, for many bodies.
    pub(crate) fn cipher(&self) -> BodyCipher {
        BodyCipher { cipher: self.sealer.cipher(), binding: self.binding }
    }
}

/// Seals and unseals bodies, one after the other.
pub(crate) struct BodyCipher {
    cipher: SealingCipher,
    binding: Binding,
}

impl Binding {
    /// What a body is bound to: the label, the fleet, the device, the generation of its key, and the nonce.
    /// One component of associated data: each further one would cost two more passes of the cipher.
    fn owner(&self, key: KeyId, nonce: Nonce) -> [u8; OWNER_LEN_BYTES] {
        let nonce = if self.counts_packets { 0 } else { nonce };
        let mut owner = [0; OWNER_LEN_BYTES];
        let parts = [
            LABEL,
            &self.fleet_id,
            &key.device.0.to_be_bytes(),
            &key.generation.to_be_bytes(),
            &nonce.to_be_bytes(),
        ];
        owner.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        owner
    }
}

impl BodyCipher {
    /// A sealed body: tag and ciphertext. `None` if the cipher rejects the length, or the payload is
    /// longer than 4 GiB, which does not occur.
    pub(crate) fn seal(&mut self, key: KeyId, nonce: Nonce, body: &Body<'_>) -> Option<Vec<u8>> {
        let head = Head {
            at_unix_s: body.at_unix_s.into(),
            at_ms: body.at_ms.into(),
            source: body.source.number(),
            reserved: 0,
            payload_len_bytes: u32::try_from(body.payload.len()).ok()?.into(),
        };
        let parts = [&[0; SIV_LEN_BYTES], head.as_bytes(), body.payload, body.context];
        let mut sealed = parts.concat();
        let (tag, plain) = sealed.split_first_chunk_mut::<SIV_LEN_BYTES>()?;
        *tag = self.cipher.seal(&[&self.binding.owner(key, nonce)], plain)?;
        Some(sealed)
    }

    /// Unseals a body in place; `None` if it is damaged, or of another packet or fleet.
    pub(crate) fn unseal<'a>(
        &mut self,
        key: KeyId,
        nonce: Nonce,
        sealed: &'a mut [u8],
    ) -> Option<Body<'a>> {
        let (tag, plain) = sealed.split_first_chunk_mut::<SIV_LEN_BYTES>()?;
        self.cipher.unseal(&[&self.binding.owner(key, nonce)], plain, tag)?;
        Body::read(plain)
    }
}

/// The fields of a body as (name, offset, width), for the test that compares them with the document.
pub mod format {
    use core::mem::offset_of;

    use super::{Head, SIV_LEN_BYTES};

    /// The fields of a sealed body in front of the payload.
    pub fn record() -> Vec<(&'static str, usize, usize)> {
        vec![
            ("siv", 0, SIV_LEN_BYTES),
            ("at_unix_s", SIV_LEN_BYTES + offset_of!(Head, at_unix_s), 8),
            ("at_ms", SIV_LEN_BYTES + offset_of!(Head, at_ms), 2),
            ("source", SIV_LEN_BYTES + offset_of!(Head, source), 1),
            ("reserved", SIV_LEN_BYTES + offset_of!(Head, reserved), 1),
            ("payload_len_bytes", SIV_LEN_BYTES + offset_of!(Head, payload_len_bytes), 4),
        ]
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex_wire::{DeviceId, MasterKey};

    use super::*;

    const KEY: KeyId = KeyId { device: DeviceId(7), generation: 2 };

    fn cipher(master: u8, fleet: u8, counts_packets: bool) -> BodyCipher {
        let sealer = Sealer::new(&MasterKey::new(&[master; 32]));
        PayloadSealer::new(sealer, [fleet; 16], counts_packets).cipher()
    }

    fn body<'a>(payload: &'a [u8], context: &'a [u8]) -> Body<'a> {
        Body::new(Source::Scan, Reception { at_unix_s: 99, at_ms: 250, context }, payload)
    }

    #[test]
    fn a_body_unseals_for_its_packet_and_its_fleet_alone() {
        let mut own = cipher(1, 1, false);
        let sealed = own.seal(KEY, 5, &body(b"21.5 C", b"gateway 3")).expect("few bytes");
        assert!(!sealed.windows(4).any(|run| b"21.5 C".starts_with(run)), "it is sealed");
        let mut copy = sealed.clone();
        let read = own.unseal(KEY, 5, &mut copy).expect("just sealed");
        assert_eq!((read.source, read.at_unix_s, read.at_ms), (Source::Scan, 99, 250));
        assert_eq!((read.payload, read.context), (&b"21.5 C"[..], &b"gateway 3"[..]));
        let other = KeyId { generation: 3, ..KEY };
        assert!(own.unseal(other, 5, &mut sealed.clone()).is_none());
        assert!(own.unseal(KEY, 6, &mut sealed.clone()).is_none());
        assert!(cipher(2, 1, false).unseal(KEY, 5, &mut sealed.clone()).is_none());
        assert!(cipher(1, 2, false).unseal(KEY, 5, &mut sealed.clone()).is_none());
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged.get_mut(bit / 8).into_iter().for_each(|byte| *byte ^= 1 << (bit % 8));
            assert!(own.unseal(KEY, 5, &mut damaged).is_none(), "bit {bit}");
        }
        for len_bytes in 0..sealed.len() {
            let mut cut = sealed.iter().take(len_bytes).copied().collect::<Vec<_>>();
            assert!(own.unseal(KEY, 5, &mut cut).is_none());
        }
    }

    #[test]
    fn a_packet_without_a_nonce_is_sealed_before_it_has_a_number() {
        let mut own = cipher(1, 1, true);
        let mut sealed = own.seal(KEY, 0, &body(b"", b"")).expect("few bytes");
        assert!(own.unseal(KEY, 41, &mut sealed).is_some_and(|body| body.payload.is_empty()));
    }
}
