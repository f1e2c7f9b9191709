//! The records of the file of chains, and how chains are sealed into them: AES-SIV (RFC 5297)
//! under the key that seals imported keys, with the owner and the epoch as associated data.

use hintdex_wire::{Chain, CheckValue, DeviceId, KeyId, KeySource, MasterKey};
use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};
use zeroize::Zeroizing;

use crate::keys::siv::Sealer;

/// The first bytes of a file of chains.
pub(super) const MAGIC: [u8; 8] = *b"hdxchain";
/// The format version that this version writes and reads.
pub(super) const FORMAT_VERSION: u16 = 1;

/// The header of a file of chains. Written once.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 8],
    pub(super) version: U16,
    pub(super) reserved: [u8; 6],
    pub(super) check_value: CheckValue,
    pub(super) zeros: [u8; 96],
}

impl Header {
    pub(super) fn of(master: &MasterKey) -> Self {
        Self {
            magic: MAGIC,
            version: FORMAT_VERSION.into(),
            check_value: master.check_value(b"device-chains"),
            ..Self::new_zeroed()
        }
    }
}

/// The owner of a record: a key, and whether its first chain was given or is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) key: KeyId,
    pub(super) is_given: bool,
}

/// A chain in one epoch, sealed. All zeros: empty.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Cell {
    pub(super) epoch: U32,
    pub(super) siv: [u8; 16],
    pub(super) sealed: [u8; 32],
}

/// The record of a key: its chain in one of two cells. The other cell is empty, but for the
/// moment of a move. A record lies in one sector, and all zeros are no record.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Record {
    pub(super) device: U32,
    pub(super) generation: U16,
    pub(super) is_given: u8,
    pub(super) reserved: u8,
    pub(super) cells: [Cell; 2],
    pub(super) zeros: [u8; 16],
}

impl Cell {
    pub(super) fn is_empty(&self) -> bool {
        self.as_bytes().iter().all(|byte| *byte == 0)
    }
}

impl Record {
    /// No record: zeros.
    pub(super) fn none() -> Self {
        Self::new_zeroed()
    }

    pub(super) fn is_none(&self) -> bool {
        self.as_bytes().iter().all(|byte| *byte == 0)
    }

    /// A record of `owner` without a chain.
    pub(super) fn of(owner: Owner) -> Self {
        Self {
            device: owner.key.device.0.into(),
            generation: owner.key.generation.into(),
            is_given: owner.is_given.into(),
            ..Self::new_zeroed()
        }
    }

    pub(super) fn owner(&self) -> Owner {
        let (device, generation) = (DeviceId(self.device.get()), self.generation.get());
        Owner { key: KeyId { device, generation }, is_given: self.is_given != 0 }
    }
}

/// Seals and unseals chains.
pub(super) struct ChainSealer(Sealer);

impl ChainSealer {
    pub(super) fn new(master: &MasterKey) -> Self {
        Self(Sealer::new(master))
    }

    /// Seals a chain; `None` if the cipher rejects the length, which does not occur at 32 bytes.
    pub(super) fn seal(&self, owner: Owner, chain: &Chain) -> Option<Cell> {
        let (record, epoch) = (Record::of(owner), U32::from(chain.epoch()));
        let mut key = Zeroizing::new(*chain.expose());
        let of = [owner_bytes(&record), epoch.as_bytes()];
        let siv = self.0.seal(&of, key.as_mut_slice())?;
        Some(Cell { epoch, siv, sealed: *key })
    }

    /// The chain in a cell; `None` if the cell is empty, damaged, or of another key.
    pub(super) fn unseal(&self, record: &Record, cell: &Cell) -> Option<Chain> {
        if cell.is_empty() {
            return None;
        }
        let mut key = Zeroizing::new(cell.sealed);
        let of = [owner_bytes(record), cell.epoch.as_bytes()];
        self.0.unseal(&of, key.as_mut_slice(), &cell.siv)?;
        Some(Chain::copy_of(cell.epoch.get(), &key))
    }
}

/// The bytes of the owner in a record.
fn owner_bytes(record: &Record) -> &[u8] {
    record.as_bytes().get(..core::mem::offset_of!(Record, cells)).unwrap_or_default()
}

