//! The names of devices and keys: device ids, key generations, slots.

use core::fmt;

/// The number of a device, as its owner knows it. Big-endian wherever the id is bytes.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u32);

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Names one key of one device to a [`KeySource`](crate::KeySource).
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId {
    /// The device that holds the key.
    pub device: DeviceId,
    /// Which of the device's keys; 0 is the factory key.
    pub generation: u16,
}

impl KeyId {
    /// The factory key of a device.
    pub const fn first(device: DeviceId) -> Self {
        Self { device, generation: 0 }
    }
}

/// One hint key of a fleet, numbered densely from 0 in the order of provisioning.
///
/// Ids may be sparse, and a device may hold several keys at once. Index entries,
/// snapshots and key tables therefore store slots, which take log2(slots) bits. A
/// slot is never renumbered and never used again.
///
/// ```
/// use hintdex_wire::Slot;
///
/// let keys = ["the key of slot 0", "the key of slot 1"];
/// assert_eq!(keys[Slot(1).index()], "the key of slot 1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// The slot as an index into a table of slots.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
