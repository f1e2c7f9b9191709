//! Eddystone-EID: eight bytes that rotate every 2^k seconds.
//!
//! The rules are those of Google's "Eddystone-EID" specification, "EID computation":
//!
//! ```text
//! temporary key = AES-128(identity key, 0x00 × 11 ‖ 0xff ‖ 0x00 × 2 ‖ clock_be4[0..2])
//! EID           = AES-128(temporary key, 0x00 × 11 ‖ k ‖ (clock, k lowest bits cleared)_be4)[..8]
//! ```
//!
//! The clock counts seconds in 32 bits. A *rotation* is the number of the 2^k
//! seconds in which the beacon sends one identifier: `clock >> k`. In this module,
//! rotations continue past the wrap of the clock, so that a span of time is always a
//! range.

use core::fmt;
use core::ops::Range;

use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

use crate::HintKey;

/// The length of an identifier in bytes.
pub const EID_LEN_BYTES: usize = 8;

/// An ephemeral identifier in the byte order of the air.
///
/// See the example of [`EidCipher`].
pub type Eid = [u8; EID_LEN_BYTES];

/// The highest error of a beacon's clock that the specification allows, in parts per
/// million.
pub const MAX_DRIFT_PPM: u32 = 150;

/// The low bits of the clock that do not change the temporary key.
const TEMPORARY_KEY_BITS: u8 = 16;

/// Blocks per call of the cipher.
const BLOCKS_AT_ONCE: usize = 32;

/// The exponent k of a rotation of 2^k seconds: 0 to 15.
///
/// See the example of [`EidCipher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RotationExponent(u8);

impl RotationExponent {
    /// The largest exponent: a rotation of a little over nine hours.
    pub const MAX: Self = Self(15);

    /// The exponent `k`; `None` past [`MAX`](Self::MAX).
    pub const fn new(k: u8) -> Option<Self> {
        if k <= Self::MAX.0 { Some(Self(k)) } else { None }
    }

    /// The exponent as a number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The length of a rotation in seconds.
    pub const fn period_s(self) -> u32 {
        1 << self.0
    }
}

/// Computes the identifiers of one beacon.
///
/// [`new`](Self::new) costs a key schedule, each run of 65,536 seconds costs another,
/// about 50 ns each. An identifier then costs 1 to 5 ns.
///
/// ```
/// use hintdex_wire::HintKey;
/// use hintdex_wire::beacon::eddystone::{Eid, EidCipher, RotationExponent};
///
/// // A new identifier every 2¹⁰ seconds.
/// let k = RotationExponent::new(10).unwrap();
/// let cipher = EidCipher::new(&HintKey::from_bytes([7; 16]), k);
/// let eid: Eid = cipher.eid(1_000_000);
/// let rotation = cipher.rotation_of(1_000_000);
/// assert_eq!(cipher.eid(1_000_000 | 1023), eid);
///
/// // The receiver tries the rotations that it expects.
/// assert_eq!(cipher.find(&eid, rotation - 2..rotation + 3), Some(rotation));
/// ```
pub struct EidCipher {
    identity: Aes128Enc,
    k: RotationExponent,
}

impl EidCipher {
    /// Schedules a beacon's identity key.
    pub fn new(identity_key: &HintKey, k: RotationExponent) -> Self {
        Self { identity: Aes128Enc::new(identity_key.expose().into()), k }
    }

    /// The identifier that the beacon sends when its clock shows `clock_s`.
    pub fn eid(&self, clock_s: u32) -> Eid {
        let mut block = Array(identifier_block(self.k, self.rotation_of(clock_s.into())));
        self.temporary(clock_s).encrypt_block(&mut block);
        head(block.0)
    }

    /// The rotation of a clock value. Values past 32 bits continue the count.
    pub const fn rotation_of(&self, clock_s: u64) -> u64 {
        clock_s >> self.k.0
    }

