//! The life of a device: added, given later keys, retired.
//!
//! A device has a key of each generation; the newest one that has opened a packet is in use.
//! Every change is durable when its call returns, and survives a crash whole or not at all.

mod add;
mod later_keys;
mod retire;
mod settings;
mod transfer;

pub use transfer::DeviceTransfer;
