//! The report of a clock that jumped.

use hintdex_wire::{Nonce, Slot};

/// A jump of a device's clock, which two packets that agree have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMove {
    /// The slot of the device.
    pub slot: Slot,
    /// The nonce of the second packet.
    pub nonce: Nonce,
    /// The time of reception of the second packet, in seconds since 1970.
    pub received_unix_s: u64,
    /// The expected offset of the device's clock from station time, in seconds.
    pub from_s: i64,
    /// Its offset now, in seconds.
    pub to_s: i64,
}
