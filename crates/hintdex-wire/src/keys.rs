//! Keys: where they come from, and how they stay secret.

use core::fmt;

use hmac::Hmac;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::derivation::{Derivation, expand, extract};
use crate::hmac_state::one_block;
use crate::mac::Derived;
use crate::{Chain, HmacState, KeyDerivation, KeyId, mac};

/// The key under which a device's hints are computed. Zeroized on drop, redacted in `Debug`.
///
/// See the example of [`Packet`](crate::Packet).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct HintKey([u8; 16]);

impl HintKey {
    /// Takes a hint key by value. The caller zeroizes its own copy;
    /// [`copy_of`](Self::copy_of) makes no further one.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Copies a hint key straight from where it is stored into memory that is
    /// zeroized on drop.
    pub const fn copy_of(bytes: &[u8; 16]) -> Self {
        Self(*bytes)
    }

    /// The first 16 of 32 derived bytes.
    pub(crate) const fn first_half_of(derived: &[u8; 32]) -> Self {
        Self(half(derived.split_at(16).0))
    }

    /// The bytes of the key. Code that copies them zeroizes the copy.
    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The key under which a device's packets are encrypted and authenticated, by the
/// [suite](crate::Suite) of its fleet: with the whole key, with its first half, or with one half
/// for each of the two. Zeroized on drop, redacted in `Debug`.
///
/// See the example of [`Packet`](crate::Packet).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PacketKey([u8; 32]);

impl PacketKey {
    /// Takes a device key by value and zeroizes `dev_key`. A copy that the caller keeps is the
    /// caller's to zeroize; [`copy_of`](Self::copy_of) needs none.
    pub fn from_bytes(mut dev_key: [u8; 32]) -> Self {
        let key = Self::copy_of(&dev_key);
        dev_key.zeroize();
        key
    }

    /// Copies a device key straight from where it is stored into memory that is zeroized on
    /// drop.
    pub const fn copy_of(dev_key: &[u8; 32]) -> Self {
        Self(*dev_key)
    }

    /// The 32 bytes of the key, for code that opens packets itself.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 16 bytes.
    pub(crate) const fn first_half(&self) -> &[u8; 16] {
        let [first, _] = self.halves();
        first
    }

    /// The last 16 bytes.
    pub(crate) const fn second_half(&self) -> &[u8; 16] {
        let [_, second] = self.halves();
        second
    }

