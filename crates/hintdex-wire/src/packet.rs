//! Packets: sealed on the device, opened at the station.

use core::error::Error;
use core::fmt;

use aes::Aes128;
use aes::cipher::KeyIvInit;
use ctr::Ctr64BE;
use ctr::cipher::StreamCipher;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{Hint, HintCipher, HintKey, HintScheme, Nonce, PacketKey};

/// The length of a tag in bytes.
///
/// Fixed by type everywhere: a random packet passes with probability 2⁻⁶⁴ for
/// each tag tried, and none can ask for a shorter comparison.
pub const TAG_LEN_BYTES: usize = 8;

/// A packet, split into its parts and not yet believed.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    hint: Hint,
    /// What the tag covers: hint ‖ ciphertext, as sent.
    covered: &'a [u8],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LEN_BYTES],
}

impl<'a> Packet<'a> {
    /// Splits `bytes` into hint, ciphertext and tag.
    ///
    /// # Errors
    /// [`PacketError`] when they cannot hold a hint and a tag around an empty payload.
    pub fn parse(scheme: HintScheme, bytes: &'a [u8]) -> Result<Self, PacketError> {
        let too_short =
            PacketError { len_bytes: bytes.len(), least_bytes: scheme.len_bytes() + TAG_LEN_BYTES };
        let (covered, tag) = bytes.split_last_chunk().ok_or(too_short)?;
        let hint = Hint::read(scheme, covered).ok_or(too_short)?;
        let ciphertext = covered.get(scheme.len_bytes()..).ok_or(too_short)?;
        Ok(Self { hint, covered, ciphertext, tag })
    }

    /// The hint: the only part that says anything before the key is known.
    pub const fn hint(&self) -> &Hint {
        &self.hint
    }

    /// The length of the payload in bytes.
    pub const fn payload_len_bytes(&self) -> usize {
        self.ciphertext.len()
    }
}

/// Too short to be a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketError {
    /// How long it was.
    pub len_bytes: usize,
    /// How long the shortest packet is.
    pub least_bytes: usize,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len_bytes, least_bytes } = self;
        write!(f, "{len_bytes} bytes are too few for a packet, the shortest has {least_bytes}")
    }
}

impl Error for PacketError {}

/// A packet whose tag was verified: only this can be decrypted.
#[derive(Clone, Copy)]
pub struct Authentic<'k, 'p> {
    key: &'k PacketKey,
    ciphertext: &'p [u8],
}

impl PacketKey {
    /// Compares the packet's tag with the one this key makes, in constant time.
    /// `None` when they differ.
    ///
    /// Costs the HMAC-SHA256 of a short message under a new key: four
    /// compressions for a packet up to 55 bytes without its tag.
    pub fn verify<'k, 'p>(&'k self, packet: &Packet<'p>) -> Option<Authentic<'k, 'p>> {
        let same: bool = self.tag(packet.covered).ct_eq(packet.tag).into();
        same.then_some(Authentic { key: self, ciphertext: packet.ciphertext })
    }

    fn tag(&self, covered: &[u8]) -> [u8; TAG_LEN_BYTES] {
        let mut block = [0; 64];
        let (head, _) = block.split_at_mut(self.mac_key().len());
        head.copy_from_slice(self.mac_key());
        let mut mac = Hmac::<Sha256>::new(&block.into());
        zeroize::Zeroize::zeroize(&mut block);
        mac.update(covered);
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut tag = [0; TAG_LEN_BYTES];
        tag.copy_from_slice(full.split_at(TAG_LEN_BYTES).0);
        tag
    }

    /// Encrypts or decrypts in place: AES-128-CTR over `nonce_be8 ‖ block_be8`.
    fn apply_keystream(&self, nonce: Nonce, data: &mut [u8]) {
        let counter_block = (u128::from(nonce) << 64).to_be_bytes();
        Ctr64BE::<Aes128>::new(self.cipher_key().into(), &counter_block.into())
            .apply_keystream(data);
    }
}

impl Authentic<'_, '_> {
    /// Decrypts the payload into `out` and returns the part of it that was
    /// filled; `None` if `out` is too short for it.
    pub fn decrypt<'o>(&self, nonce: Nonce, out: &'o mut [u8]) -> Option<&'o [u8]> {
        let payload = out.get_mut(..self.ciphertext.len())?;
        payload.copy_from_slice(self.ciphertext);
        self.key.apply_keystream(nonce, payload);
        Some(payload)
    }
}

/// Why a packet was not sealed. The sealer stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The buffer cannot hold the packet; give it this many bytes.
    BufferTooShort {
        /// What the packet needs.
        needed_bytes: usize,
    },
    /// Every nonce of the key was used; the device needs a new key.
    NoncesUsedUp,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooShort { needed_bytes } => {
                write!(f, "the packet needs a buffer of {needed_bytes} bytes")
            }
            Self::NoncesUsedUp => f.write_str("every nonce was used; give the device a new key"),
        }
    }
}

impl Error for SealError {}

/// Seals payloads into packets: the device's side, for firmware.
///
/// It never uses a nonce twice as long as whoever restarts it passes a
/// `next_nonce` above every one used before; keep it in flash ahead of time.
#[derive(Debug)]
pub struct Sealer {
    scheme: HintScheme,
    hints: HintCipher,
    key: PacketKey,
    next_nonce: Nonce,
}

impl Sealer {
    /// A sealer whose first packet carries `next_nonce`.
    pub fn new(scheme: HintScheme, hint_key: &HintKey, key: PacketKey, next_nonce: Nonce) -> Self {
        Self { scheme, hints: HintCipher::new(scheme, hint_key), key, next_nonce }
    }

    /// The nonce the next packet will carry.
    pub const fn next_nonce(&self) -> Nonce {
        self.next_nonce
    }

    /// How long the packet around a payload of `payload_len_bytes` is.
    pub const fn packet_len_bytes(&self, payload_len_bytes: usize) -> usize {
        self.scheme.len_bytes() + payload_len_bytes + TAG_LEN_BYTES
    }

    /// Seals `payload` into the head of `out` and returns the packet's length.
    ///
    /// # Errors
    /// [`SealError`] when `out` is too short or the nonces are used up; nothing
    /// is sent and no nonce is spent then.
    pub fn seal(&mut self, payload: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        let hint = self.hints.hint(self.next_nonce).ok_or(SealError::NoncesUsedUp)?;
        let needed_bytes = self.packet_len_bytes(payload.len());
        let too_short = SealError::BufferTooShort { needed_bytes };

        let packet = out.get_mut(..needed_bytes).ok_or(too_short)?;
        let (covered, tag) = packet.split_last_chunk_mut::<TAG_LEN_BYTES>().ok_or(too_short)?;
        let (head, ciphertext) = covered.split_at_mut(self.scheme.len_bytes());
        head.iter_mut().zip(hint.as_bytes()).for_each(|(to, from)| *to = *from);
        ciphertext.copy_from_slice(payload);
        self.key.apply_keystream(self.next_nonce, ciphertext);
        *tag = self.key.tag(covered);
        self.next_nonce += 1;
        Ok(needed_bytes)
    }
}
