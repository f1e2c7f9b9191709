//! Who: device ids, key generations, slots.

use core::fmt;

/// The number of a device, as its owner knows it. Big-endian wherever it is bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u32);

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One key of one device: what a [`KeySource`](crate::KeySource) is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId {
    /// Whose key.
    pub device: DeviceId,
    /// Which of the device's keys; 0 is the one it left the factory with.
    pub generation: u16,
}

impl KeyId {
    /// The key a device left the factory with.
    pub const fn first(device: DeviceId) -> Self {
        Self { device, generation: 0 }
    }
}

/// One hint key of a fleet, numbered densely from 0 in the order of provisioning.
///
/// Ids may be sparse and a device may hold several keys at once; slots are what
/// index entries, snapshots and key tables speak instead, so that a value needs
/// log2(slots) bits. A slot is never renumbered and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// The slot as an index into a table of slots.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