    /// Both halves. 32 bytes are two chunks of 16 without a rest, so the other arm is not
    /// reached.
    const fn halves(&self) -> &[[u8; 16]; 2] {
        match self.0.as_chunks::<16>().0.as_array() {
            Some(halves) => halves,
            None => &[[0; 16]; 2],
        }
    }
}

/// The key under which a device authenticates packets of an
/// [`EphemeralSuite`](crate::EphemeralSuite). Zeroized on drop, redacted in `Debug`.
///
/// See the example of [`EphemeralPacket`](crate::EphemeralPacket).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MacKey([u8; 32]);

impl MacKey {
    /// Copies a key straight from where it is stored into memory that is zeroized on drop.
    pub const fn copy_of(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// The bytes of the key. Code that copies them zeroizes the copy.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// 16 bytes of a longer key. The result fits in registers, so optimized code makes
/// no copy on the stack.
#[inline(always)]
const fn half(bytes: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(bytes);
    half
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
redact!(HintKey, PacketKey, MacKey, MasterKey);

/// A value that distinguishes two key sources without revealing their keys.
///
/// ```
/// use hintdex_wire::{CheckValue, KeySource, MasterKey};
///
/// let stored: CheckValue = MasterKey::new(&[7; 32]).check_value(b"index 1");
/// assert_eq!(MasterKey::new(&[7; 32]).check_value(b"index 1"), stored);
/// assert_ne!(MasterKey::new(&[8; 32]).check_value(b"index 1"), stored);
/// ```
pub type CheckValue = [u8; 16];

/// Where the keys of a fleet come from.
///
/// [`MasterKey`] derives them. An application that holds random keys for its
/// devices implements this trait over its own store.
///
/// See the [example of the crate](crate).
pub trait KeySource: Send + Sync {
    /// Returns the hint key of `key`, or `None` if this source has no such key.
    fn hint_key(&self, key: KeyId) -> Option<HintKey>;

    /// Returns the packet key of `key`, or `None` if this source has no such key.
    fn packet_key(&self, key: KeyId) -> Option<PacketKey>;

    /// Returns the chain of `key` in `epoch`, for fleets whose keys move on with their nonces
    /// ([`RatchetBits`](crate::RatchetBits)). `None` if this source has no such key, or no chain of
    /// an epoch that early any longer. A source without chains serves no such fleet: the default.
    fn chain(&self, key: KeyId, epoch: u32) -> Option<Chain> {
        let _ = (key, epoch);
        None
    }

    /// Returns the key under which the device of `key` authenticates packets without a hint
    /// ([`EphemeralPacket`](crate::EphemeralPacket)), or `None` if this source has no such key. A
    /// source without such keys serves no such fleet: the default.
    fn mac_key(&self, key: KeyId) -> Option<MacKey> {
        let _ = key;
        None
    }

    /// How the key of [`packet_key`](Self::packet_key) follows from a master key. `None`, as by default, if it does
    /// not, or if the source keeps that for itself: then `packet_key` is asked.
    fn packet_key_derivation(&self, key: KeyId) -> Option<KeyDerivation<'_>> {
        let _ = key;
        None
    }

    /// Returns a pseudo-random function of the source and `context`.
    ///
    /// An index stores the value when it is created and compares it when it is
    /// opened. A station with the wrong keys then gets an error instead of finding
    /// no device.
    fn check_value(&self, context: &[u8]) -> CheckValue;

    /// Whether this source serves a fleet whose derived keys are derived so. An index that is
    /// opened asks before it uses a key.
    ///
    /// A source that holds keys and derives none serves every fleet: the default.
    fn serves(&self, derivation: Derivation) -> bool {
        let _ = derivation;
        true
    }
}

/// The secret from which every key of a fleet is derived with HMAC-SHA256 (FIPS 198-1), or with
/// HKDF-SHA256 (RFC 5869) over it: see [`Derivation`].
///
/// ```text
/// dev_key  = HMAC(master, "dev_key:"   ‖ device_id_be4)
/// hint_key = HMAC(master, "nhint_key:" ‖ device_id_be4)[..16]
/// ```
///
/// For a generation above 0, the generation follows the id as two big-endian bytes.
/// A derivation is two SHA-256 compressions: 0.1 µs with SHA-NI, 0.5 µs without.
///
/// See the [example of the crate](crate).
#[derive(Clone)]
pub struct MasterKey {
    /// HMAC with the key already absorbed; cloned for each derivation.
    keyed: Hmac<Sha256>,
    /// With HKDF: HMAC with the pseudo-random key absorbed.
    expand: Option<Hmac<Sha256>>,
    /// The one of both that derives keys of devices, in parts.
    state: HmacState,
}

impl MasterKey {
    /// Absorbs the master secret, for keys that are derived with HMAC.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self::with_derivation(secret, Derivation::Hmac)
    }

    /// Absorbs the master secret. Sealing keys and check values are the same, whatever the
    /// derivation is.
    pub fn with_derivation(secret: &[u8; 32], derivation: Derivation) -> Self {
        let prk = (derivation == Derivation::Hkdf).then(|| extract(&[], secret));
        let expand = prk.as_ref().map(|prk| mac::keyed(&**prk));
        let state = HmacState::of(prk.as_ref().map_or(&secret[..], |prk| &prk[..]));
        Self { keyed: mac::keyed(secret), expand, state }
    }

    /// How the keys of devices are derived.
    pub const fn derivation(&self) -> Derivation {
        if self.expand.is_some() { Derivation::Hkdf } else { Derivation::Hmac }
    }

    /// The device key of `key`: the 32 bytes of its packet key, for a caller that seals them.
    ///
    /// ```
    /// use hintdex_wire::{DeviceId, KeyId, MasterKey};
    ///
    /// let master = MasterKey::new(&[7; 32]);
    /// let key = KeyId::first(DeviceId(42));
    /// assert_ne!(*master.dev_key(key), [0; 32]);
    /// ```
    pub fn dev_key(&self, key: KeyId) -> Zeroizing<[u8; 32]> {
        let mut derived = Derived::default();
        self.derive_for(b"dev_key:", key, &mut derived);
        derived
    }

    /// The chain of `key` in epoch 0, from which the keys of all its epochs follow.
    ///
    /// See the example of [`Chain`].
    pub fn first_chain(&self, key: KeyId) -> Chain {
        let mut chain_key = Derived::default();
        self.derive_for(b"ratchet:", key, &mut chain_key);
        Chain::new(0, chain_key)
    }

    /// The key under which the device of `key` authenticates packets without a hint.
    ///
    /// See the example of [`EphemeralPacket`](crate::EphemeralPacket).
    pub fn mac_key(&self, key: KeyId) -> MacKey {
        let mut derived = Derived::default();
        self.derive_for(b"device_mac_key:", key, &mut derived);
        MacKey::copy_of(&derived)
    }

    /// The key that seals the keys which are not derived, for storage beside the
    /// fleet's index: HMAC(master, "hintdex-seal:device-keys").
    pub fn sealing_key(&self) -> Zeroizing<[u8; 32]> {
        let mut key = Derived::default();
        self.derive(&[b"hintdex-seal:device-keys"], &mut key);
        key
    }

    fn derive(&self, parts: &[&[u8]], out: &mut Derived) {
        mac::finish_into(self.keyed.clone(), parts, out);
    }

    /// Derives a key of a device. The label and the length of the input determine each part,
    /// so no two inputs are equal.
    fn derive_for(&self, label: &[u8], key: KeyId, out: &mut Derived) {
        let (device, generation) = (key.device.0.to_be_bytes(), key.generation.to_be_bytes());
        let generation: &[u8] = if key.generation == 0 { &[] } else { &generation };
        let parts = [label, &device, generation];
        match &self.expand {
            Some(prk) => expand(prk, &parts, out),
            None => self.derive(&parts, out),
        }
    }
}

impl KeySource for MasterKey {
    fn hint_key(&self, key: KeyId) -> Option<HintKey> {
        let mut derived = Derived::default();
        self.derive_for(b"nhint_key:", key, &mut derived);
        Some(HintKey::first_half_of(&derived))
    }

