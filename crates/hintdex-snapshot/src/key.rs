//! The key a snapshot's manifest is authenticated under.

use core::fmt;

use hintdex_wire::KeySource;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What ties a snapshot to one fleet: HMAC-SHA256 (FIPS 198-1) over the file's
/// header, which in turn holds the SHA-256 of everything else that is trusted.
///
/// A CRC finds accidents; only this finds a file somebody else made.
/// Zeroized on drop, redacted in `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ManifestKey([u8; 32]);

impl ManifestKey {
    /// Takes a key from elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key of the fleet whose device keys come from `keys`: two check
    /// values side by side, which is a pseudo-random function of the source.
    pub fn of_fleet(keys: &dyn KeySource) -> Self {
        let mut bytes = [0; 32];
        let (first, last) = bytes.split_at_mut(16);
        first.copy_from_slice(&keys.check_value(b"snapshot-manifest:0"));
        last.copy_from_slice(&keys.check_value(b"snapshot-manifest:1"));
        Self(bytes)
    }

    /// HMAC of `parts`, one after the other.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.keyed(parts).finalize().into_bytes().into()
    }

    /// Whether `mac` is the HMAC of `parts`, compared in constant time.
    pub(crate) fn verifies(&self, parts: &[&[u8]], mac: &[u8; 32]) -> bool {
        self.mac(parts).ct_eq(mac).into()
    }

    fn keyed(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        // A key shorter than the hash's block is padded with zeros to its
        // length (FIPS 198-1, section 4), so this is HMAC under the 32 bytes.
        let mut block = [0; 64];
        block.split_at_mut(self.0.len()).0.copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        block.zeroize();
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

impl fmt::Debug for ManifestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ManifestKey([redacted])")
    }
}
