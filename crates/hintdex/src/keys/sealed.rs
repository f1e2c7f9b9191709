//! The sealed keys of one device: AES-SIV (RFC 5297) under a key that is derived from the
//! fleet's master key, with the owner as associated data. Sealing is deterministic, so
//! sealing a key twice reveals no more than sealing it once. A record that was moved to
//! another device does not unseal.

use hintdex_wire::{CheckValue, DeviceId, HintKey, KeyId, KeySource, MasterKey, PacketKey};
use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};
use zeroize::Zeroizing;

use super::siv::Sealer;

/// The first bytes of a file of sealed keys.
pub(super) const MAGIC: [u8; 8] = *b"hdxkeys\0";
/// The format version that this version writes and reads.
pub(super) const FORMAT_VERSION: u16 = 1;

/// The header of a file of sealed keys. Written once.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 8],
    pub(super) version: U16,
    pub(super) reserved: [u8; 6],
    pub(super) check_value: CheckValue,
    pub(super) zeros: [u8; 40],
}

impl Header {
    pub(super) fn of(master: &MasterKey) -> Self {
        Self {
            magic: MAGIC,
            version: FORMAT_VERSION.into(),
            check_value: master.check_value(b"device-keys"),
            ..Self::new_zeroed()
        }
    }
}

/// The owner of a record: device and generation.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Owner {
    pub(super) device: U32,
    pub(super) generation: U16,
    pub(super) reserved: U16,
}

impl Owner {
    pub(super) fn of(key: KeyId) -> Self {
        let KeyId { device, generation } = key;
        Self { device: device.0.into(), generation: generation.into(), reserved: U16::ZERO }
    }

    pub(super) fn key(&self) -> KeyId {
        KeyId { device: DeviceId(self.device.get()), generation: self.generation.get() }
    }
}

/// The record of a device's keys.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Record {
    pub(super) owner: Owner,
    pub(super) siv: [u8; 16],
    pub(super) sealed: [u8; KEYS_LEN_BYTES],
}

/// The length of a hint key and a packet key.
pub(super) const KEYS_LEN_BYTES: usize = 16 + 32;

/// Seals and unseals keys.
pub(super) struct KeySealer(Sealer);

impl KeySealer {
    pub(super) fn new(master: &MasterKey) -> Self {
        Self(Sealer::new(master))
    }

    /// Seals a hint key and the 32 bytes of a packet key. `None` if the cipher rejects the
    /// length, which does not occur at 48 bytes.
    pub(super) fn seal(
        &self,
        key: KeyId,
        hint_key: &HintKey,
        dev_key: &[u8; 32],
    ) -> Option<Record> {
        let owner = Owner::of(key);
        let mut keys = Zeroizing::new([0; KEYS_LEN_BYTES]);
        let (first, last) = keys.split_at_mut(16);
        first.copy_from_slice(hint_key.expose());
        last.copy_from_slice(dev_key);
        let siv = self.0.seal(&[owner.as_bytes()], keys.as_mut_slice())?;
        Some(Record { owner, siv, sealed: *keys })
    }

    /// The hint key and the 32 bytes of the packet key of a record; `None` if the record is
    /// damaged or of another fleet.
    pub(super) fn unseal_bytes(&self, record: &Record) -> Option<Zeroizing<[u8; KEYS_LEN_BYTES]>> {
        let mut keys = Zeroizing::new(record.sealed);
        self.0.unseal(&[record.owner.as_bytes()], keys.as_mut_slice(), &record.siv)?;
        Some(keys)
    }

    /// Seals one key of 16 bytes: tag and key. `None` if the cipher rejects the length, which does
    /// not occur. An owner of 8 bytes is that of a [`Record`].
    pub(super) fn seal_short(&self, owner: &[u8], key: &[u8; 16]) -> Option<[u8; 32]> {
        let mut sealed = Zeroizing::new(*key);
        let siv = self.0.seal(&[owner], sealed.as_mut_slice())?;
        let mut record = [0; 32];
        let (first, last) = record.split_at_mut(16);
        first.copy_from_slice(&siv);
        last.copy_from_slice(sealed.as_slice());
        Some(record)
    }

