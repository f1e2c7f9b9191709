//! How the keys of devices are derived from a master key.

use core::fmt;

use hmac::Hmac;
use sha2::Sha256;

use crate::mac::{self, Derived};

/// How the keys of a fleet's devices are derived from its master key.
///
/// Both derive 32 bytes from the master key and an *info*: a label, the device id as four
/// big-endian bytes, and for generations from 1 on the generation as two. No label is the
/// beginning of the other, and the length behind a label shows whether a generation follows, so
/// no two keys have the same info.
///
/// ```
/// use hintdex_wire::{Derivation, DeviceId, KeyId, KeySource, MasterKey};
///
/// let id = KeyId::first(DeviceId(42));
/// let hmac = MasterKey::new(&[7; 32]).hint_key(id).unwrap();
/// let hkdf = MasterKey::with_derivation(&[7; 32], Derivation::Hkdf).hint_key(id).unwrap();
/// assert_ne!(hmac.expose(), hkdf.expose());
/// assert_eq!(Derivation::from_name("hkdf"), Some(Derivation::Hkdf));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Derivation {
    /// `HMAC-SHA256(master, info)` (FIPS 198-1).
    #[default]
    Hmac,
    /// `HKDF-SHA256` (RFC 5869) of the master key without a salt: `Expand(PRK, info, 32)` for
    /// packets, `Expand(PRK, info, 16)` for hints.
    Hkdf,
}

impl Derivation {
    /// Every derivation.
    pub const ALL: [Self; 2] = [Self::Hmac, Self::Hkdf];

    /// The number that stands for the derivation in files. Numbers are never reused.
    pub const fn number(self) -> u8 {
        match self {
            Self::Hmac => 0,
            Self::Hkdf => 1,
        }
    }

    /// The derivation with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|derivation| derivation.number() == number)
    }

    /// The name of the derivation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::Hkdf => "hkdf",
        }
    }

    /// The derivation with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|derivation| derivation.name() == name)
    }
}

impl fmt::Display for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// HKDF-Extract (RFC 5869, section 2.2) of `ikm`: HMAC with the pseudo-random key absorbed, ready
/// for [`expand`]. Without a salt, HMAC is keyed with zeros: `salt` is empty then.
pub(crate) fn extract(salt: &[u8], ikm: &[u8]) -> Derived {
    let mut prk = Derived::default();
    mac::finish_into(mac::keyed(salt), &[ikm], &mut prk);
    prk
}

/// HKDF-Expand (RFC 5869, section 2.3) of at most 32 bytes: T(1), of which a shorter output is the
/// beginning.
pub(crate) fn expand(prk: &Hmac<Sha256>, info: &[&[u8]; 3], out: &mut Derived) {
    let [label, id, generation] = info;
    mac::finish_into(prk.clone(), &[label, id, generation, &[1]], out);
}

#[cfg(test)]
mod tests {
    use super::{Derived, expand, extract};

    /// The cases of RFC 5869, appendix A, for SHA-256. A.2 has a salt longer than a block of the
    /// hash, which this program never uses. Its pseudo-random key begins the test of `expand`.
    #[test]
    fn the_first_block_of_an_output_is_that_of_rfc_5869() {
        // A.1: a salt of 13 bytes, an info of 10.
        let salt: [u8; 13] = core::array::from_fn(|at| u8::try_from(at).unwrap_or(0));
        let info: [u8; 10] = core::array::from_fn(|at| 0xf0 + u8::try_from(at).unwrap_or(0));
        let okm = [
            0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36,
            0x2f, 0x2a, 0x2d, 0x2d, 0x0a, 0x90, 0xcf, 0x1a, 0x5a, 0x4c, 0x5d, 0xb0, 0x2d, 0x56,
            0xec, 0xc4, 0xc5, 0xbf,
        ];
        let (first, rest) = info.split_at(4);
        let mut out = Derived::default();
        let keyed = |prk: Derived| crate::mac::keyed(&*prk);
        expand(&keyed(extract(&salt, &[0x0b; 22])), &[first, rest, &[]], &mut out);
        assert_eq!(*out, okm);

        // A.3: no salt, no info.
        let okm = [
            0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f, 0x71, 0x5f, 0x80, 0x2a, 0x06, 0x3c,
            0x5a, 0x31, 0xb8, 0xa1, 0x1f, 0x5c, 0x5e, 0xe1, 0x87, 0x9e, 0xc3, 0x45, 0x4e, 0x5f,
            0x3c, 0x73, 0x8d, 0x2d,
        ];
        expand(&keyed(extract(&[], &[0x0b; 22])), &[&[], &[], &[]], &mut out);
        assert_eq!(*out, okm);

        // A.2: its pseudo-random key, and an info of 80 bytes.
        let prk = [
            0x06, 0xa6, 0xb8, 0x8c, 0x58, 0x53, 0x36, 0x1a, 0x06, 0x10, 0x4c, 0x9c, 0xeb, 0x35,
            0xb4, 0x5c, 0xef, 0x76, 0x00, 0x14, 0x90, 0x46, 0x71, 0x01, 0x4a, 0x19, 0x3f, 0x40,
            0xc1, 0x5f, 0xc2, 0x44,
        ];
        let info: [u8; 80] = core::array::from_fn(|at| 0xb0 + u8::try_from(at).unwrap_or(0));
        let okm = [
            0xb1, 0x1e, 0x39, 0x8d, 0xc8, 0x03, 0x27, 0xa1, 0xc8, 0xe7, 0xf7, 0x8c, 0x59, 0x6a,
            0x49, 0x34, 0x4f, 0x01, 0x2e, 0xda, 0x2d, 0x4e, 0xfa, 0xd8, 0xa0, 0x50, 0xcc, 0x4c,
            0x19, 0xaf, 0xa9, 0x7c,
        ];
        expand(&crate::mac::keyed(&prk), &[&info, &[], &[]], &mut out);
        assert_eq!(*out, okm);
    }
}
