//! The key that authenticates a snapshot.

use core::fmt;

use hintdex_wire::KeySource;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The key that ties a snapshot to one fleet: HMAC-SHA256 (FIPS 198-1) over the header of the
/// file, which holds the SHA-256 of the manifest, which holds the CRC of every block.
///
/// A CRC detects accidents; only the HMAC detects a file that an attacker wrote.
/// Zeroized on drop, redacted in `Debug`.
///
/// See the [example of the crate](crate).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ManifestKey([u8; 32]);

impl ManifestKey {
    /// A key from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key of the fleet whose device keys come from `keys`: two check values, concatenated.
    /// It is a pseudo-random function of the source's secret.
    pub fn of_fleet(keys: &dyn KeySource) -> Self {
        let mut bytes = [0; 32];
        let (first, last) = bytes.split_at_mut(16);
        first.copy_from_slice(&keys.check_value(b"snapshot-manifest:0"));
        last.copy_from_slice(&keys.check_value(b"snapshot-manifest:1"));
        Self(bytes)
    }

    /// HMAC of the concatenated `parts`.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.keyed(parts).finalize().into_bytes().into()
    }

    /// Whether `mac` is the HMAC of the concatenated `parts`. Compares in constant time.
    pub(crate) fn verifies(&self, parts: &[&[u8]], mac: &[u8; 32]) -> bool {
        self.keyed(parts).verify_slice(mac).is_ok()
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

#[cfg(test)]
mod tests {
    use hintdex_wire::{CheckValue, HintKey, KeyId, KeySource, PacketKey};

    use super::ManifestKey;

    /// A key source with check values for two contexts and no keys.
    struct Checks(u8, u8);

    impl KeySource for Checks {
        fn hint_key(&self, _: KeyId) -> Option<HintKey> {
            None
        }

        fn packet_key(&self, _: KeyId) -> Option<PacketKey> {
            None
        }

        fn check_value(&self, context: &[u8]) -> CheckValue {
            match context {
                b"snapshot-manifest:0" => [self.0; 16],
                b"snapshot-manifest:1" => [self.1; 16],
                _ => [0; 16],
            }
        }
    }

    #[test]
    fn the_key_of_a_fleet_depends_on_both_check_values() {
        let key = ManifestKey::of_fleet(&Checks(1, 2));
        let mac = key.mac(&[b"a", b"b"]);
        assert!(key.verifies(&[b"ab"], &mac));
        assert!(!key.verifies(&[b"abc"], &mac));
        let both = [[1; 16], [2; 16]].concat();
        let both = both.try_into().unwrap_or_else(|_| unreachable!("32 bytes"));
        assert!(ManifestKey::from_bytes(both).verifies(&[b"ab"], &mac));
        for other in [Checks(2, 2), Checks(1, 1), Checks(2, 1), Checks(0, 0)] {
            assert!(!ManifestKey::of_fleet(&other).verifies(&[b"ab"], &mac));
        }
    }

    #[test]
    fn a_mac_with_any_bit_changed_is_rejected() {
        let key = ManifestKey::from_bytes([7; 32]);
        let mac = key.mac(&[b"header"]);
        for bit in 0..256 {
            let mut other = mac;
            other.iter_mut().skip(bit / 8).take(1).for_each(|byte| *byte ^= 1 << (bit % 8));
            assert!(!key.verifies(&[b"header"], &other), "bit {bit}");
        }
    }
}
