//! The result of a resolution: (device, nonce), confirmed by the device's hint key.

use hintdex_wire::{DeviceId, HintScheme, KeyId, Nonce, Slot};
use smallvec::SmallVec;

use crate::Source;

/// Check bits from which on a hint names one device and no other.
const CERTAIN_CHECK_BITS: u32 = 64;

/// Whether a hint of this scheme names one device and no other: a second device has the
/// same hint once in 2^64.
pub(crate) fn is_certain(scheme: HintScheme) -> bool {
    scheme.is_reversible() && scheme.check_bits() >= CERTAIN_CHECK_BITS
}

/// The device of a hint, confirmed by its hint key. Only a tag proves more.
///
/// See the example of [`Station::resolve`](crate::Station::resolve).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The slot of the key that made the hint.
    pub slot: Slot,
    /// The device and the generation of that key.
    pub key: KeyId,
    /// The nonce from which the hint was computed.
    pub nonce: Nonce,
    /// Where the hint was resolved.
    pub source: Source,
}

/// The devices that made a hint: almost always one, and then without an allocation.
///
/// See the example of [`Station::resolve`](crate::Station::resolve).
pub type ResolvedSlots = SmallVec<[Resolved; 1]>;

impl Resolved {
    /// The device that made the hint.
    pub const fn device(&self) -> DeviceId {
        self.key.device
    }
}