    fn packet_key(&self, key: KeyId) -> Option<PacketKey> {
        Some(PacketKey::copy_of(&self.dev_key(key)))
    }

    fn packet_key_derivation(&self, key: KeyId) -> Option<KeyDerivation<'_>> {
        let (device, generation) = (key.device.0.to_be_bytes(), key.generation.to_be_bytes());
        let generation: &[u8] = if key.generation == 0 { &[] } else { &generation };
        // The first block of HKDF's output has a number behind its info (RFC 5869, section 2.3).
        let counter: &[u8] = if self.expand.is_some() { &[1] } else { &[] };
        let message = one_block(&[b"dev_key:", &device, generation, counter])?;
        Some(KeyDerivation { state: &self.state, message })
    }

    fn mac_key(&self, key: KeyId) -> Option<MacKey> {
        Some(Self::mac_key(self, key))
    }

    /// Walks from epoch 0 on: four SHA-256 compressions an epoch, 0.2 µs with SHA-NI.
    fn chain(&self, key: KeyId, epoch: u32) -> Option<Chain> {
        let mut chain = self.first_chain(key);
        chain.advance_to(epoch).then_some(chain)
    }

    fn check_value(&self, context: &[u8]) -> CheckValue {
        let mut derived = Derived::default();
        self.derive(&[b"hintdex-check:", context], &mut derived);
        *HintKey::first_half_of(&derived).expose()
    }

    fn serves(&self, derivation: Derivation) -> bool {
        self.derivation() == derivation
    }
}

impl Chain {
    /// The hint key of the epoch.
    pub fn hint_key(&self) -> HintKey {
        let mut derived = Derived::default();
        self.derive(b"nhint_key", &mut derived);
        HintKey::first_half_of(&derived)
    }

    /// The packet key of the epoch.
    pub fn packet_key(&self) -> PacketKey {
        let mut derived = Derived::default();
        self.derive(b"dev_key", &mut derived);
        PacketKey::copy_of(&derived)
    }
}

#[cfg(test)]
mod tests {
    use aes::{Aes128Dec, Aes128Enc};
    use zeroize::ZeroizeOnDrop;

    use super::{HintKey, MacKey, PacketKey};
    use crate::Chain;
    use crate::speck::Speck64;

    /// Compiles only while each of `types` is zeroized on drop.
    macro_rules! are_zeroized_on_drop {
        ($($name:ty),*) => {
            const _: () = {
                const fn check<T: ZeroizeOnDrop>() {}
                $(check::<$name>();)*
            };
        };
    }
    are_zeroized_on_drop!(HintKey, PacketKey, MacKey, Chain, Speck64, Aes128Enc, Aes128Dec);
}