    /// The first clock value of a rotation.
    pub const fn clock_of(&self, rotation: u64) -> u64 {
        rotation << self.k.0
    }

    /// Calls `made` with every rotation of a range and its identifier, in order.
    pub fn each_eid(&self, rotations: Range<u64>, mut made: impl FnMut(u64, Eid)) {
        let of_one_key = (1 << (TEMPORARY_KEY_BITS - self.k.0)) - 1;
        let mut first = rotations.start;
        while first < rotations.end {
            let end = rotations.end.min((first | of_one_key).saturating_add(1));
            let temporary = self.temporary(wrapped_clock_s(self.k, first));
            let mut blocks = [Array([0; 16]); BLOCKS_AT_ONCE];
            while first < end {
                let mut used = 0;
                for (block, rotation) in blocks.iter_mut().zip(first..end) {
                    block.0 = identifier_block(self.k, rotation);
                    used += 1;
                }
                let run = blocks.get_mut(..used).unwrap_or_default();
                temporary.encrypt_blocks(run);
                for block in run {
                    made(first, head(block.0));
                    first += 1;
                }
            }
        }
    }

    /// The first rotation in `expected` whose identifier is `eid`. A wrong key yields
    /// one once in 2⁶⁴ rotations tried.
    pub fn find(&self, eid: &Eid, expected: Range<u64>) -> Option<u64> {
        let mut found = None;
        self.each_eid(expected, |rotation, made| {
            if made == *eid && found.is_none() {
                found = Some(rotation);
            }
        });
        found
    }

    /// The cipher under the temporary key of a clock value.
    fn temporary(&self, clock_s: u32) -> Aes128Enc {
        let mut key = Array(temporary_key_block(clock_s));
        self.identity.encrypt_block(&mut key);
        let cipher = Aes128Enc::new(&key);
        zeroize::Zeroize::zeroize(&mut key.0);
        cipher
    }
}

/// The 32 bits of the clock at the beginning of a rotation.
///
/// ```
/// use hintdex_wire::beacon::eddystone::{
///     RotationExponent, identifier_block, temporary_key_block, wrapped_clock_s,
/// };
///
/// let k = RotationExponent::new(10).unwrap();
/// assert_eq!(wrapped_clock_s(k, 3), 3 << 10);
/// // The clock has 32 bits and wraps.
/// assert_eq!(wrapped_clock_s(k, (1 << 22) + 3), 3 << 10);
/// // Both blocks end in the clock: its upper half, or all of it behind the exponent.
/// assert_eq!(temporary_key_block(0x0005_1234)[11..], [0xff, 0, 0, 0x00, 0x05]);
/// assert_eq!(identifier_block(k, 3)[11..], [10, 0, 0, 0x0c, 0x00]);
/// ```
pub const fn wrapped_clock_s(k: RotationExponent, rotation: u64) -> u32 {
    let [.., a, b, c, d] = (rotation << k.get()).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The block whose encryption under the identity key is the temporary key of a clock value.
/// [`wrapped_clock_s`] has an example.
pub const fn temporary_key_block(clock_s: u32) -> [u8; 16] {
    (0xff_u128 << 32 | (clock_s >> TEMPORARY_KEY_BITS) as u128).to_be_bytes()
}

/// The block whose encryption under the temporary key begins with the identifier of a
/// rotation. [`wrapped_clock_s`] has an example.
pub const fn identifier_block(k: RotationExponent, rotation: u64) -> [u8; 16] {
    ((k.get() as u128) << 32 | wrapped_clock_s(k, rotation) as u128).to_be_bytes()
}

/// The bytes of a block that the beacon sends.
const fn head(block: [u8; 16]) -> Eid {
    let [a, b, c, d, e, f, g, h, ..] = block;
    [a, b, c, d, e, f, g, h]
}

impl fmt::Debug for EidCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EidCipher([redacted], k = {})", self.k.0)
    }
}