/// The fields of header, record and cell as (name, offset, width), and the constants.
pub mod format {
    use core::mem::offset_of;

    use crate::keys::chains::record::{Cell, FORMAT_VERSION, Header, MAGIC, Record};

    /// A field: its name, its offset and its width, in bytes.
    type Field = (&'static str, usize, usize);

    /// The first bytes of a file, and its version.
    pub const MAGIC_AND_VERSION: ([u8; 8], u16) = (MAGIC, FORMAT_VERSION);

    /// The fields of the header.
    pub fn header() -> Vec<Field> {
        vec![
            ("magic", offset_of!(Header, magic), 8),
            ("version", offset_of!(Header, version), 2),
            ("reserved", offset_of!(Header, reserved), 6),
            ("check_value", offset_of!(Header, check_value), 16),
            ("zeros", offset_of!(Header, zeros), size_of::<Header>() - offset_of!(Header, zeros)),
        ]
    }

    /// The fields of a record.
    pub fn record() -> Vec<Field> {
        vec![
            ("device", offset_of!(Record, device), 4),
            ("generation", offset_of!(Record, generation), 2),
            ("is_given", offset_of!(Record, is_given), 1),
            ("reserved", offset_of!(Record, reserved), 1),
            ("cells", offset_of!(Record, cells), size_of::<[Cell; 2]>()),
            ("zeros", offset_of!(Record, zeros), size_of::<Record>() - offset_of!(Record, zeros)),
        ]
    }

    /// The fields of a cell.
    pub fn cell() -> Vec<Field> {
        vec![
            ("epoch", offset_of!(Cell, epoch), 4),
            ("siv", offset_of!(Cell, siv), 16),
            ("sealed", offset_of!(Cell, sealed), size_of::<Cell>() - offset_of!(Cell, sealed)),
        ]
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    const OWNER: Owner =
        Owner { key: KeyId { device: DeviceId(7), generation: 2 }, is_given: true };

    #[test]
    fn a_sealed_chain_unseals_under_its_owner_and_epoch_alone() {
        let sealer = ChainSealer::new(&MasterKey::new(&[1; 32]));
        let cell = sealer.seal(OWNER, &Chain::copy_of(9, &[0xaa; 32])).expect("few bytes");
        let mut record = Record::of(OWNER);
        record.cells = [Cell::new_zeroed(), cell];
        assert!(!record.as_bytes().windows(4).any(|run| run == [0xaa; 4]));
        let [empty, full] = &record.cells;
        let chain = sealer.unseal(&record, full).expect("just sealed");
        assert_eq!((chain.epoch(), chain.expose()), (9, &[0xaa; 32]));
        assert!(sealer.unseal(&record, empty).is_none() && empty.is_empty() && !full.is_empty());
        assert!(ChainSealer::new(&MasterKey::new(&[9; 32])).unseal(&record, full).is_none());
        for bit in (0..8 * 8).chain(60 * 8..112 * 8) {
            let mut damaged = record;
            if let Some(byte) = damaged.as_mut_bytes().get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            let [_, full] = &damaged.cells;
            assert!(sealer.unseal(&damaged, full).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_never_lies_in_two_sectors() {
        assert_eq!((size_of::<Header>(), size_of::<Record>()), (128, 128));
        assert_eq!(Record::of(OWNER).owner(), OWNER);
    }

    /// Computed with the AES-SIV of Python's `cryptography`.
    #[test]
    fn a_record_is_the_one_that_was_computed_elsewhere() {
        let owner = Owner { key: KeyId { device: DeviceId(42), generation: 2 }, is_given: true };
        let chain_key = std::array::from_fn(|at| u8::try_from(at).unwrap_or(0));
        let sealer = ChainSealer::new(&MasterKey::new(&[1; 32]));
        let cell = sealer.seal(owner, &Chain::copy_of(5, &chain_key)).expect("few bytes");
        let record = Record { cells: [cell, Cell::new_zeroed()], ..Record::of(owner) };
        let golden = "0000002a0002010000000005cc301674b3b8af7b28e98c3703b395698d56bb3fc00cc739ccabcb07527106c207eea5d3d7491e53a9e4bd3126aac5cd";
        assert_eq!(hex::encode(record.as_bytes()), format!("{golden:0<256}"));
    }
}
