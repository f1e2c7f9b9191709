//! Packets as the station sees them: parsed, verified, decrypted.

use core::error::Error;
use core::fmt;

use aes::Aes128;
use aes::cipher::KeyIvInit;
use ctr::Ctr64BE;
use ctr::cipher::StreamCipher;

use crate::tag::Tag;
use crate::{Hint, HintScheme, Nonce, PacketKey, TAG_LEN_BYTES};

/// A packet, split into its parts and not yet verified.
///
/// ```
/// use hintdex_wire::{Authentic, HintKey, HintScheme, Packet, PacketError, PacketKey, Sealer};
///
/// let (hint_key, key) = (HintKey::from_bytes([1; 16]), PacketKey::from_bytes([2; 32]));
/// let mut bytes = [0; 64];
/// let len = Sealer::new(HintScheme::Speck64, &hint_key, key.clone(), 5)
///     .seal(b"21.5 C", &mut bytes)
///     .unwrap();
///
/// let packet = Packet::parse(HintScheme::Speck64, &bytes[..len])?;
/// let authentic: Authentic<'_, '_> = key.verify(&packet).unwrap();
/// let mut payload = [0; 64];
/// assert_eq!(authentic.decrypt(5, &mut payload), Some(&b"21.5 C"[..]));
///
/// // One changed bit: the tag does not verify.
/// bytes[8] ^= 1;
/// let packet = Packet::parse(HintScheme::Speck64, &bytes[..len])?;
/// assert!(key.verify(&packet).is_none());
///
/// let too_short = Packet::parse(HintScheme::Speck64, &bytes[..15]);
/// assert_eq!(too_short.unwrap_err(), PacketError { len_bytes: 15, least_bytes: 16 });
/// # Ok::<(), PacketError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    hint: Hint,
    /// The bytes that the tag covers: hint ‖ ciphertext, as sent.
    covered: &'a [u8],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LEN_BYTES],
}

impl<'a> Packet<'a> {
    /// Splits `bytes` into hint, ciphertext and tag.
    ///
    /// # Errors
    /// [`PacketError`] when `bytes` cannot hold a hint and a tag around an empty payload.
    pub fn parse(scheme: HintScheme, bytes: &'a [u8]) -> Result<Self, PacketError> {
        let too_short =
            PacketError { len_bytes: bytes.len(), least_bytes: scheme.len_bytes() + TAG_LEN_BYTES };
        let (covered, tag) = bytes.split_last_chunk().ok_or(too_short)?;
        let hint = Hint::read(scheme, covered).ok_or(too_short)?;
        let ciphertext = covered.get(scheme.len_bytes()..).ok_or(too_short)?;
        Ok(Self { hint, covered, ciphertext, tag })
    }

    /// The hint: the only part that carries information before the key is known.
    pub const fn hint(&self) -> &Hint {
        &self.hint
    }

    /// The length of the payload in bytes.
    pub const fn payload_len_bytes(&self) -> usize {
        self.ciphertext.len()
    }
}

/// The bytes are too few for a packet of the scheme. The remedy is to drop them.
///
/// See the example of [`Packet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketError {
    /// The length of the bytes.
    pub len_bytes: usize,
    /// The length of the shortest packet.
    pub least_bytes: usize,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len_bytes, least_bytes } = self;
        write!(f, "{len_bytes} bytes are too few for a packet, the shortest has {least_bytes}")
    }
}

impl Error for PacketError {}

/// A packet whose tag was verified. No other packet can be decrypted.
///
/// See the example of [`Packet`].
#[derive(Clone, Copy)]
pub struct Authentic<'k, 'p> {
    key: &'k PacketKey,
    ciphertext: &'p [u8],
}

impl PacketKey {
    /// Compares the packet's tag with the tag under this key, in constant time.
    /// Returns `None` when they differ.
    ///
    /// Costs the HMAC-SHA256 of a short message under a new key: four
    /// compressions for a packet up to 55 bytes without its tag.
    pub fn verify<'k, 'p>(&'k self, packet: &Packet<'p>) -> Option<Authentic<'k, 'p>> {
        let is_authentic = Tag::of(self, packet.covered).is(packet.tag);
        is_authentic.then_some(Authentic { key: self, ciphertext: packet.ciphertext })
    }

    /// Encrypts or decrypts in place: AES-128-CTR, counter block `nonce_be8 ‖ block_be8`.
    pub(crate) fn apply_keystream(&self, nonce: Nonce, data: &mut [u8]) {
        let counter_block = (u128::from(nonce) << 64).to_be_bytes();
        Ctr64BE::<Aes128>::new(self.cipher_key().into(), &counter_block.into())
            .apply_keystream(data);
    }
}

impl Authentic<'_, '_> {
    /// Decrypts the payload into the head of `out` and returns that part of `out`;
    /// `None` if `out` is shorter than the payload.
    pub fn decrypt<'o>(&self, nonce: Nonce, out: &'o mut [u8]) -> Option<&'o [u8]> {
        let payload = out.get_mut(..self.ciphertext.len())?;
        payload.copy_from_slice(self.ciphertext);
        self.key.apply_keystream(nonce, payload);
        Some(payload)
    }
}
