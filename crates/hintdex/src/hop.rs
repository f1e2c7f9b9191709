//! The hop behind the station: opened payloads, sealed again for the application.
//!
//! A payload leaves the station as a COSE_Encrypt0 (RFC 9052, section 5.2) with AES-CCM-16-64-128
//! (RFC 9053, section 4.2): a message with a standard form, and without the fleet's keys.

use std::error::Error as StdError;
use std::fmt;

use aes::Aes128;
use ccm::aead::inout::InOutBuf;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U13};
use ccm::{Ccm, Nonce as CcmNonce, Tag};
use coset::iana::Algorithm;
use coset::{CborSerializable, CoseEncrypt0, CoseEncrypt0Builder, HeaderBuilder};
use coset::{RegisteredLabelWithPrivate, TaggedCborSerializable};
use hintdex_host::SecretSource;
use hintdex_wire::{DeviceId, KeyId, Nonce};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::Error;
use crate::keys::read_key;

/// AES-CCM-16-64-128: a tag of 64 bits, a nonce of 13 bytes.
type AesCcm = Ccm<Aes128, U8, U13>;

const NONCE_LEN_BYTES: usize = 13;
const TAG_LEN_BYTES: usize = 8;
/// The most significant bytes of the context IV: device and generation.
const SENDER_LEN_BYTES: usize = 6;

/// The key of the hop behind a station. Zeroized on drop, redacted in `Debug`.
///
/// The nonce of AES-CCM is the *context IV* of the sender, exclusive-or with the Partial IV (RFC
/// 9052, section 3.1). The context IV is the device id in four bytes, the generation in two, and
/// zeros, so no two packets of a fleet share a nonce. Two fleets do: **give each fleet a hop key of
/// its own.**
///
/// ```
/// use hintdex::wire::{DeviceId, KeyId};
/// use hintdex::{HopError, HopKey, HopPayload};
///
/// let (hop, fleet_id) = (HopKey::new(&[7; 16]), [1; 16]);
/// let sender = KeyId::first(DeviceId(42));
/// let message: Vec<u8> = hop.seal(&fleet_id, sender, 7, b"21.5 C").unwrap();
///
/// let HopPayload { sender, nonce, payload } = hop.open(&fleet_id, &message)?;
/// assert_eq!((sender.device, nonce, payload), (DeviceId(42), 7, b"21.5 C".to_vec()));
/// // Of another fleet, it is refused.
/// assert_eq!(hop.open(&[2; 16], &message), Err(HopError::NotAuthentic));
/// # Ok::<(), HopError>(())
/// ```
pub struct HopKey(Zeroizing<[u8; 16]>);

/// A payload behind the hop.
///
/// See the example of [`HopKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopPayload {
    /// The key under which the device had sealed the packet.
    pub sender: KeyId,
    /// The nonce of the packet.
    pub nonce: Nonce,
    /// The payload.
    pub payload: Vec<u8>,
}

/// Why a message was not opened.
///
/// See the example of [`HopKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HopError {
    /// The bytes are no COSE_Encrypt0 as a station writes it.
    Malformed,
    /// The tag does not verify: the message was changed, or is of another fleet or hop key.
    NotAuthentic,
}

impl fmt::Display for HopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the bytes are no COSE_Encrypt0 of a station",
            Self::NotAuthentic => {
                "the tag does not verify; give the hop key and the fleet of the message"
            }
        })
    }
}

impl StdError for HopError {}

impl fmt::Debug for HopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HopKey([redacted])")
    }
}

impl HopKey {
    /// The hop key of these bytes.
    pub fn new(key: &[u8; 16]) -> Self {
        Self(Zeroizing::new(*key))
    }

    /// Reads the 32 hex digits of a hop key.
    ///
    /// # Errors
    /// [`Error::KeyFile`] or [`Error::Secret`].
    pub fn read(source: &SecretSource) -> Result<Self, Error> {
        Ok(Self(*read_key(source, "hop key")?))
    }

    /// Whether two hop keys are equal, in constant time: two fleets must not share a hop key.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }

