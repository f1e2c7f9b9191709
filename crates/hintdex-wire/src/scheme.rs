//! Hint schemes: which bytes stand at the head of a packet.

use core::fmt;

use crate::{Nonce, NonceKind};

/// How many bytes of an AES hint a truncated one keeps: 4 to 12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TruncatedLen(u8);

impl TruncatedLen {
    /// The shortest, in bytes.
    pub const MIN: Self = Self(4);

    /// The longest, in bytes.
    pub const MAX: Self = Self(12);

    /// `len_bytes`, if it is from 4 to 12.
    pub const fn new(len_bytes: usize) -> Option<Self> {
        match len_bytes {
            4 => Some(Self(4)),
            5 => Some(Self(5)),
            6 => Some(Self(6)),
            7 => Some(Self(7)),
            8 => Some(Self(8)),
            9 => Some(Self(9)),
            10 => Some(Self(10)),
            11 => Some(Self(11)),
            12 => Some(Self(12)),
            _ => None,
        }
    }

    /// The length in bytes.
    pub const fn bytes(self) -> usize {
        self.0 as usize
    }
}

/// How hints are computed from (hint key, nonce).
///
/// Its number and its name are part of file formats and of the command line:
/// they never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HintScheme {
    /// `AES-128(hint_key, 0x00 × 12 ‖ nonce_be4)` (FIPS 197): 16 bytes, reversible.
    Aes128,
    /// `SPECK64/128(hint_key, 0x00 × 4 ‖ nonce_be4)` (Beaulieu et al., "The SIMON
    /// and SPECK Families of Lightweight Block Ciphers", 2013), key and block as
    /// big-endian words in the paper's order: 8 bytes, reversible.
    Speck64,
    /// The first bytes of the hint of [`HintScheme::Aes128`]: not reversible, so
    /// a key is confirmed by computing the hints of the nonces it is expected to
    /// use. Several devices for one hint are normal.
    Aes128Truncated(TruncatedLen),
    /// `AES-128(hint_key, 0x00 × 8 ‖ nonce_be8)`: [`HintScheme::Aes128`] with room
    /// for the 64-bit nonces of [`NonceKind::DayCounter`].
    Aes128Wide,
}

impl HintScheme {
    /// Every scheme there is.
    pub const ALL: &'static [Self] = &[
        Self::Aes128,
        Self::Speck64,
        Self::Aes128Truncated(TruncatedLen(4)),
        Self::Aes128Truncated(TruncatedLen(5)),
        Self::Aes128Truncated(TruncatedLen(6)),
        Self::Aes128Truncated(TruncatedLen(7)),
        Self::Aes128Truncated(TruncatedLen(8)),
        Self::Aes128Truncated(TruncatedLen(9)),
        Self::Aes128Truncated(TruncatedLen(10)),
        Self::Aes128Truncated(TruncatedLen(11)),
        Self::Aes128Truncated(TruncatedLen(12)),
        Self::Aes128Wide,
    ];

    /// The number that stands for this scheme in files: 1, 2, 3, or 16 + the length
    /// of a truncated hint.
    pub const fn number(self) -> u8 {
        match self {
            Self::Aes128 => 1,
            Self::Speck64 => 2,
            Self::Aes128Wide => 3,
            Self::Aes128Truncated(len) => 16 + len.0,
        }
    }

    /// The scheme a file means by `number`, if this version knows it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.number() == number)
    }

    /// The scheme's name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "aes128",
            Self::Speck64 => "speck64",
            Self::Aes128Wide => "aes128-wide",
            Self::Aes128Truncated(len) => match len.0 {
                4 => "aes128-trunc:4",
                5 => "aes128-trunc:5",
                6 => "aes128-trunc:6",
                7 => "aes128-trunc:7",
                8 => "aes128-trunc:8",
                9 => "aes128-trunc:9",
                10 => "aes128-trunc:10",
                11 => "aes128-trunc:11",
                // A length is never above 12.
                _ => "aes128-trunc:12",
            },
        }
    }

    /// The scheme called `name` on the command line.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.name() == name)
    }

    /// How many bytes of a packet are its hint.
    pub const fn len_bytes(self) -> usize {
        match self {
            Self::Aes128 | Self::Aes128Wide => 16,
            Self::Speck64 => 8,
            Self::Aes128Truncated(len) => len.bytes(),
        }
    }

    /// The last nonce that has a hint.
    pub const fn max_nonce(self) -> Nonce {
        match self {
            Self::Aes128 | Self::Speck64 | Self::Aes128Truncated(_) => u32::MAX as Nonce,
            Self::Aes128Wide => NonceKind::DayCounter.max_nonce(),
        }
    }

    /// The form of this scheme that has room for nonces of `kind`; `None` if there
    /// is none: day and counter fill a whole block of SPECK64, and a truncated hint
    /// would have to be tried with every counter of a day.
    pub const fn for_nonces(self, kind: NonceKind) -> Option<Self> {
        match (self, kind) {
            (Self::Aes128 | Self::Aes128Wide, NonceKind::DayCounter) => Some(Self::Aes128Wide),
            (Self::Speck64 | Self::Aes128Truncated(_), NonceKind::DayCounter) => None,
            (Self::Aes128Wide, _) => Some(Self::Aes128),
            (scheme, _) => Some(scheme),
        }
    }

    /// Whether a hint and its key alone give the nonce.
    ///
    /// Where they do not, every search needs to be told which nonces to expect.
    pub const fn is_reversible(self) -> bool {
        match self {
            Self::Aes128 | Self::Aes128Wide | Self::Speck64 => true,
            Self::Aes128Truncated(_) => false,
        }
    }

    /// How many bits of a hint tell a wrong key from the right one: it passes
    /// once in 2^bits.
    ///
    /// Reversible hints spend 32 of their bits on the nonce: 128 − 32 = 96 and
    /// 64 − 32 = 32 remain; wide ones spend 64 of 128. Truncated ones have 8 × length bits for every nonce
    /// tried: with *w* nonces expected, a wrong key passes once in 2^bits / *w*,
    /// so *w* = 16 costs four bits.
    pub const fn check_bits(self) -> u32 {
        match self {
            Self::Aes128 => 96,
            Self::Aes128Wide => 64,
            Self::Speck64 => 32,
            Self::Aes128Truncated(len) => 8 * len.0 as u32,
        }
    }
}

impl fmt::Display for HintScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