    /// The key that [`seal_short`](Self::seal_short) sealed for `owner`; `None` if it is damaged
    /// or of another owner.
    pub(super) fn unseal_short(
        &self,
        owner: &[u8],
        record: &[u8; 32],
    ) -> Option<Zeroizing<[u8; 16]>> {
        let (siv, sealed) = record.split_first_chunk()?;
        let mut key = Zeroizing::new([0; 16]);
        key.copy_from_slice(sealed);
        self.0.unseal(&[owner], key.as_mut_slice(), siv)?;
        Some(key)
    }

    /// The keys of a record; `None` if the record is damaged or of another fleet.
    pub(super) fn unseal(&self, record: &Record) -> Option<(HintKey, PacketKey)> {
        let keys = self.unseal_bytes(record)?;
        let (first, last) = keys.split_at(16);
        let (hint_key, dev_key) = (first.try_into().ok()?, last.try_into().ok()?);
        Some((HintKey::copy_of(hint_key), PacketKey::copy_of(dev_key)))
    }
}

/// The fields of header and record as (name, offset, width), and the constants.
pub mod format {
    use core::mem::offset_of;

    use super::{FORMAT_VERSION, Header, MAGIC, Owner, Record};

    /// The first bytes of a file, and its version.
    pub const MAGIC_AND_VERSION: ([u8; 8], u16) = (MAGIC, FORMAT_VERSION);

    /// The fields of the header.
    pub fn header() -> Vec<(&'static str, usize, usize)> {
        vec![
            ("magic", offset_of!(Header, magic), 8),
            ("version", offset_of!(Header, version), 2),
            ("reserved", offset_of!(Header, reserved), 6),
            ("check_value", offset_of!(Header, check_value), 16),
            ("zeros", offset_of!(Header, zeros), size_of::<Header>() - offset_of!(Header, zeros)),
        ]
    }

    /// The fields of a record.
    pub fn record() -> Vec<(&'static str, usize, usize)> {
        vec![
            ("device", offset_of!(Owner, device), 4),
            ("generation", offset_of!(Owner, generation), 2),
            ("reserved", offset_of!(Owner, reserved), 2),
            ("siv", offset_of!(Record, siv), 16),
            (
                "sealed",
                offset_of!(Record, sealed),
                size_of::<Record>() - offset_of!(Record, sealed),
            ),
        ]
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    const KEY: KeyId = KeyId { device: DeviceId(7), generation: 0 };

    #[test]
    fn a_sealed_record_unseals_and_a_changed_record_is_rejected() {
        let sealer = KeySealer::new(&MasterKey::new(&[1; 32]));
        let record = sealer.seal(KEY, &HintKey::from_bytes([2; 16]), &[3; 32]).expect("few bytes");
        let (hint_key, _) = sealer.unseal(&record).expect("just sealed");
        assert_eq!(hint_key.expose(), &[2; 16]);
        assert!(KeySealer::new(&MasterKey::new(&[9; 32])).unseal(&record).is_none());
        for bit in 0..size_of::<Record>() * 8 {
            let mut damaged = record;
            if let Some(byte) = damaged.as_mut_bytes().get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            assert!(sealer.unseal(&damaged).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_shows_no_run_of_its_keys() {
        let sealer = KeySealer::new(&MasterKey::new(&[1; 32]));
        let record = sealer.seal(KEY, &HintKey::from_bytes([0xaa; 16]), &[0xbb; 32]);
        let record = record.expect("few bytes");
        assert!(!record.as_bytes().windows(4).any(|run| run == [0xaa; 4] || run == [0xbb; 4]));
    }
}