    /// The COSE_Encrypt0 around a payload, with its CBOR tag 16: `kid` is the device id in four
    /// big-endian bytes, and for generations from 1 on the generation in two; the Partial IV is
    /// the nonce without leading zeros; the external data is the fleet's id.
    ///
    /// `None` for a nonce of 2⁵⁶ or more, which no clock reaches before the year 40,000, or a
    /// payload of more than 65,535 bytes.
    pub fn seal(
        &self,
        fleet_id: &[u8; 16],
        sender: KeyId,
        nonce: Nonce,
        payload: &[u8],
    ) -> Option<Vec<u8>> {
        let iv = iv_of(sender, nonce)?;
        let protected = HeaderBuilder::new().algorithm(Algorithm::AES_CCM_16_64_128).build();
        let unprotected =
            HeaderBuilder::new().key_id(kid_of(sender)).partial_iv(partial_iv_of(nonce)).build();
        let sealed = CoseEncrypt0Builder::new()
            .protected(protected)
            .unprotected(unprotected)
            .try_create_ciphertext(payload, fleet_id, |payload, aad| {
                self.encrypt(&iv, payload, aad).ok_or(())
            });
        sealed.ok()?.build().to_tagged_vec().ok()
    }

    /// Opens a message that [`seal`](Self::seal) has made, with or without its CBOR tag.
    ///
    /// # Errors
    /// [`HopError`].
    pub fn open(&self, fleet_id: &[u8; 16], message: &[u8]) -> Result<HopPayload, HopError> {
        let parsed = CoseEncrypt0::from_tagged_slice(message)
            .or_else(|_| CoseEncrypt0::from_slice(message))
            .map_err(|_| HopError::Malformed)?;
        let algorithm = RegisteredLabelWithPrivate::Assigned(Algorithm::AES_CCM_16_64_128);
        if parsed.protected.header.alg != Some(algorithm) || !parsed.unprotected.iv.is_empty() {
            return Err(HopError::Malformed);
        }
        let sender = sender_of(&parsed.unprotected.key_id).ok_or(HopError::Malformed)?;
        let nonce = nonce_of(&parsed.unprotected.partial_iv).ok_or(HopError::Malformed)?;
        let iv = iv_of(sender, nonce).ok_or(HopError::Malformed)?;
        let mut is_short = false;
        let opened = parsed.decrypt_ciphertext(
            fleet_id,
            || HopError::Malformed,
            |ciphertext, aad| {
                is_short = ciphertext.len() < TAG_LEN_BYTES;
                self.decrypt(&iv, ciphertext, aad).ok_or(HopError::NotAuthentic)
            },
        );
        match opened {
            Ok(payload) => Ok(HopPayload { sender, nonce, payload }),
            Err(_) if is_short => Err(HopError::Malformed),
            Err(why) => Err(why),
        }
    }

    fn cipher(&self) -> AesCcm {
        AesCcm::new((&*self.0).into())
    }

    fn encrypt(&self, iv: &[u8; NONCE_LEN_BYTES], payload: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = payload.to_vec();
        let inout = InOutBuf::from(sealed.as_mut_slice());
        let iv = CcmNonce::from(*iv);
        let tag = self.cipher().encrypt_inout_detached(&iv, aad, inout).ok()?;
        sealed.extend_from_slice(&tag);
        Some(sealed)
    }

    fn decrypt(&self, iv: &[u8; NONCE_LEN_BYTES], sealed: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LEN_BYTES>()?;
        let mut payload = ciphertext.to_vec();
        let inout = InOutBuf::from(payload.as_mut_slice());
        let (iv, tag) = (CcmNonce::from(*iv), Tag::<U8>::from(*tag));
        self.cipher().decrypt_inout_detached(&iv, aad, inout, &tag).ok()?;
        Some(payload)
    }
}

/// Device and generation as the context IV begins.
fn sender_bytes(sender: KeyId) -> [u8; SENDER_LEN_BYTES] {
    let ([a, b, c, d], [e, f]) = (sender.device.0.to_be_bytes(), sender.generation.to_be_bytes());
    [a, b, c, d, e, f]
}

fn kid_of(sender: KeyId) -> Vec<u8> {
    let len = if sender.generation == 0 { 4 } else { SENDER_LEN_BYTES };
    sender_bytes(sender).into_iter().take(len).collect()
}

/// The sender of a `kid`; `None` if no station writes it.
fn sender_of(kid: &[u8]) -> Option<KeyId> {
    let (device, generation) = kid.split_first_chunk::<4>()?;
    let generation = match *generation {
        [] => 0,
        [high, low] => {
            Some(u16::from_be_bytes([high, low])).filter(|generation| *generation > 0)?
        }
        _ => return None,
    };
    Some(KeyId { device: DeviceId(u32::from_be_bytes(*device)), generation })
}

