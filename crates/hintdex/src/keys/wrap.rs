//! Keys of devices on their way between fleets, wrapped under a key that both know.

use hintdex_host::SecretSource;
use hintdex_wire::{CheckValue, HintKey, KeyId, KeySource, MasterKey};
use zerocopy::{FromBytes, IntoBytes};
use zeroize::Zeroizing;

use super::master::read_key;
use super::sealed::{KEYS_LEN_BYTES, KeySealer, Record};
use crate::Error;

/// The key under which keys of devices are wrapped.
///
/// See the example of [`DeviceTransfer`](crate::DeviceTransfer).
pub struct WrapKey {
    sealer: KeySealer,
    check: MasterKey,
}

/// The keys of a device, sealed with AES-SIV (RFC 5297): owner, tag and keys, as in
/// docs/format/device-keys.md.
///
/// See the example of [`DeviceTransfer`](crate::DeviceTransfer).
pub type WrappedKeys = [u8; size_of::<Record>()];

impl WrapKey {
    /// The wrap key of these bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        let check = MasterKey::new(secret);
        Self { sealer: KeySealer::new(&check), check }
    }

    /// Reads the 64 hex digits of a wrap key.
    ///
    /// # Errors
    /// [`Error::KeyFile`] or [`Error::Secret`].
    pub fn read(source: &SecretSource) -> Result<Self, Error> {
        let secret = read_key(source, "wrap key")?;
        Ok(Self::new(&secret))
    }

    /// A pseudo-random function of the key and `context`.
    pub fn check_value(&self, context: &[u8]) -> CheckValue {
        self.check.check_value(context)
    }

    /// Wraps one key of 16 bytes with AES-SIV (RFC 5297): the tag, then the key. The key
    /// [unwraps](Self::unwrap_short) for the same `owner` only, which has another length than
    /// the 8 bytes of a device. `None` if the cipher rejects the length, which does not occur.
    ///
    /// ```
    /// use hintdex::WrapKey;
    ///
    /// let wrap = WrapKey::new(&[7; 32]);
    /// let wrapped = wrap.wrap_short(b"beacon one", &[1; 16]).unwrap();
    /// assert_eq!(*wrap.unwrap_short(b"beacon one", &wrapped).unwrap(), [1; 16]);
    /// assert!(wrap.unwrap_short(b"beacon two", &wrapped).is_none());
    /// ```
    pub fn wrap_short(&self, owner: &[u8], key: &[u8; 16]) -> Option<[u8; 32]> {
        self.sealer.seal_short(owner, key)
    }

    /// The key that was [wrapped](Self::wrap_short) for `owner`; `None` if it is damaged, or
    /// wrapped for another owner or under another key.
    pub fn unwrap_short(&self, owner: &[u8], wrapped: &[u8; 32]) -> Option<Zeroizing<[u8; 16]>> {
        self.sealer.unseal_short(owner, wrapped)
    }

    pub(crate) fn wrap(&self, key: KeyId, keys: &[u8; KEYS_LEN_BYTES]) -> Option<WrappedKeys> {
        let (hint_key, dev_key) = keys.split_at(16);
        let hint_key = HintKey::copy_of(hint_key.try_into().ok()?);
        let record = self.sealer.seal(key, &hint_key, dev_key.try_into().ok()?)?;
        record.as_bytes().try_into().ok()
    }

    /// The keys of `key`; `None` if they are damaged, or wrapped for another device or under
    /// another key.
    pub(crate) fn unwrap(
        &self,
        key: KeyId,
        wrapped: &WrappedKeys,
    ) -> Option<Zeroizing<[u8; KEYS_LEN_BYTES]>> {
        let record = Record::ref_from_bytes(wrapped).ok()?;
        if record.owner.key() != key {
            return None;
        }
        self.sealer.unseal_bytes(record)
    }
}
