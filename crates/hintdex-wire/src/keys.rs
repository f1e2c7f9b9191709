//! Keys: where they come from, and how they stay out of sight.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::KeyId;

/// The key a device's hints are computed under. Zeroized on drop, redacted in `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct HintKey([u8; 16]);

impl HintKey {
    /// Takes a hint key from elsewhere.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The key itself. Whoever copies it zeroizes the copy.
    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The key a device's packets are encrypted and authenticated under:
/// AES-128-CTR in the first half, HMAC-SHA256 in the second.
/// Zeroized on drop, redacted in `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PacketKey {
    cipher: [u8; 16],
    mac: [u8; 16],
}

impl PacketKey {
    /// Splits a device key into its two halves.
    pub const fn from_bytes(dev_key: [u8; 32]) -> Self {
        let (cipher, mac) = split(dev_key);
        Self { cipher, mac }
    }

    pub(crate) const fn cipher_key(&self) -> &[u8; 16] {
        &self.cipher
    }

    pub(crate) const fn mac_key(&self) -> &[u8; 16] {
        &self.mac
    }
}

macro_rules! redact {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    )*};
}
redact!(HintKey, PacketKey, MasterKey);

/// A value that tells two key sources apart without telling their keys.
pub type CheckValue = [u8; 16];

/// Where the keys of a fleet come from.
///
/// [`MasterKey`] derives them; an application that holds random keys for its
/// devices implements this over its own store.
pub trait KeySource: Send + Sync {
    /// The hint key of `key`, or `None` if this source has no such key.
    fn hint_key(&self, key: KeyId) -> Option<HintKey>;

    /// The packet key of `key`, or `None` if this source has no such key.
    fn packet_key(&self, key: KeyId) -> Option<PacketKey>;

    /// A pseudo-random function of the source and `context`.
    ///
    /// An index stores it at creation and compares it at opening, so that a
    /// station with the wrong keys is told so instead of finding nobody.
    fn check_value(&self, context: &[u8]) -> CheckValue;
}

/// The secret every key of a fleet is derived from with HMAC-SHA256 (FIPS 198-1).
///
/// ```text
/// dev_key  = HMAC(master, "dev_key:"   ‖ device_id_be4)
/// hint_key = HMAC(master, "nhint_key:" ‖ device_id_be4)[..16]
/// ```
///
/// A derivation is two SHA-256 compressions: 0.1 µs with SHA-NI, 0.5 µs without.
/// Only generation 0 has keys here; later generations are not derived.
#[derive(Clone)]
pub struct MasterKey {
    /// HMAC with the key already absorbed; cloned for each derivation.
    keyed: Hmac<Sha256>,
}

impl MasterKey {
    /// Absorbs the master secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        let mut block = [0; 64];
        let (head, _) = block.split_at_mut(secret.len());
        head.copy_from_slice(secret);
        // A key shorter than the hash's block is padded with zeros to its
        // length (FIPS 198-1, section 4), so this is HMAC under `secret`.
        let keyed = Hmac::new(&block.into());
        block.zeroize();
        Self { keyed }
    }

    /// The key under which keys that are not derived are kept, sealed, beside the fleet's
    /// index: HMAC(master, "hintdex-seal:device-keys").
    pub fn sealing_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.derive(&[b"hintdex-seal:device-keys"]))
    }

    fn derive(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    fn derive_for(&self, label: &[u8], key: KeyId) -> Option<[u8; 32]> {
        (key.generation == 0).then(|| self.derive(&[label, &key.device.0.to_be_bytes()]))
    }
}

impl KeySource for MasterKey {
    fn hint_key(&self, key: KeyId) -> Option<HintKey> {
        self.derive_for(b"nhint_key:", key).map(|bytes| HintKey(split(bytes).0))
    }

    fn packet_key(&self, key: KeyId) -> Option<PacketKey> {
        self.derive_for(b"dev_key:", key).map(PacketKey::from_bytes)
    }

    fn check_value(&self, context: &[u8]) -> CheckValue {
        split(self.derive(&[b"hintdex-check:", context])).0
    }
}

/// The first and the last 16 of 32 bytes.
const fn split(bytes: [u8; 32]) -> ([u8; 16], [u8; 16]) {
    let mut halves = ([0; 16], [0; 16]);
    let (first, last) = bytes.split_at(16);
    halves.0.copy_from_slice(first);
    halves.1.copy_from_slice(last);
    halves
}