/// The nonce as a Partial IV: at least one byte, and no leading zeros before it.
fn partial_iv_of(nonce: Nonce) -> Vec<u8> {
    let bytes = nonce.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len() - 1);
    bytes.into_iter().skip(zeros).collect()
}

/// The nonce of a Partial IV; `None` if no station writes it.
fn nonce_of(partial_iv: &[u8]) -> Option<Nonce> {
    let fold = |nonce: Nonce, byte: &u8| Some(nonce.checked_mul(256)? | Nonce::from(*byte));
    let nonce = partial_iv.iter().try_fold(0, fold)?;
    (partial_iv == partial_iv_of(nonce)).then_some(nonce)
}

/// The context IV of a sender with the nonce in its last seven bytes.
fn iv_of(sender: KeyId, nonce: Nonce) -> Option<[u8; NONCE_LEN_BYTES]> {
    let mut iv = [0; NONCE_LEN_BYTES];
    let (context, partial) = iv.split_at_mut(SENDER_LEN_BYTES);
    context.copy_from_slice(&sender_bytes(sender));
    let [0, nonce @ ..] = nonce.to_be_bytes() else { return None };
    partial.copy_from_slice(&nonce);
    Some(iv)
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests {
    use super::*;

    const FLEET: [u8; 16] = [3; 16];

    fn key(device: u32, generation: u16) -> KeyId {
        KeyId { device: DeviceId(device), generation }
    }

    #[test]
    fn what_is_sealed_is_opened() {
        let hop = HopKey::new(&[7; 16]);
        for sender in [key(0, 0), key(u32::MAX, 0), key(42, 1), key(42, u16::MAX)] {
            for nonce in [0, 255, 256, u64::from(u32::MAX), (1 << 56) - 1] {
                for payload in [&b""[..], b"21.5 C", &[9; 1000]] {
                    let message = hop.seal(&FLEET, sender, nonce, payload).unwrap();
                    let payload = payload.to_vec();
                    let expected = Ok(HopPayload { sender, nonce, payload });
                    assert_eq!(hop.open(&FLEET, &message), expected);
                    // The CBOR tag is optional.
                    assert_eq!((message[0], hop.open(&FLEET, &message[1..])), (0xd0, expected));
                }
            }
        }
        assert_eq!(hop.seal(&FLEET, key(1, 0), 1 << 56, b""), None);
        assert_eq!(format!("{hop:?}"), "HopKey([redacted])");
    }

    /// The first by cryptography 48 and cbor2 in Python, the second by pycose 1.1.0, whose key had
    /// device, generation and seven zeros as base IV. pycose drops leading zeros of a nonce, so
    /// it makes another message of the first.
    #[test]
    fn messages_are_those_of_other_implementations() {
        let hop = HopKey::new(&[7; 16]);
        let first = "d08343a1010aa204440000002a0641074e6ebb6cc720c9b49943bbdc2efaeb";
        let second = "d08343a1010aa20446deadbeef02010647ffffffffffffff482ac8377c0e539d3e";
        let messages = [
            hop.seal(&FLEET, key(42, 0), 7, b"21.5 C").unwrap(),
            hop.seal(&FLEET, key(0xdead_beef, 513), (1 << 56) - 1, b"").unwrap(),
        ];
        assert_eq!(messages.map(hex::encode), [first, second]);
    }

    #[test]
    fn no_two_packets_of_a_fleet_share_a_nonce() {
        let senders = [key(1, 0), key(1, 1), key(2, 0), key(1 << 16, 0)];
        let mut all = Vec::new();
        for sender in senders {
            all.extend([0, 1, 1 << 32, 1 << 48].map(|nonce| iv_of(sender, nonce).unwrap()));
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_refused() {
        let (hop, sender) = (HopKey::new(&[7; 16]), key(42, 3));
        let message = hop.seal(&FLEET, sender, 7, b"21.5 C").unwrap();
        for bit in 0..message.len() * 8 {
            let mut changed = message.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let opened = hop.open(&FLEET, &changed);
            assert!(opened.is_err(), "bit {bit}: {opened:?}");
        }
        for len in 0..message.len() {
            assert!(hop.open(&FLEET, &message[..len]).is_err(), "{len}");
        }
        assert_eq!(hop.open(&[4; 16], &message), Err(HopError::NotAuthentic));
        let other = HopKey::new(&[8; 16]);
        assert_eq!(other.open(&FLEET, &message), Err(HopError::NotAuthentic));
    }
}
