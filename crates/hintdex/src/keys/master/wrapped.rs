//! A master key wrapped under a passphrase: Argon2id (RFC 9106) derives a key from the
//! passphrase, and AES-SIV (RFC 5297) seals the master key under it
//! (docs/format/master-key.md).

use std::mem::offset_of;

use aes_siv::aead::inout::InOutBuf;
use aes_siv::siv::Aes128Siv;
use aes_siv::{KeyInit, Tag};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};
use zeroize::{Zeroize, Zeroizing};

use super::Secret;

/// The first bytes of a wrapped master key. No text of a key begins so.
pub(super) const MAGIC: [u8; 8] = *b"hdxwrap\0";
/// The format version that this version writes and reads.
const FORMAT_VERSION: u16 = 1;

/// The work of Argon2id for a passphrase: more of it makes guesses slower, and every opening.
///
/// See the example of [`Station::rewrap_key`](crate::Station::rewrap_key).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassphraseCost {
    /// The memory, in KiB: 8 for each lane, 1 GiB at most.
    pub memory_kib: u32,
    /// The passes over the memory: 1 at least. Passes × memory is 4 GiB at most.
    pub passes: u32,
    /// The lanes, 1 to 16: part of the result. They are computed one after the other.
    pub lanes: u32,
}

impl Default for PassphraseCost {
    /// The second recommended option of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes.
    /// About a fifth of a second.
    fn default() -> Self {
        Self { memory_kib: 64 << 10, passes: 3, lanes: 4 }
    }
}

impl PassphraseCost {
    /// The most memory, in KiB: who can write the file cannot take more of the machine.
    pub const MAX_MEMORY_KIB: u32 = 1 << 20;

    /// The most of memory × passes, in KiB: some seconds.
    pub const MAX_WORK_KIB: u64 = 1 << 22;

    fn is_in_bounds(self) -> bool {
        let Self { memory_kib, passes, lanes } = self;
        (1..=16).contains(&lanes)
            && (8 * lanes..=Self::MAX_MEMORY_KIB).contains(&memory_kib)
            && passes >= 1
            && u64::from(memory_kib) * u64::from(passes) <= Self::MAX_WORK_KIB
    }
}

/// The bytes of a wrapped master key.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct WrappedKey {
    magic: [u8; 8],
    version: U16,
    reserved: [u8; 6],
    memory_kib: U32,
    passes: U32,
    lanes: U32,
    checksum: U32,
    salt: [u8; 16],
    siv: [u8; 16],
    sealed: [u8; 32],
}

/// Why a master key was not wrapped or unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrapError {
    /// The file cannot be used, whatever the passphrase is.
    Unusable(&'static str),
    WrongPassphrase,
}

impl WrappedKey {
    /// Wraps a secret under a passphrase.
    ///
    /// # Errors
    /// [`WrapError::Unusable`]: the cost is out of bounds, or its memory is not there.
    pub(super) fn wrap(
        secret: &Secret,
        passphrase: &[u8],
        cost: PassphraseCost,
        salt: [u8; 16],
    ) -> Result<Self, WrapError> {
        let PassphraseCost { memory_kib, passes, lanes } = cost;
        let mut record = Self {
            magic: MAGIC,
            version: FORMAT_VERSION.into(),
            memory_kib: memory_kib.into(),
            passes: passes.into(),
            lanes: lanes.into(),
            salt,
            ..Self::new_zeroed()
        };
        let cipher = record.cipher(passphrase)?;
        let mut sealed = Zeroizing::new(***secret);
        let inout = InOutBuf::from(sealed.as_mut_slice());
        let siv = { cipher }.encrypt_inout_detached([record.bound_bytes()], inout);
        // 32 bytes are few for every cipher.
        record.siv =
            siv.map_err(|_| WrapError::Unusable("the master key cannot be sealed"))?.into();
        record.sealed = *sealed;
        record.checksum = record.computed_checksum().into();
        Ok(record)
    }

