//! Exposure notification (GAEN): sixteen bytes that change every ten minutes.
//!
//! The rules are those of Apple's and Google's "Exposure Notification
//! Cryptography Specification", version 1.2:
//!
//! ```text
//! RPIK = HKDF-SHA256(daily key, salt none, "EN-RPIK", 16)
//! RPI  = AES-128(RPIK, "EN-RPI" ‖ 0x00 × 6 ‖ interval_le4)
//! ```
//!
//! An *interval* is ten minutes of unix time, numbered from 1970. A daily key
//! ("temporary exposure key") is valid for the 144 intervals from its rolling start.
//! [`RpiCipher`] does not know the rolling start: the caller rejects intervals outside
//! the key's validity.

use core::fmt;
use core::ops::Range;

use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Dec, Aes128Enc};

use crate::mac::Derived;
use crate::{HintKey, mac};

/// The length of an identifier in bytes.
pub const RPI_LEN_BYTES: usize = 16;

/// A rolling proximity identifier in the byte order of the air.
///
/// See the example of [`RpiCipher`].
pub type Rpi = [u8; RPI_LEN_BYTES];

/// The length of an interval in seconds.
pub const INTERVAL_S: u64 = 600;

/// The number of intervals for which a daily key is valid, if it is not ended early.
pub const ROLLING_PERIOD_INTERVALS: u32 = 144;

/// The highest difference that the specification allows between an identifier's
/// interval and its reception: two hours. It does not extend the validity of a key.
pub const TOLERANCE_S: u64 = 7200;

/// Blocks per call of the cipher.
const BLOCKS_AT_ONCE: usize = 32;

/// The interval of a unix time; times past the last interval yield the last.
///
/// See the example of [`RpiCipher`].
pub fn interval_of(unix_s: u64) -> u32 {
    u32::try_from(unix_s / INTERVAL_S).unwrap_or(u32::MAX)
}

/// The key under which identifiers are computed (RPIK), derived from a daily key:
/// HKDF-SHA256 (RFC 5869) without salt. Eight SHA-256 compressions.
///
/// See the example of [`RpiCipher`].
pub fn identifier_key(daily_key: &HintKey) -> HintKey {
    // Extract: without a salt the key of the HMAC is zeros (RFC 5869, 2.2).
    let (mut pseudo_random, mut expanded) = (Derived::default(), Derived::default());
    mac::finish_into(mac::keyed(&[]), &[daily_key.expose()], &mut pseudo_random);
    // Expand: the first block of output is all that is needed.
    mac::finish_into(mac::keyed(&*pseudo_random), &[b"EN-RPIK", &[1]], &mut expanded);
    HintKey::first_half_of(&expanded)
}

/// Computes and reverses the identifiers of one daily key.
///
/// [`new`](Self::new) costs a key schedule of about 50 ns, an identifier 1 to 5 ns.
///
/// ```
/// use hintdex_wire::HintKey;
/// use hintdex_wire::beacon::gaen::{Rpi, RpiCipher, identifier_key, interval_of};
///
/// let daily_key = HintKey::from_bytes([7; 16]);
/// let cipher = RpiCipher::new(&identifier_key(&daily_key));
/// let rpi: Rpi = cipher.rpi(interval_of(1_764_000_000));
/// // The key decrypts the identifier to its interval of ten minutes.
/// assert_eq!(cipher.interval(&rpi), Some(1_764_000_000 / 600));
/// ```
pub struct RpiCipher {
    forwards: Aes128Enc,
    key: HintKey,
}

impl RpiCipher {
    /// Schedules the key that [`identifier_key`] derives from a daily key.
    pub fn new(identifier_key: &HintKey) -> Self {
        let forwards = Aes128Enc::new(identifier_key.expose().into());
        Self { forwards, key: identifier_key.clone() }
    }

    /// The identifier of an interval.
    pub fn rpi(&self, interval: u32) -> Rpi {
        let mut block = Array(identifier_block(interval));
        self.forwards.encrypt_block(&mut block);
        block.0
    }

    /// Calls `made` with every interval of a range and its identifier, in order.
    pub fn each_rpi(&self, intervals: Range<u32>, mut made: impl FnMut(u32, Rpi)) {
        let mut blocks = [Array([0; 16]); BLOCKS_AT_ONCE];
        let mut first = intervals.start;
        while first < intervals.end {
            let mut used = 0;
            for (block, interval) in blocks.iter_mut().zip(first..intervals.end) {
                block.0 = identifier_block(interval);
                used += 1;
            }
            let run = blocks.get_mut(..used).unwrap_or_default();
            self.forwards.encrypt_blocks(run);
            for block in run {
                made(first, block.0);
                first += 1;
            }
        }
    }

    /// The interval of an identifier of this key; `None` for identifiers of other keys,
    /// which decrypt to the right twelve bytes once in 2⁹⁶. Costs about 150 ns, mostly
    /// for the backward key schedule.
    pub fn interval(&self, rpi: &Rpi) -> Option<u32> {
        let mut block = Array(*rpi);
        Aes128Dec::new(self.key.expose().into()).decrypt_block(&mut block);
        let [.., a, b, c, d] = block.0;
        let interval = u32::from_le_bytes([a, b, c, d]);
        (identifier_block(interval) == block.0).then_some(interval)
    }
}

/// The block whose encryption under the identifier key is the identifier of an interval.
///
/// ```
/// let block = hintdex_wire::beacon::gaen::identifier_block(0x0102);
/// assert_eq!(block, *b"EN-RPI\0\0\0\0\0\0\x02\x01\0\0");
/// ```
pub const fn identifier_block(interval: u32) -> [u8; 16] {
    let [a, b, c, d] = interval.to_le_bytes();
    [b'E', b'N', b'-', b'R', b'P', b'I', 0, 0, 0, 0, 0, 0, a, b, c, d]
}

impl fmt::Debug for RpiCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RpiCipher([redacted])")
    }
}
