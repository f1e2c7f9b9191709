//! Suites: how a payload is encrypted and authenticated behind the hint.

use core::fmt;

use crate::{HintScheme, TAG_LEN_BYTES};

/// How the part of a packet behind its hint is computed: cipher, tag and their places.
///
/// A fleet has one suite for all of its devices, so a packet key serves one suite alone.
/// The number and the name of a suite are part of file formats and of the command line. They
/// never change meaning. `docs/suites.md` compares the suites.
///
/// In the formulas, `H` is the hint as sent, `n` the nonce, and `A` the
/// [associated data](crate::AssociatedData).
///
/// ```
/// use hintdex_wire::{HintScheme, PacketFormat, Suite};
///
/// assert_eq!(Suite::from_name("aes-siv"), Some(Suite::AesSiv));
/// let format = PacketFormat { scheme: HintScheme::Speck64, suite: Suite::AesCcm8 };
/// assert_eq!(format.overhead_bytes(), 16);
/// // A hint scheme alone stands for the usual suite.
/// assert_eq!(PacketFormat::from(HintScheme::Aes128).suite, Suite::AesCtrHmac);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// AES-128-CTR, then HMAC-SHA256 over hint and ciphertext, truncated to 8 bytes:
    /// `H ‖ ciphertext ‖ tag(8)`. A repeated nonce reveals the xor of two payloads. This suite
    /// authenticates no associated data.
    #[default]
    AesCtrHmac,
    /// ChaCha20-Poly1305 (RFC 8439) under the whole packet key, with the nonce
    /// `00×4 ‖ n_be8` and the associated data `H ‖ A`: `H ‖ ciphertext ‖ tag(16)`. A repeated
    /// nonce reveals the xor of two payloads and allows forgeries.
    ChaCha20Poly1305,
    /// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): as
    /// [`ChaCha20Poly1305`](Self::ChaCha20Poly1305), with the nonce `00×16 ‖ n_be8`.
    XChaCha20Poly1305,
    /// AES-SIV (RFC 5297, AEAD_AES_SIV_CMAC_256) under the whole packet key, with the components
    /// `A` (left out when empty), `H` and `n_be8`: `H ‖ V(16) ‖ ciphertext`. A repeated nonce
    /// reveals only whether two payloads are equal.
    AesSiv,
    /// AES-128-CCM with tags of 8 bytes (RFC 3610) under the first half of the packet key, with
    /// the nonce `00×5 ‖ n_be8` and the associated data `H ‖ A`: `H ‖ ciphertext ‖ tag(8)`. A
    /// repeated nonce reveals the xor of two payloads.
    AesCcm8,
}

impl Suite {
    /// Every suite.
    pub const ALL: &'static [Self] = &[
        Self::AesCtrHmac,
        Self::ChaCha20Poly1305,
        Self::XChaCha20Poly1305,
        Self::AesSiv,
        Self::AesCcm8,
    ];

    /// The number of this suite in files: 0 to 4.
    pub const fn number(self) -> u8 {
        match self {
            Self::AesCtrHmac => 0,
            Self::ChaCha20Poly1305 => 1,
            Self::XChaCha20Poly1305 => 2,
            Self::AesSiv => 3,
            Self::AesCcm8 => 4,
        }
    }

    /// The suite that files encode as `number`; `None` if this version does not know it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.number() == number)
    }

    /// The name of this suite on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCtrHmac => "aes-ctr-hmac",
            Self::ChaCha20Poly1305 => "chacha20poly1305",
            Self::XChaCha20Poly1305 => "xchacha20poly1305",
            Self::AesSiv => "aes-siv",
            Self::AesCcm8 => "aes-ccm-8",
        }
    }

    /// The suite that the command line calls `name`; `None` for every other name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.name() == name)
    }

    /// The length of a tag in bytes: what a packet of this suite has beside its hint and a
    /// ciphertext of the payload's length. A random packet passes with probability
    /// 2^(−8 × length) for each tag tried.
    pub const fn tag_len_bytes(self) -> usize {
        match self {
            Self::AesCtrHmac => TAG_LEN_BYTES,
            Self::AesCcm8 => 8,
            Self::ChaCha20Poly1305 | Self::XChaCha20Poly1305 | Self::AesSiv => 16,
        }
    }

    /// Whether the tag stands in front of the ciphertext.
    pub(crate) const fn tag_is_first(self) -> bool {
        matches!(self, Self::AesSiv)
    }

    /// Whether packets authenticate associated data. Where they do not, only
    /// [`AssociatedData::EMPTY`](crate::AssociatedData::EMPTY) seals and opens.
    pub const fn takes_associated_data(self) -> bool {
        !matches!(self, Self::AesCtrHmac)
    }

    /// The length in bytes of the longest payload. CCM has two bytes for the length.
    pub const fn max_payload_len_bytes(self) -> usize {
        match self {
            Self::AesCcm8 => u16::MAX as usize,
            _ => u32::MAX as usize,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the packets of a fleet consist of: a hint of the scheme, and a body of the suite.
///
/// Every function that takes a format also takes a [`HintScheme`], for packets of the usual
/// suite.
///
/// See the example of [`Suite`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketFormat {
    /// How the hint is computed.
    pub scheme: HintScheme,
    /// How the part behind the hint is computed.
    pub suite: Suite,
}

impl PacketFormat {
    /// The length of a packet beyond its payload, in bytes: 12 to 32.
    pub const fn overhead_bytes(self) -> usize {
        self.head_len_bytes() + self.suite.tag_len_bytes()
    }

    /// The length in bytes of the hint and of what follows it in front of the body.
    pub(crate) const fn head_len_bytes(self) -> usize {
        self.scheme.len_bytes() + self.scheme.rest_len_bytes()
    }

    /// Whether the hint alone stands in front of the body: true but for [`HintScheme::Carry24`].
    pub const fn has_whole_heads(self) -> bool {
        self.scheme.rest_len_bytes() == 0
    }

    /// Whether there are packets of this format. [`HintScheme::Carry24`] masks the upper bits of
    /// the nonce with a half of the packet key, so only [`Suite::AesCtrHmac`], which keeps this
    /// half for such work, goes with it.
    pub const fn is_defined(self) -> bool {
        !matches!(self.scheme, HintScheme::Carry24) || matches!(self.suite, Suite::AesCtrHmac)
    }
}

impl From<HintScheme> for PacketFormat {
    fn from(scheme: HintScheme) -> Self {
        Self { scheme, suite: Suite::default() }
    }
}