    /// The record of a file that begins with [`MAGIC`].
    ///
    /// # Errors
    /// [`WrapError::Unusable`]: the file is damaged, or of a newer version.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, WrapError> {
        const DAMAGED: WrapError = WrapError::Unusable(
            "the wrapped master key is damaged; restore it from a backup, or give the key itself with \
             --master-key",
        );
        let version_at = offset_of!(Self, version);
        let version = bytes.get(version_at..).and_then(|rest| U16::read_from_prefix(rest).ok());
        let (version, _) = version.ok_or(DAMAGED)?;
        if version.get() > FORMAT_VERSION {
            return Err(WrapError::Unusable(
                "the wrapped master key has a version that this program does not know; update hintdex",
            ));
        }
        let record = Self::read_from_bytes(bytes).map_err(|_| DAMAGED)?;
        let is_whole = record.magic == MAGIC
            && record.version.get() == FORMAT_VERSION
            && record.reserved == [0; 6]
            && record.checksum.get() == record.computed_checksum();
        is_whole.then_some(record).ok_or(DAMAGED)
    }

    /// The cost of the passphrase.
    pub(super) const fn cost(&self) -> PassphraseCost {
        PassphraseCost {
            memory_kib: self.memory_kib.get(),
            passes: self.passes.get(),
            lanes: self.lanes.get(),
        }
    }

    /// Unwraps the secret.
    ///
    /// # Errors
    /// [`WrapError::WrongPassphrase`]. A damage that the checksum does not show looks alike.
    pub(super) fn unwrap(&self, passphrase: &[u8]) -> Result<Secret, WrapError> {
        let mut secret = Secret::default();
        **secret = self.sealed;
        let inout = InOutBuf::from(secret.as_mut_slice());
        let bound = [self.bound_bytes()];
        self.cipher(passphrase)?
            .decrypt_inout_detached(bound, inout, &Tag::from(self.siv))
            .map_err(|_| WrapError::WrongPassphrase)?;
        Ok(secret)
    }

    /// The bytes that the seal binds beside the key: all up to the checksum. The salt and the
    /// cost are bound by the derived key as well.
    fn bound_bytes(&self) -> &[u8] {
        self.as_bytes().split_at(offset_of!(Self, checksum)).0
    }

    /// The CRC-32 of all other bytes: it tells a damaged file from a wrong passphrase.
    fn computed_checksum(&self) -> u32 {
        let (before, rest) = self.as_bytes().split_at(offset_of!(Self, checksum));
        let mut crc = crc32fast::Hasher::new();
        crc.update(before);
        crc.update(rest.get(size_of::<U32>()..).unwrap_or_default());
        crc.finalize()
    }

    fn cipher(&self, passphrase: &[u8]) -> Result<Aes128Siv, WrapError> {
        let cost = self.cost();
        if !cost.is_in_bounds() {
            return Err(WrapError::Unusable(
                "the Argon2id parameters of the wrapped master key are out of bounds: at most 1 GiB \
                 of memory, and 4 GiB in all passes; give the key itself with --master-key",
            ));
        }
        let PassphraseCost { memory_kib, passes, lanes } = cost;
        let refused =
            |_| WrapError::Unusable("Argon2id refuses the parameters of the wrapped master key");
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(refused)?;
        let mut memory = Memory::of(params.block_count()).ok_or(WrapError::Unusable(
            "there is no memory for the Argon2id parameters of the wrapped master key; free some, or \
             give the key itself with --master-key",
        ))?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase, &self.salt, &mut *key, &mut memory.0[..])
            .map_err(refused)?;
        Ok(Aes128Siv::new((&*key).into()))
    }
}

/// The memory of Argon2id, zeroized on drop: the key follows from its last blocks.
struct Memory(Vec<Block>);

impl Memory {
    /// `None` if the system has not that much.
    fn of(blocks: usize) -> Option<Self> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(blocks).ok()?;
        memory.resize(blocks, Block::new());
        Some(Self(memory))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// The fields as (name, offset, width), and the constants.
pub mod format {
    use core::mem::offset_of;

    use super::{FORMAT_VERSION, MAGIC, WrappedKey};

    /// The first bytes of a file, and its version.
    pub const MAGIC_AND_VERSION: ([u8; 8], u16) = (MAGIC, FORMAT_VERSION);

