//! Hint schemes: how the bytes at the head of a packet are computed.

use core::fmt;

use crate::{Nonce, NonceKind};

/// The number of bytes that a truncated hint keeps of an AES hint: 4 to 12.
///
/// See the example of [`HintScheme`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TruncatedLen(u8);

impl TruncatedLen {
    /// The shortest truncated hint: 4 bytes.
    pub const MIN: Self = Self(4);

    /// The longest truncated hint: 12 bytes.
    pub const MAX: Self = Self(12);

    /// A length of `len_bytes`; `None` unless it is 4 to 12.
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
/// The number and the name of a scheme are part of file formats and of the command
/// line. They never change meaning.
///
/// ```
/// use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, TruncatedLen};
///
/// let key = HintKey::from_bytes([7; 16]);
/// // AES-128: the key decrypts a hint to its nonce, and only a right hint has one.
/// let cipher = HintCipher::new(HintScheme::Aes128, &key);
/// let hint: Hint = cipher.hint(1000).unwrap();
/// assert_eq!(cipher.nonce(&hint), Some(1000));
/// assert_eq!(cipher.nonce(&Hint::ZERO), None);
///
/// // Six bytes of that hint: the receiver must expect the nonce.
/// let short = HintScheme::Aes128Truncated(TruncatedLen::new(6).unwrap());
/// assert_eq!((short.len_bytes(), short.is_reversible()), (6, false));
/// assert_eq!(HintScheme::from_name("aes128-trunc:6"), Some(short));
/// let cipher = HintCipher::new(short, &key);
/// let mut found = Vec::new();
/// cipher.nonces_within(&cipher.hint(1000).unwrap(), 990..1010, |nonce| found.push(nonce));
/// assert_eq!(found, [1000]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HintScheme {
    /// `AES-128(hint_key, 0x00 × 12 ‖ nonce_be4)` (FIPS 197): 16 bytes, reversible.
    Aes128,
    /// `SPECK64/128(hint_key, 0x00 × 4 ‖ nonce_be4)` (Beaulieu et al., "The SIMON
    /// and SPECK Families of Lightweight Block Ciphers", 2013), key and block as
    /// big-endian words in the paper's order: 8 bytes, reversible.
    Speck64,
    /// The first bytes of the hint of [`HintScheme::Aes128`]. Not reversible: a key
    /// is confirmed by computing the hints of the nonces that its device is expected
    /// to use. Several devices for one hint are normal.
    Aes128Truncated(TruncatedLen),
    /// `AES-128(hint_key, 0x00 × 8 ‖ nonce_be8)`: [`HintScheme::Aes128`] with room
    /// for the 64-bit nonces of [`NonceKind::DayCounter`].
    Aes128Wide,
    /// The low 24 bits of the nonce, permuted by FF1 (NIST SP 800-38G, radix 2, 24 numerals,
    /// no tweak) with AES-128: 3 bytes. One masked byte behind the hint carries the upper 8 bits
    /// of the nonce ([`rest_len_bytes`](Self::rest_len_bytes)). A key turns every head into some
    /// nonce, so a key is confirmed by the nonces that its device is expected to use: one
    /// decryption, however many they are. Several devices for one hint are usual. Only
    /// [`Suite::AesCtrHmac`](crate::Suite::AesCtrHmac) has packets of this scheme.
    Carry24,
}

impl HintScheme {
    /// Every scheme.
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
        Self::Carry24,
    ];

    /// The number of this scheme in files: 1, 2, 3, 4, or 16 + the length of a truncated
    /// hint.
    pub const fn number(self) -> u8 {
        match self {
            Self::Aes128 => 1,
            Self::Speck64 => 2,
            Self::Aes128Wide => 3,
            Self::Carry24 => 4,
            Self::Aes128Truncated(len) => 16 + len.0,
        }
    }

    /// The scheme that files encode as `number`; `None` if this version does not know it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.number() == number)
    }

    /// The name of this scheme on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "aes128",
            Self::Speck64 => "speck64",
            Self::Aes128Wide => "aes128-wide",
            Self::Carry24 => "carry24",
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

    /// The scheme that the command line calls `name`; `None` for every other name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.name() == name)
    }

    /// The length of a hint in bytes.
    pub const fn len_bytes(self) -> usize {
        match self {
            Self::Aes128 | Self::Aes128Wide => 16,
            Self::Speck64 => 8,
            Self::Aes128Truncated(len) => len.bytes(),
            Self::Carry24 => 3,
        }
    }

    /// The length in bytes of what stands between the hint and the body of a packet: the upper
    /// bits of the nonce, where the hint has no room for them.
    pub const fn rest_len_bytes(self) -> usize {
        matches!(self, Self::Carry24) as usize
    }

    /// The highest nonce that has a hint.
    pub const fn max_nonce(self) -> Nonce {
        match self {
            Self::Aes128 | Self::Speck64 | Self::Aes128Truncated(_) | Self::Carry24 => {
                u32::MAX as Nonce
            }
            Self::Aes128Wide => NonceKind::DayCounter.max_nonce(),
        }
    }

    /// The variant of this scheme that has room for nonces of `kind`; `None` if no
    /// variant has. Day and counter fill a whole block of SPECK64, which leaves no
    /// check bits. Truncated hints would have to be tried with every counter of a day.
    pub const fn for_nonces(self, kind: NonceKind) -> Option<Self> {
        match (self, kind) {
            (Self::Aes128 | Self::Aes128Wide, NonceKind::DayCounter) => Some(Self::Aes128Wide),
            (Self::Speck64 | Self::Aes128Truncated(_) | Self::Carry24, NonceKind::DayCounter) => {
                None
            }
            (Self::Aes128Wide, _) => Some(Self::Aes128),
            (scheme, _) => Some(scheme),
        }
    }

    /// Whether a hint and its key alone yield the nonce.
    ///
    /// If they do not, every search needs the range of expected nonces.
    pub const fn is_reversible(self) -> bool {
        match self {
            Self::Aes128 | Self::Aes128Wide | Self::Speck64 => true,
            Self::Aes128Truncated(_) | Self::Carry24 => false,
        }
    }

    /// The number of bits in a hint that distinguish the right key from a wrong one:
    /// a wrong key passes once in 2^bits.
    ///
    /// Reversible hints spend 32 of their bits on the nonce: 128 − 32 = 96 and
    /// 64 − 32 = 32 remain. Wide hints spend 64 of 128. Truncated and carried hints have
    /// 8 × length bits for every nonce tried: with *w* expected nonces, a wrong key
    /// passes once in 2^bits / *w*, so *w* = 16 costs four bits.
    pub const fn check_bits(self) -> u32 {
        match self {
            Self::Aes128 => 96,
            Self::Aes128Wide => 64,
            Self::Speck64 => 32,
            Self::Aes128Truncated(len) => 8 * len.0 as u32,
            Self::Carry24 => 24,
        }
    }
}

impl fmt::Display for HintScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
