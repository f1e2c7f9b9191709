//! Packets without a head: the time of a packet names its sender.
//!
//! The delay from a packet to the next one of its device is a keyed function of the nonce. A
//! station that knows when a device last sent knows when it sends next, and tries the devices
//! that are due.
//!
//! ```text
//! packet = ciphertext(len = payload) ‖ tag(8)
//! tag    = HMAC-SHA256(second half of the packet key, nonce_be4 ‖ ciphertext)[..8]
//! delay  = min + ⌊HMAC-SHA256(same, "schedule:" ‖ nonce_be4)[..8] · (max − min + 1) / 2^64⌋ ms
//! ```
//!
//! The ciphertext is that of [`Suite::AesCtrHmac`](crate::Suite::AesCtrHmac).

use crate::body::apply_keystream;
use crate::mac::Derived;
use crate::tag::Tag;
use crate::{Nonce, PacketKey, SealError, TAG_LEN_BYTES, mac};

/// How long a device waits between two packets, by its own clock.
///
/// ```
/// use hintdex_wire::{PacketKey, Schedule};
///
/// // Between ten minutes and seventy.
/// let schedule = Schedule::new(600_000, 4_200_000).unwrap();
/// let key = PacketKey::from_bytes([2; 32]);
/// let mut radio = [0; 32];
/// let len = schedule.seal(&key, 5, b"21.5 C", &mut radio).unwrap();
/// let delay_ms = schedule.delay_ms(&key, 5).unwrap(); // then packet 6 follows
/// assert!((600_000..=4_200_000).contains(&delay_ms));
///
/// // The station tries the nonces that are due.
/// let mut payload = [0; 32];
/// assert_eq!(schedule.open(&key, 4, &radio[..len], &mut payload), None);
/// assert_eq!(schedule.open(&key, 5, &radio[..len], &mut payload), Some(&b"21.5 C"[..]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Schedule {
    min_ms: u32,
    max_ms: u32,
}

impl Schedule {
    /// Delays of `min_ms` to `max_ms`; `None` unless 0 < `min_ms` ≤ `max_ms`.
    pub const fn new(min_ms: u32, max_ms: u32) -> Option<Self> {
        if min_ms > 0 && min_ms <= max_ms { Some(Self { min_ms, max_ms }) } else { None }
    }

    /// The shortest delay in milliseconds.
    pub const fn min_ms(self) -> u32 {
        self.min_ms
    }

    /// The longest delay in milliseconds.
    pub const fn max_ms(self) -> u32 {
        self.max_ms
    }

    /// The delay from the packet of `nonce` to the packet of `nonce + 1`, in milliseconds of the
    /// device's clock; `None` above the last nonce. Costs an HMAC of a short message.
    pub fn delay_ms(self, key: &PacketKey, nonce: Nonce) -> Option<u32> {
        let nonce = u32::try_from(nonce).ok()?;
        let mut full = Derived::default();
        let parts = [&b"schedule:"[..], &nonce.to_be_bytes()];
        mac::finish_into(mac::keyed(key.second_half()), &parts, &mut full);
        let drawn = u64::from_be_bytes(*full.first_chunk()?);
        let width = u128::from(self.max_ms - self.min_ms) + 1;
        // The upper half of the product is below the width, which is at most 2³².
        let extra = u32::try_from((u128::from(drawn) * width) >> 64).ok()?;
        Some(self.min_ms + extra)
    }

    /// Seals `payload` under `nonce` into the head of `out` and returns the length of the packet.
    /// The caller repeats no nonce: the rules of [`Sealer`](crate::Sealer) hold.
    ///
    /// # Errors
    /// [`SealError::BufferTooShort`] when `out` cannot hold the packet, and
    /// [`SealError::NoncesUsedUp`] above the last nonce.
    pub fn seal(
        self,
        key: &PacketKey,
        nonce: Nonce,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let number = u32::try_from(nonce).map_err(|_| SealError::NoncesUsedUp)?;
        let needed_bytes = payload.len() + TAG_LEN_BYTES;
        let too_short = SealError::BufferTooShort { needed_bytes };
        let packet = out.get_mut(..needed_bytes).ok_or(too_short)?;
        let (text, tag) = packet.split_last_chunk_mut().ok_or(too_short)?;
        text.copy_from_slice(payload);
        apply_keystream(key, nonce, text);
        Tag::of(key.second_half(), &[&number.to_be_bytes(), text]).write(tag);
        Ok(needed_bytes)
    }

    /// Opens a packet that may be of `nonce`: verifies its tag and decrypts the payload into the
    /// head of `out`.
    ///
    /// `None` if the packet is not authentic under this key and nonce, or if `out` is shorter than
    /// the payload. Tags are compared in constant time.
    pub fn open<'o>(
        self,
        key: &PacketKey,
        nonce: Nonce,
        packet: &[u8],
        out: &'o mut [u8],
    ) -> Option<&'o [u8]> {
        let number = u32::try_from(nonce).ok()?;
        let (text, tag) = packet.split_last_chunk()?;
        let payload = out.get_mut(..text.len())?;
        if !Tag::of(key.second_half(), &[&number.to_be_bytes(), text]).is(tag) {
            return None;
        }
        payload.copy_from_slice(text);
        apply_keystream(key, nonce, payload);
        Some(payload)
    }
}
