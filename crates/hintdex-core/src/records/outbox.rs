//! The rows of the outbox: accepted payloads, and the places of their readers.

use hintdex_wire::{DeviceId, KeyId, Nonce};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian};

use super::layout::{Field, layout};

/// The key of a payload's row: rows lie in the order of their numbers.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct OutboxKey(big_endian::U64);

impl OutboxKey {
    pub(crate) fn of(number: u64) -> Self {
        Self(number.into())
    }

    /// The number of a row's key; `None` if the key is none of a payload's row.
    pub(crate) fn number(key: &[u8]) -> Option<u64> {
        Self::read_from_bytes(key).ok().map(|key| key.0.get())
    }
}

/// The head of a payload's row: which packet it is of. The body follows, which the caller composes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct OutboxRecord {
    nonce: U64,
    device: U32,
    generation: U16,
    reserved: U16,
}

impl OutboxRecord {
    pub(crate) fn new(key: KeyId, nonce: Nonce) -> Self {
        let KeyId { device, generation } = key;
        Self {
            nonce: nonce.into(),
            device: device.0.into(),
            generation: generation.into(),
            reserved: U16::ZERO,
        }
    }

    /// The key and the nonce of the packet, and the body; `None` if the row is damaged.
    pub(crate) fn read(row: &[u8]) -> Option<(KeyId, Nonce, &[u8])> {
        let (record, body) = Self::read_from_prefix(row).ok()?;
        let device = DeviceId(record.device.get());
        let key = KeyId { device, generation: record.generation.get() };
        (record.reserved == U16::ZERO).then_some((key, record.nonce.get(), body))
    }
}

/// The place of a reader: all payloads before it are acknowledged.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ReaderRecord {
    place: U64,
}

impl ReaderRecord {
    pub(crate) fn new(place: u64) -> Self {
        Self { place: place.into() }
    }

    pub(crate) fn place(&self) -> u64 {
        self.place.get()
    }
}

pub(super) fn layouts() -> [(&'static str, Vec<Field>); 2] {
    [
        layout!("payload", OutboxRecord: nonce, device, generation, reserved),
        layout!("reader", ReaderRecord: place),
    ]
}