    /// The fields of a wrapped master key.
    pub fn fields() -> Vec<(&'static str, usize, usize)> {
        let end = size_of::<WrappedKey>();
        vec![
            ("magic", offset_of!(WrappedKey, magic), 8),
            ("version", offset_of!(WrappedKey, version), 2),
            ("reserved", offset_of!(WrappedKey, reserved), 6),
            ("memory_kib", offset_of!(WrappedKey, memory_kib), 4),
            ("passes", offset_of!(WrappedKey, passes), 4),
            ("lanes", offset_of!(WrappedKey, lanes), 4),
            ("checksum", offset_of!(WrappedKey, checksum), 4),
            ("salt", offset_of!(WrappedKey, salt), 16),
            ("siv", offset_of!(WrappedKey, siv), 16),
            ("sealed", offset_of!(WrappedKey, sealed), end - offset_of!(WrappedKey, sealed)),
        ]
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    /// As little work as there is: the tests run it often.
    const LITTLE: PassphraseCost = PassphraseCost { memory_kib: 8, passes: 1, lanes: 1 };

    fn secret() -> Secret {
        Box::new(Zeroizing::new([0x5a; 32]))
    }

    fn wrapped() -> WrappedKey {
        WrappedKey::wrap(&secret(), b"correct horse", LITTLE, [7; 16]).expect("little work")
    }

    #[test]
    fn the_right_passphrase_unwraps_and_every_other_is_rejected() {
        let record = WrappedKey::read(wrapped().as_bytes()).expect("it is whole");
        assert!(record.unwrap(b"correct horse").expect("the right one") == secret());
        for wrong in [&b""[..], b"correct", b"correct horse\n", b"Correct horse"] {
            assert_eq!(record.unwrap(wrong).err(), Some(WrapError::WrongPassphrase));
        }
        assert!(!record.as_bytes().windows(4).any(|run| run == [0x5a; 4]), "a run of the key");
    }

    #[test]
    fn every_flipped_bit_is_rejected_without_the_passphrase() {
        let bytes = wrapped().as_bytes().to_vec();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            if let Some(byte) = damaged.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            let refused = WrappedKey::read(&damaged).err();
            assert!(matches!(refused, Some(WrapError::Unusable(_))), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(WrappedKey::read(bytes.get(..len).unwrap_or_default()).is_err(), "{len}");
        }
        assert!(WrappedKey::read(&[bytes.as_slice(), &[0]].concat()).is_err());
    }

    /// Damage with a checksum that fits: the seal rejects it. One bit of each byte, since each
    /// costs the work of a passphrase.
    #[test]
    fn the_seal_rejects_what_the_checksum_does_not() {
        let bytes = wrapped().as_bytes().to_vec();
        for at in offset_of!(WrappedKey, passes)..bytes.len() {
            let mut damaged = bytes.clone();
            damaged.get_mut(at).into_iter().for_each(|byte| *byte ^= 0x01);
            let mut record = WrappedKey::read_from_bytes(&damaged).expect("as long");
            record.checksum = record.computed_checksum().into();
            let is_checksum = record.as_bytes() == bytes.as_slice();
            let read = WrappedKey::read(record.as_bytes()).expect("the checksum fits");
            assert!(is_checksum || read.unwrap(b"correct horse").is_err(), "byte {at}");
        }
    }

    #[test]
    fn costs_out_of_bounds_are_refused_before_any_work() {
        let max = PassphraseCost::MAX_MEMORY_KIB;
        for (memory_kib, passes, lanes) in [
            (0, 1, 1),
            (7, 1, 1),
            (8, 0, 1),
            (8, 1, 0),
            (127, 1, 16),
            (1024, 1, 17),
            (max + 1, 1, 1),
            (u32::MAX, 1, 1),
            (max, 5, 1),
            (8, u32::MAX, 1),
            (8, 1, u32::MAX),
        ] {
            let cost = PassphraseCost { memory_kib, passes, lanes };
            assert!(!cost.is_in_bounds(), "{cost:?}");
            let made = WrappedKey::wrap(&secret(), b"x", cost, [0; 16]).err();
            assert!(matches!(made, Some(WrapError::Unusable(_))), "{cost:?}");
            let mut record = wrapped();
            (record.memory_kib, record.passes, record.lanes) =
                (memory_kib.into(), passes.into(), lanes.into());
            record.checksum = record.computed_checksum().into();
            let read = WrappedKey::read(record.as_bytes()).expect("the checksum fits");
            let refused = read.unwrap(b"correct horse").err();
            assert!(matches!(refused, Some(WrapError::Unusable(_))), "{cost:?}");
        }
        assert!(PassphraseCost::default().is_in_bounds());
        assert!(PassphraseCost { memory_kib: max, passes: 4, lanes: 16 }.is_in_bounds());
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut record = wrapped();
        record.version = (FORMAT_VERSION + 1).into();
        let Some(WrapError::Unusable(why)) = WrappedKey::read(record.as_bytes()).err() else {
            panic!("it is refused");
        };
        assert!(why.contains("update hintdex"), "{why}");
    }
}
